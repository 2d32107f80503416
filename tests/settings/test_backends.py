"""Several backends, in the file or in the environment; and Letta Code's settings."""

from pathlib import Path

import pytest

from domain.model.agent import ConfiguredAgent
from entrypoints.settings import Mode, Settings, SettingsError
from entrypoints.settings.backend import (
    EmbeddedOptions,
    HistoryKeeper,
    LettaCodeOptions,
    LettaOptions,
    OpenAIOptions,
    Permissions,
)
from tests.settings.place import Place, texts

URL = "http://localhost:8283"
CODE = "ws://localhost:4500"
TWO = f"""
backends:
  home: {{mode: docker, baseUrl: "{URL}"}}
  code: {{mode: letta-code, baseUrl: "{CODE}", token: "${{LETTA_CODE_TOKEN}}"}}
"""


def named(settings: Settings) -> list[tuple[str, str]]:
    return [(backend.name, backend.mode) for backend in settings.backends]


def test_backends_are_those_of_the_file_in_its_order(place: Place) -> None:
    settings = place.load(TWO, LETTA_CODE_TOKEN="secret", LETTA_BASE_URL="http://other:8283", LETTA_API_KEY="other")
    assert named(settings) == [("home", "docker"), ("code", "letta-code")]
    home, code = settings.backends
    assert home.options == LettaOptions(URL, None)
    assert code.options == LettaCodeOptions(CODE, "secret", Permissions.STANDARD)
    assert "secret" not in repr(settings)
    assert "secret" not in repr(code)


def test_both_lettas_in_the_environment_are_two_backends_letta_v1_first(place: Place) -> None:
    settings = place.load(LETTA_CODE_URL=CODE, LETTA_BASE_URL=URL)
    assert named(settings) == [("letta", "docker"), ("letta-code", "letta-code")]
    assert named(place.load(LETTA_CODE_URL=CODE, LETTA_API_KEY="k")) == [("letta", "api"), ("letta-code", "letta-code")]


def test_letta_code_alone_in_the_environment_selects_its_mode(place: Place) -> None:
    settings = place.load(LETTA_CODE_URL=CODE, LETTA_CODE_TOKEN="t", AGENT_NAME="a")
    [backend] = settings.backends
    assert (backend.name, backend.options) == ("letta-code", LettaCodeOptions(CODE, "t"))
    assert settings.agents == (ConfiguredAgent("a"),)


@pytest.mark.parametrize("given", ["http://localhost:4500", "ws://localhost:4500/ws", "WS://localhost:4500/"])
def test_the_address_of_letta_code_is_taken_in_any_form(place: Place, given: str) -> None:
    [backend] = place.load(LETTA_CODE_URL=given).backends
    assert backend.place == CODE
    [backend] = place.load(f"server: {{mode: letta-code, baseUrl: '{given}'}}").backends
    assert backend.place == CODE


def test_the_mode_of_the_file_overrules_the_environment(place: Place) -> None:
    assert named(place.load("server: {mode: docker}", LETTA_CODE_URL=CODE, LETTA_BASE_URL=URL)) == [("letta", "docker")]
    both = place.load("server: {mode: letta-code}", LETTA_CODE_URL=CODE, LETTA_BASE_URL=URL)
    assert [(backend.mode, backend.place) for backend in both.backends] == [("letta-code", CODE)]
    assert named(place.load("server: {mode: embedded}", LETTA_CODE_URL=CODE)) == [("embedded", "embedded")]


def test_a_websocket_address_in_the_file_means_letta_code(place: Place) -> None:
    [backend] = place.load(f"server: {{baseUrl: '{CODE}', token: t, permissions: acceptedits}}").backends
    assert backend.options == LettaCodeOptions(CODE, "t", Permissions.ACCEPT_EDITS)


def test_mode_letta_code_needs_an_address(place: Place) -> None:
    with pytest.raises(SettingsError, match=r"needs to know its App Server.*LETTA_CODE_URL"):
        place.load("server: {mode: letta-code}", LETTA_BASE_URL=URL)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ("https://example.org/v1beta/openai", "https://example.org/v1beta/openai"),
        ("https://example.org/api/v1", "https://example.org/api/v1"),
    ],
)
def test_a_server_with_openai_s_api_has_its_own_path(place: Place, given: str, meant: str) -> None:
    [backend] = place.load(f"server: {{mode: openai, baseUrl: '{given}'}}").backends
    assert backend.place == meant


