"""Which backend is chosen, which agents are on offer, and that half of a Letta is never a fall-back to embedded."""

import pytest

from domain.model.agent import ConfiguredAgent
from entrypoints.settings import Mode, SettingsError
from tests.settings.place import Place, letta, texts

CLOUD = "https://api.letta.com"
URL = "http://localhost:8283"


def test_nothing_at_all_means_embedded(place: Place) -> None:
    assert letta(place.load())[0] == Mode.EMBEDDED
    assert letta(place.load("channels: {telegram: {enabled: true}}"))[0] == Mode.EMBEDDED


def test_a_base_url_means_a_letta_server_of_ones_own(place: Place) -> None:
    settings = place.load(LETTA_BASE_URL=URL)
    assert letta(settings) == (Mode.DOCKER, URL, None)
    assert letta(place.load(LETTA_BASE_URL=URL, LETTA_API_KEY="k"))[2] == "k"


def test_a_key_alone_means_letta_cloud(place: Place) -> None:
    settings = place.load(LETTA_API_KEY="k")
    assert letta(settings) == (Mode.API, CLOUD, "k")


def test_the_url_of_letta_cloud_means_letta_cloud(place: Place) -> None:
    settings = place.load(LETTA_BASE_URL=CLOUD + "/v1/", LETTA_API_KEY="k")
    assert letta(settings)[:2] == (Mode.API, CLOUD)
    with pytest.raises(SettingsError, match="needs a key"):
        place.load(LETTA_BASE_URL=CLOUD)


@pytest.mark.parametrize("name", ["api", "cloud", "API"])
def test_letta_cloud_by_any_of_its_names_needs_a_key(place: Place, name: str) -> None:
    yaml = f"server: {{mode: {name}}}"
    assert letta(place.load(yaml, LETTA_API_KEY="k"))[0] == Mode.API
    with pytest.raises(SettingsError, match="LETTA_API_KEY"):
        place.load(yaml)
    with pytest.raises(SettingsError, match="LETTA_API_KEY"):
        place.load(yaml, LETTA_API_KEY="")


@pytest.mark.parametrize("name", ["docker", "selfhosted", "Docker"])
def test_a_server_of_ones_own_by_any_of_its_names_needs_a_url(place: Place, name: str) -> None:
    yaml = f"server: {{mode: {name}}}"
    assert letta(place.load(yaml, LETTA_BASE_URL=URL))[0] == Mode.DOCKER
    with pytest.raises(SettingsError, match="LETTA_BASE_URL"):
        place.load(yaml, LETTA_API_KEY="k")


def test_a_url_that_mode_api_does_not_use_is_a_warning(place: Place) -> None:
    settings = place.load("server: {mode: api}", LETTA_API_KEY="k", LETTA_BASE_URL=URL)
    assert letta(settings)[1] == CLOUD
    assert any(URL in warning for warning in texts(settings, "warning"))
    assert place.load("server: {mode: api}", LETTA_API_KEY="k", LETTA_BASE_URL=CLOUD).notices == ()


def test_mode_embedded_needs_nothing_and_leaves_letta_alone(place: Place) -> None:
    settings = place.load("server: {mode: embedded}", LETTA_API_KEY="k", LETTA_BASE_URL=URL)
    assert letta(settings) == (Mode.EMBEDDED, "", None)


@pytest.mark.parametrize("agent", ["agent: {name: a}", "agent: {id: agent-1}", "agents: [{name: a}]"])
def test_agents_without_a_letta_are_an_error(place: Place, agent: str) -> None:
    with pytest.raises(SettingsError, match=r"no Letta to find them in.*LETTA_API_KEY.*LETTA_BASE_URL.*embedded"):
        place.load(agent)


@pytest.mark.parametrize("variable", ["LETTA_AGENT_ID", "LETTA_AGENT_NAME", "AGENT_NAME"])
def test_an_agent_in_the_environment_without_a_letta_is_an_error(place: Place, variable: str) -> None:
    with pytest.raises(SettingsError, match="no Letta"):
        place.load(**{variable: "a"})


def test_embedded_agents_have_names(place: Place) -> None:
    yaml = "server: {mode: embedded}\n"
    assert place.load(yaml + "agents: [{name: a}, {name: b}]").agents == (ConfiguredAgent("a"), ConfiguredAgent("b"))
    with pytest.raises(SettingsError, match="agent-1 has no name"):
        place.load(yaml + "agents: [{id: agent-1}]")


def test_agents_are_listed_by_name_by_id_or_both_in_their_order(place: Place) -> None:
    settings = place.load("agents: [{name: b, id: agent-2}, {id: agent-1}, {name: ' a/ü '}]", LETTA_BASE_URL=URL)
    assert settings.agents == (
        ConfiguredAgent("b", "agent-2"),
        ConfiguredAgent(None, "agent-1"),
        ConfiguredAgent(" a/ü "),
    )


def test_a_list_of_agents_wins_over_a_single_one(place: Place) -> None:
    yaml = "agent: {name: a}\nagents: [{name: b}]"
    settings = place.load(yaml, LETTA_BASE_URL=URL, LETTA_AGENT_NAME="c", LETTA_AGENT_ID="agent-3")
    assert settings.agents == (ConfiguredAgent("b"),)
    assert texts(settings, "warning") == [
        "lettabot.yaml: agent is ignored, because agents is there; keep one of the two"
    ]


def test_an_empty_list_of_agents_is_none(place: Place) -> None:
    assert place.load("agent: {name: a}\nagents: []", LETTA_BASE_URL=URL).agents == (ConfiguredAgent("a"),)


def test_an_agent_may_have_its_name_in_yaml_and_its_id_in_the_environment(place: Place) -> None:
    settings = place.load("agent: {name: a}", LETTA_BASE_URL=URL, LETTA_AGENT_ID="agent-1", AGENT_NAME="b")
    assert settings.agents == (ConfiguredAgent("a", "agent-1"),)


def test_an_old_agent_section_without_name_and_id_names_nobody(place: Place) -> None:
    assert letta(place.load("agent: {model: gpt-5}"))[0] == Mode.EMBEDDED


@pytest.mark.parametrize(
    ("agents", "says"),
    [
        ("[{name: a}, {model: x}]", r"agents\[1\]: this agent has neither a name nor an id"),
        ("[{name: ''}]", r"agents\[0\]: this agent has neither a name nor an id"),
        ("[~]", r"agents\[0\]: this agent has neither"),
        ("[{name: a}, {name: b}, {name: a, id: agent-1}]", r'agents\[2\]: "a" is there twice'),
        ("[{id: agent-1}, {id: agent-1}]", r'agents\[1\]: "agent-1" is there twice'),
        ("[a]", r'agents\[0\]: expected settings .*, got "a"'),
        ("{name: a}", r"agents: expected a list of agents, each with a name or an id, got a mapping"),
        ("[{name: [a]}]", r"agents\[0\]\.name: expected a name .*, got a list"),
    ],
)
def test_odd_agents_are_an_error_at_their_place(place: Place, agents: str, says: str) -> None:
    with pytest.raises(SettingsError, match=r"lettabot\.yaml: " + says):
        place.load(f"agents: {agents}", LETTA_BASE_URL=URL)
