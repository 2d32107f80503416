"""The ids that the old LettaBot kept."""

import json

import pytest

from domain.model.agent import ConfiguredAgent
from tests.settings.place import Place, texts

FILE = "lettabot-agent.json"
URL = "http://localhost:8283"
AGENTS = "agents: [{name: a}, {name: b, id: agent-own}, {name: c}]"
VERSION_2 = json.dumps(
    {
        "version": 2,
        "agents": {
            "a": {"agentId": "agent-old", "conversationId": "x", "createdAt": "2025-01-01"},
            "b": {"agentId": "agent-other"},
            "c": {"agentId": None},
        },
    }
)


def test_a_name_without_an_id_finds_its_id(place: Place) -> None:
    place.write(FILE, VERSION_2)
    settings = place.load(AGENTS, LETTA_BASE_URL=URL)
    assert settings.agents == (
        ConfiguredAgent("a", "agent-old"),
        ConfiguredAgent("b", "agent-own"),
        ConfiguredAgent("c"),
    )
    assert texts(settings, "info") == ["lettabot-agent.json: the agent a is agent-old"]


def test_the_file_is_looked_for_in_the_data_directory(place: Place) -> None:
    place.write("data/" + FILE, VERSION_2)
    assert place.load(AGENTS, LETTA_BASE_URL=URL).agents[0].id is None
    assert place.load(AGENTS, LETTA_BASE_URL=URL, DATA_DIR="data").agents[0].id == "agent-old"


def test_version_1_had_one_agent(place: Place) -> None:
    place.write(FILE, json.dumps({"agentId": "agent-old"}))
    assert place.load("agent: {name: x}", LETTA_BASE_URL=URL).agents == (ConfiguredAgent("x", "agent-old"),)
    several = place.load(AGENTS, LETTA_BASE_URL=URL)
    assert several.agents[0].id is None
    assert "several are configured" in texts(several, "warning")[0]


def test_embedded_agents_have_no_letta_ids(place: Place) -> None:
    place.write(FILE, VERSION_2)
    assert place.load("server: {mode: embedded}\nagent: {name: a}").agents == (ConfiguredAgent("a"),)


def test_an_agent_of_another_server_is_a_warning(place: Place) -> None:
    entry = {"agentId": "agent-old", "baseUrl": "https://user:secret@api.letta.com/"}
    place.write(FILE, json.dumps({"version": 2, "agents": {"a": entry}}))
    settings = place.load("agent: {name: a}", LETTA_BASE_URL=URL)
    assert settings.agents[0].id == "agent-old"
    [warning] = texts(settings, "warning")
    assert "another Letta server" in warning
    assert "secret" not in warning
    entry["baseUrl"] = URL + "/"
    place.write(FILE, json.dumps({"version": 2, "agents": {"a": entry}}))
    assert texts(place.load("agent: {name: a}", LETTA_BASE_URL=URL), "warning") == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"version": 3}',
        '{"version": "2", "agents": {}}',
        '{"version": 2, "agents": []}',
        '{"version": 2, "agents": {"a": "agent-old"}}',
        '{"version": 2, "agents": {"a": {"agentId": 5}}}',
        '{"version": 2, "agents": {"a": {"agentId": "agent\\nold"}}}',
        '{"agentId": ["agent-old"]}',
        '{"agents": ' + "[" * 100_000,
    ],
)
def test_an_odd_file_is_a_warning_and_not_an_error(place: Place, content: str) -> None:
    place.write(FILE, content)
    settings = place.load("agent: {name: a}", LETTA_BASE_URL=URL)
    assert settings.agents == (ConfiguredAgent("a"),)
    assert "not used" in texts(settings, "warning")[0]


def test_a_directory_of_that_name_is_a_warning_and_not_an_error(place: Place) -> None:
    (place.cwd / FILE).mkdir()
    settings = place.load("agent: {name: a}", LETTA_BASE_URL=URL)
    assert "Is a directory" in texts(settings, "warning")[0]


def test_a_file_that_says_nothing_is_nothing(place: Place) -> None:
    place.write(FILE, '{"agentId": null}')
    assert place.load("agent: {name: a}", LETTA_BASE_URL=URL).notices == ()