def test_what_is_said_of_a_server_with_openai_s_api(place: Place) -> None:
    said = "models: 'a, b', prefix: x/, chatHeader: X-Chat, system: Be brief., history: upstream"
    [backend] = place.load(f"backends: {{m: {{mode: openai, baseUrl: '{URL}', apiKey: k, {said}}}}}").backends
    assert backend.options == OpenAIOptions(
        f"{URL}/v1", "k", ("a", "b"), "x/", "x-chat", "Be brief.", HistoryKeeper.UPSTREAM
    )
    assert "'k'" not in repr(backend)


def test_letta_s_key_and_address_in_the_environment_are_not_for_other_servers(place: Place) -> None:
    yaml = f"server: {{mode: openai, baseUrl: '{URL}'}}"
    [backend] = place.load(yaml, LETTA_API_KEY="letta's", LETTA_BASE_URL="http://letta:8283").backends
    assert backend.options == OpenAIOptions(f"{URL}/v1")
    with pytest.raises(SettingsError, match="Mode openai needs to know its server"):
        place.load("server: {mode: openai}", LETTA_BASE_URL="http://letta:8283")


def test_an_agent_may_say_its_backend(place: Place) -> None:
    settings = place.load(TWO + "agents: [{name: helper, backend: code}, {name: b}]", LETTA_CODE_TOKEN="t")
    assert settings.agents == (ConfiguredAgent("helper", None, "code"), ConfiguredAgent("b"))
    with pytest.raises(SettingsError, match="in the backend cloud, which is not among"):
        place.load(TWO + "agents: [{name: helper, backend: cloud}]", LETTA_CODE_TOKEN="t")


def test_an_embedded_backend_among_others_has_its_own_agents_and_file(place: Place) -> None:
    yaml = TWO + "  notes: {mode: embedded, database: notes.sqlite}\nagents: [{name: pad, backend: notes}, {name: b}]"
    *_, notes = place.load(yaml, LETTA_CODE_TOKEN="t").backends
    assert notes.options == EmbeddedOptions(place.cwd / Path("notes.sqlite"), ("pad",))


def test_what_server_says_beside_backends_is_a_warning(place: Place) -> None:
    settings = place.load(f"server: {{mode: docker, baseUrl: '{URL}'}}\n" + TWO, LETTA_CODE_TOKEN="t")
    assert texts(settings, "warning") == [
        "lettabot.yaml: server.mode, server.baseUrl: ignored, because backends is there"
    ]
    assert len(settings.backends) == 2


@pytest.mark.parametrize(
    ("backends", "says"),
    [
        ("[a]", "backends: expected settings"),
        ("{home: docker}", r"backends\.home: expected settings"),
        ("{home: {}}", r"backends\.home\.mode: expected api, docker, letta-code, openai, embedded"),
        ("{home: {mode: docker}}", r"backends\.home: Mode docker needs to know"),
        ("{'a/b': {mode: embedded}}", "backends: expected the name of a backend"),
        ("{home: {mode: docker, baseUrl: nowhere}}", r"backends\.home\.baseUrl: expected the URL"),
        ("{home: {mode: docker, baseUrl: '${MISSING}'}}", "MISSING is not set"),
        (
            "{home: {mode: kubernetes}}",
            "there are: api, docker, letta-code, openai, embedded",
        ),
        ("{code: {mode: letta-code, baseUrl: 'ws://a:1', permissions: all}}", "standard, acceptEdits, strict or"),
    ],
)
def test_odd_backends_are_an_error_at_their_place(place: Place, backends: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        place.load(f"backends: {backends}")


def test_a_token_is_never_shown(place: Place) -> None:
    with pytest.raises(SettingsError) as raised:
        place.load("server: {mode: letta-code, baseUrl: 'ws://a:1', token: 'sécret'}}")
    assert "cret" not in str(raised.value)


def test_no_backends_at_all_is_as_if_the_section_were_not_there(place: Place) -> None:
    assert named(place.load("backends: {}")) == [("embedded", Mode.EMBEDDED)]
