"""Each value: what is taken, what is refused, and what a refusal says."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.settings import SettingsError
from entrypoints.settings import texts as rules
from tests.settings.place import Place, letta, texts


def test_a_refusal_names_the_file_and_the_key_and_says_what_is_expected(place: Place) -> None:
    with pytest.raises(SettingsError) as raised:
        place.load("server: {api: {port: eighty}}")
    assert str(raised.value) == 'lettabot.yaml: server.api.port: expected an integer between 0 and 65535, got "eighty"'


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("server.mode", "kubernetes", '"kubernetes"'),
        ("server.mode", True, "true"),
        ("server.baseUrl", "localhost:8283", '"localhost:8283"'),
        ("server.baseUrl", "ftp://letta", '"ftp://letta"'),
        ("server.baseUrl", "http://", '"http://"'),
        ("server.baseUrl", "http://letta:99999", '"http://letta:99999"'),
        ("server.baseUrl", "http://letta:port", '"http://letta:port"'),
        ("server.baseUrl", "http://le tta", '"http://le tta"'),
        ("server.baseUrl", "http://letta?x=1", '"http://letta?x=1"'),
        ("server.baseUrl", "http://[::1", '"http://[::1"'),
        ("server.baseUrl", "http://[v1.a]", '"http://[v1.a]"'),
        ("server.baseUrl", "http://[::1]x:80", '"http://[::1]x:80"'),
        ("server.baseUrl", "http://1.2.3.999", '"http://1.2.3.999"'),
        ("server.baseUrl", "http://letta..example", '"http://letta..example"'),
        ("server.logLevel", "loud", '"loud"'),
        ("server.logLevel", 30, "30"),
        ("server.api.port", -1, "-1"),
        ("server.api.port", 65536, "65536"),
        ("server.api.port", 80.5, "80.5"),
        ("server.api.port", 10**30, "a very large number"),
        ("server.api.port", True, "true"),
        ("server.api.port", [80], "a list"),
        ("server.api.port", {"is": 80}, "a mapping"),
        ("server.api.host", 127, "127"),
        ("server.api.host", "local host", '"local host"'),
        ("server.api.host", "local\nhost", '"local\\nhost"'),
        ("server.api.corsOrigin", "chat.example.org", '"chat.example.org"'),
        ("server.api.corsOrigin", "https://a.example https://b.example", '"https://a.example https://b.example"'),
        ("server.api.corsOrigin", "https://a.example, b", '"https://a.example, b"'),
        ("server.api.corsOrigin", ",", '","'),
        ("server.api.corsOrigin", ["https://a.example", "b"], "a list"),
        ("server.api.corsOrigin", ["https://a.example", 5], "a list"),
        ("server.api.corsOrigin", [None], "a list"),
        ("server.api.corsOrigin", "https://a.example/chat", '"https://a.example/chat"'),
        ("server.api.toolCalls", "sometimes", '"sometimes"'),
        ("server.api.maxBodyBytes", 0, "0"),
        ("server.api.maxBodyBytes", "50MB", '"50MB"'),
        ("server.api.shutdownSeconds", -1, "-1"),
        ("server.api.shutdownSeconds", "soon", '"soon"'),
        ("server.api.dataDir", 5, "5"),
        ("server.api.dataDir", "a\x00b", '"a\\u0000b"'),
        ("server.api.embeddedDatabase", "   ", '"   "'),
        ("server.api.state", "state.sqlite", '"state.sqlite"'),
        ("server.api.state", "sqlite:///", '"sqlite:///"'),
        ("server.api.state", "mysql://host/database", '"mysql://host/database"'),
        ("server.api.state", "postgresql://host", '"postgresql://host"'),
        ("server.api.keepAnswersFor", 90000, "90000"),
        ("agent.name", 42, "42"),
        ("agent.name", "   ", '"   "'),
        ("agent.name", "a\tb", '"a\\tb"'),
        ("agent.name", "x" * 100 + "\n", '"' + "x" * 60 + '..."'),
        ("agent.id", "agent 1", '"agent 1"'),
    ],
)
def test_a_wrong_value_is_an_error_at_its_place(place: Place, path: str, value: object, shown: str) -> None:
    with pytest.raises(SettingsError) as raised:
        place.load(yaml_of(path, value))
    message = str(raised.value)
    assert message.startswith(f"lettabot.yaml: {path}: expected ")
    assert message.endswith(f", got {shown}")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e300"])
def test_seconds_are_finite(place: Place, value: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.api\.shutdownSeconds: expected a number of seconds"):
        place.load(f"server: {{api: {{shutdownSeconds: {value}}}}}")


@pytest.mark.parametrize("value", [5, "sec\nret", " secret", "secret\t", "secrét", ["secret"]])
def test_a_letta_key_that_cannot_be_sent_is_refused_and_not_shown(place: Place, value: object) -> None:
    with pytest.raises(SettingsError, match=r"server\.apiKey: expected the Letta API key") as raised:
        place.load(yaml_of("server.apiKey", value))
    assert "secr" not in str(raised.value)
    if isinstance(value, str):
        with pytest.raises(SettingsError, match="LETTA_API_KEY: expected the Letta API key") as raised:
            place.load("", LETTA_API_KEY=value)
        assert "secr" not in str(raised.value)


def test_a_password_in_the_url_is_refused_and_not_shown(place: Place) -> None:
    with pytest.raises(SettingsError, match="without a user name, a password") as raised:
        place.load(LETTA_BASE_URL="http://user:secret@letta:8283")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://localhost:8283", "http://localhost:8283"),
        ("http://localhost:8283/", "http://localhost:8283"),
        ("http://localhost:8283/v1", "http://localhost:8283"),
        ("http://localhost:8283/v1/v1/", "http://localhost:8283"),
        ("http://localhost:8283/v1//", "http://localhost:8283"),
        ("https://example.org/letta/v1/", "https://example.org/letta"),
        ("https://example.org/letta-v1", "https://example.org/letta-v1"),
        ("https://example.org/v1/letta", "https://example.org/v1/letta"),
        ("http://v1", "http://v1"),
        ("http://v1/v1", "http://v1"),
        ("HTTP://[::1]:8283/", "http://[::1]:8283"),
    ],
)
def test_a_base_url_loses_the_slash_and_the_v1_that_were_copied_along(place: Place, given: str, meant: str) -> None:
    assert letta(place.load(LETTA_BASE_URL=given))[1] == meant


def test_there_may_be_several_origins(place: Place) -> None:
    both = ("https://a.example", "http://localhost:3000")
    assert place.load(API_CORS_ORIGIN="https://a.example/, http://localhost:3000,").cors_origins == both
    listed = "server: {api: {corsOrigin: ['https://a.example/', '${B}']}}"
    assert place.load(listed, B="http://localhost:3000").cors_origins == both
    assert place.load("server: {api: {corsOrigin: '${BOTH}'}}", BOTH=",".join(both)).cors_origins == both
    assert place.load("server: {api: {corsOrigin: []}}").cors_origins == ()


def test_an_origin_loses_its_slash(place: Place) -> None:
    assert place.load(API_CORS_ORIGIN="https://chat.example.org/").cors_origins == ("https://chat.example.org",)
    for origin in ("*", "http://localhost:3000", "http://[::1]:3000", "app://obsidian.md"):
        assert place.load(API_CORS_ORIGIN=origin).cors_origins == (origin,)


def test_numbers_may_be_written_as_text(place: Place) -> None:
    settings = place.load("server: {api: {port: '9000', maxBodyBytes: ' 10 ', shutdownSeconds: '1.5'}}")
    assert (settings.port, settings.chat_options.max_body_bytes, settings.shutdown_seconds) == (9000, 10, 1.5)


def test_variables_are_filled_in(place: Place) -> None:
    settings = place.load(
        "server: {mode: docker, baseUrl: 'http://${HOST_1}:${_PORT}/v1', api: {port: '${PORT}'}}\n"
        "agents:\n- name: ${NAME}\n- name: 'pre-${NAME}'\n",
        HOST_1="letta",
        _PORT="8283",
        PORT="9000",
        NAME="a: {b} # ${PORT}",
    )
    assert (letta(settings)[1], settings.port) == ("http://letta:8283", 9000)
    # What is filled in is text: it is neither YAML nor filled in again.
    assert [agent.name for agent in settings.agents] == ["a: {b} # ${PORT}", "pre-a: {b} # ${PORT}"]


def test_a_variable_that_is_not_set_is_an_error_that_names_it(place: Place) -> None:
    with pytest.raises(SettingsError, match=r"server\.apiKey: the environment variable MY_KEY is not set"):
        place.load("server: {apiKey: '${MY_KEY}'}")


def test_a_variable_that_is_empty_leaves_the_setting_unset(place: Place) -> None:
    assert letta(place.load("server: {apiKey: '${MY_KEY}'}", MY_KEY="", LETTA_API_KEY="k"))[2] == "k"


def test_variables_in_sections_that_this_service_does_not_have_are_left_alone(place: Place) -> None:
    assert place.load("channels: {telegram: {token: '${NOT_SET}'}}\nserver: {other: '${NOT_SET}'}").port == 8080


def test_a_refusal_shows_the_variable_and_not_what_is_in_it(place: Place) -> None:
    with pytest.raises(SettingsError) as raised:
        place.load("server: {api: {port: '${MY_PORT}'}}", MY_PORT="secret")
    assert str(raised.value).endswith('got "${MY_PORT}"')


def test_keys_of_the_old_lettabot_are_accepted_and_named_once(place: Place) -> None:
    old = place.load("""
server: {mode: embedded, agentId: agent-1}
agents:
- {name: a, displayName: A, model: gpt, channels: {}, features: {}, conversations: {mode: shared}}
- {name: b, model: gpt, polling: {}, workingDir: ~/b}
channels: {telegram: {enabled: true}}
features: {cron: true}
polling: {}
transcription: {provider: openai}
attachments: {maxMB: 20}
providers: []
conversations: {mode: per-chat, heartbeat: last-active, perChannel: [bluesky]}
""")
    assert texts(old, "warning") == []
    conversations, unused = texts(old, "info")
    assert conversations == "lettabot.yaml: conversations is accepted, but has no effect yet"
    assert unused == (
        "lettabot.yaml: without effect in this service: server.agentId, agents[].displayName, agents[].model, "
        "agents[].channels, agents[].features, agents[].polling, agents[].workingDir, channels, features, polling, "
        "transcription, attachments, providers"
    )


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("sever: {}", "sever is not a setting; did you mean server?"),
        ("server: {baseURL: x}", "server.baseURL is not a setting; did you mean server.baseUrl?"),
        ("server: {api_key: x}", "server.api_key is not a setting; did you mean server.apiKey?"),
        ("server: {api: {prot: 80}}", "server.api.prot is not a setting; did you mean server.api.port?"),
        ("server: {api: {cors_origin: x}}", "server.api.cors_origin is not a setting; did you mean server.api.corsOri"),
        ("api: {hots: x}", "api.hots is not a setting; did you mean api.host?"),
        ("agent: {nam: x}", "agent.nam is not a setting; did you mean agent.name?"),
        ("server: {mode: embedded}\nagents: [{name: a, ID: x}]", "agents[].ID is not a setting; did you mean agents["),
    ],
)
def test_a_likely_typing_error_is_a_warning(place: Place, yaml: str, says: str) -> None:
    assert any(says in warning for warning in texts(place.load(yaml), "warning"))


def test_odd_keys_do_not_spoil_the_log(place: Place) -> None:
    [info] = texts(place.load('5: a\nnull: b\n"x\\ny": c\n? [a, b]\n: d'), "info")
    assert info == 'lettabot.yaml: without effect in this service: 5, nothing, "x\\ny", a list'


def test_the_old_place_of_api_still_works(place: Place) -> None:
    settings = place.load("api: {port: 9000, host: 0.0.0.0}")
    assert (settings.port, settings.host) == (9000, "0.0.0.0")
    assert texts(settings, "warning") == ["lettabot.yaml: api has moved: write it as server.api"]


def test_both_places_of_api_at_once_are_an_error(place: Place) -> None:
    with pytest.raises(SettingsError, match=r"api: this is there twice, also as server\.api"):
        place.load("api: {port: 1}\nserver: {api: {host: a}}")


KEYS = [
    *(f"server.{key}" for key in ("mode", "apiKey", "baseUrl", "logLevel", "api")),
    *(f"server.api.{key}" for key in ("port", "host", "corsOrigin", "toolCalls", "maxBodyBytes", "shutdownSeconds")),
    *(
        "server.api.dataDir",
        "server.api.embeddedDatabase",
        "server.api.state",
        "server.api.keepAnswersFor",
        "agent",
        "agent.name",
        "agent.id",
        "agents",
        "server",
    ),
    *("agents.0", "agents.0.name", "agents.0.id", "api", "conversations", "channels"),
]
WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["${HOME}", "http://a", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
WILDLY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@WILDLY
@given(st.dictionaries(st.sampled_from(KEYS), WILD, max_size=4))
def test_whatever_stands_at_a_key_there_are_settings_or_an_error_for_people(
    place: Place, wild: dict[str, object]
) -> None:
    document: dict[str, object] = {}
    for path, value in sorted(wild.items()):
        put(document, path.split("."), value)
    text = json.dumps(document).replace("NaN", ".nan").replace("Infinity", ".inf")
    for_people(place, HOME="/home", LETTA_BASE_URL="http://a", LETTABOT_CONFIG_YAML="#:\n" + text)


@WILDLY
@given(st.text() | st.text(alphabet="ab:-[]{}&*!|>'\"%@`#?,. \n\t<=~0123456789"))
def test_whatever_the_file_holds_there_are_settings_or_an_error_for_people(place: Place, text: str) -> None:
    for_people(place, LETTABOT_CONFIG_YAML="#:\n" + text)
    for_people(place, LETTABOT_CONFIG_YAML="server:\n " + text)


VARIABLES = ["LETTA_API_KEY", "LETTA_BASE_URL", "LETTA_AGENT_ID", "AGENT_NAME", "PORT", "API_HOST", "DATA_DIR"]


@WILDLY
@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(), max_size=3))
def test_whatever_a_variable_holds_there_are_settings_or_an_error_for_people(
    place: Place, environ: dict[str, str]
) -> None:
    for_people(place, **environ)


@given(st.text())
def test_a_base_url_that_was_read_stays_as_it_is(text: str) -> None:
    try:
        url = rules.base_url("http://" + text)
    except ValueError:
        return
    assert rules.base_url(url).startswith("http://")


def for_people(place: Place, **environ: str) -> None:
    """Loads settings; whatever comes of it is one line for people to read."""
    try:
        lines = [notice.text for notice in place.load(**environ).notices]
    except SettingsError as error:
        lines = [str(error)]
    assert all(line and "\n" not in line for line in lines)


def put(document: dict[str, object], path: list[str], value: object) -> None:
    match path:
        case [key]:
            document[key] = value
        case ["agents", "0", *rest]:
            entry: dict[str, object] = {}
            document["agents"] = [entry if rest else value]
            if rest:
                put(entry, rest, value)
        case [key, *rest]:
            section = document.setdefault(key, {})
            if isinstance(section, dict):
                put(section, rest, value)


def yaml_of(path: str, value: object) -> str:
    document: dict[str, object] = {}
    put(document, path.split("."), value)
    return json.dumps(document)


@pytest.mark.parametrize("key", ['"quoted"', "'quoted'", "Bearer sk-let-1", "${LETTA_KEY}", "sk-let-1 # mine"])
def test_a_key_for_letta_that_is_hardly_meant_so_is_warned_about(place: Place, key: str) -> None:
    [warning] = texts(place.load(LETTA_API_KEY=key), "warning")
    assert warning.startswith("The key for Letta (LETTA_API_KEY or server.apiKey) ")
    assert key not in warning


@pytest.mark.parametrize(
    "name", ["API_HOST", "DATA_DIR", "LETTA_AGENT_NAME", "AGENT_NAME", "LETTA_AGENT_ID", "LOG_FORMAT"]
)
def test_a_variable_with_quotes_around_its_value_is_warned_about(place: Place, name: str) -> None:
    """As `docker --env-file` has it."""
    settings = place.load(**{"LETTA_BASE_URL": "http://letta", name: '"json"'})
    assert texts(settings, "warning") == [
        f"The environment variable {name} has quotes around its value, which are part of it"
    ]


@pytest.mark.parametrize("name", ["PORT", "LETTA_BASE_URL", "LOG_LEVEL", "API_CORS_ORIGIN"])
def test_a_variable_that_makes_no_sense_with_quotes_is_an_error(place: Place, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        place.load(**{name: '"x"'})
