"""Flags win over YAML, YAML over the environment; for the log level the environment wins over YAML."""

from pathlib import Path

import pytest

from domain.model.agent import ConfiguredAgent
from domain.model.turn_rules import OnDisconnect, TurnRules
from entrypoints.settings import Flags, Mode, SettingsError
from entrypoints.settings.chat_options import BackgroundTasks, ChatOptions, HeaderNames, ToolCalls
from tests.settings.place import Place, embedded_database, letta

ALL = """
server:
  mode: docker
  apiKey: yaml-key
  baseUrl: http://yaml:8283
  logLevel: error
  api:
    port: 1
    host: yaml.host
    corsOrigin: https://yaml.example
    toolCalls: never
    maxBodyBytes: 1000
    shutdownSeconds: 2.5
    maxWaitingTurns: 1
    maxWaitingTurnsOverall: 2
    busyTimeout: 3.5
    turnTimeout: 4.5
    recoveryTimeout: 5.5
    repeatErrorsFor: 6.5
    onDisconnect: finish
    conversations: shared
    trustChatHeaders: false
    chatIdHeader: X-Room
    messageIdHeader: X-Answer
    userMessageIdHeader: X-Question
    taskHeader: X-Chore
    backgroundTasks: agent
    imageUrls: any
    reasoning: reasoning_content
    usage: report
    dataDir: yaml-data
    embeddedDatabase: some/where.sqlite
    state: sqlite:///some/state.sqlite
agent: {name: yaml-agent, id: agent-yaml}
"""
ENVIRON = {
    "LETTA_API_KEY": "environment-key",
    "LETTA_BASE_URL": "http://environment:8283",
    "LETTA_AGENT_ID": "agent-environment",
    "LETTA_AGENT_NAME": "environment-agent",
    "PORT": "2",
    "API_HOST": "environment.host",
    "API_CORS_ORIGIN": "https://environment.example",
    "DATA_DIR": "/environment-data",
    "LOG_LEVEL": "warning",
}


def test_without_anything_all_is_at_its_default(place: Place) -> None:
    settings = place.load()
    assert letta(settings) == (Mode.EMBEDDED, "", None)
    assert (settings.host, settings.port, settings.cors_origins) == ("127.0.0.1", 8080, ())
    assert (settings.log_level, settings.log_json, settings.turn_rules) == ("info", False, TurnRules())
    assert (settings.chat_options, settings.shutdown_seconds) == (ChatOptions(), 30.0)
    assert (settings.agents, settings.api_key, settings.notices) == ((), None, ())
    assert settings.data_dir == place.cwd
    assert embedded_database(settings) == place.cwd / "lettabot-embedded.sqlite"
    assert settings.state == f"sqlite:///{place.cwd / 'lettabot-state.sqlite'}"


def test_yaml_is_taken(place: Place) -> None:
    settings = place.load(ALL)
    assert letta(settings) == (
        Mode.DOCKER,
        "http://yaml:8283",
        "yaml-key",
    )
    assert (settings.host, settings.port, settings.cors_origins) == ("yaml.host", 1, ("https://yaml.example",))
    assert (settings.log_level, settings.shutdown_seconds) == ("error", 2.5)
    assert settings.turn_rules == TurnRules(1, 2, 3.5, 4.5, 5.5, 6.5, OnDisconnect.FINISH)
    assert settings.chat_options == ChatOptions(
        max_body_bytes=1000,
        tool_calls=ToolCalls.NEVER,
        own_conversations=False,
        trust_chat_headers=False,
        header_names=HeaderNames("x-room", "x-answer", "x-question", "x-chore"),
        background_tasks=BackgroundTasks.AGENT,
        image_links=True,
        reasoning=True,
        usage=True,
    )
    assert settings.agents == (ConfiguredAgent("yaml-agent", "agent-yaml"),)
    assert settings.data_dir == place.cwd / "yaml-data"
    assert settings.state == f"sqlite:///{place.cwd / 'yaml-data' / 'some' / 'state.sqlite'}"
    assert settings.notices == ()


def test_the_environment_is_taken(place: Place) -> None:
    settings = place.load(**ENVIRON)
    assert letta(settings) == (
        Mode.DOCKER,
        "http://environment:8283",
        "environment-key",
    )
    assert (settings.host, settings.port) == ("environment.host", 2)
    assert (settings.cors_origins, settings.log_level) == (("https://environment.example",), "warning")
    assert settings.agents == (ConfiguredAgent("environment-agent", "agent-environment"),)
    assert settings.data_dir == Path("/environment-data")


def test_yaml_wins_over_the_environment_but_for_the_log_level(place: Place) -> None:
    alone, both = place.load(ALL), place.load(ALL, **ENVIRON)
    assert (letta(both)[1:], both.agents) == (("http://yaml:8283", "yaml-key"), alone.agents)
    assert (both.port, both.host, both.cors_origins, both.data_dir) == (
        alone.port,
        alone.host,
        alone.cors_origins,
        alone.data_dir,
    )
    assert both.log_level == "warning"


def test_flags_win_over_all(place: Place) -> None:
    settings = place.load(ALL, Flags(host="::1", port=0, log_level="debug"), **ENVIRON)
    assert (settings.host, settings.port, settings.log_level) == ("::1", 0, "debug")


def test_empty_variables_and_empty_yaml_values_are_unset(place: Place) -> None:
    empty = dict.fromkeys([*ENVIRON, "AGENT_NAME", "LETTABOT_LOG_LEVEL", "LOG_FORMAT", "LETTABOT_API_KEY"], "")
    assert place.load(**empty) == place.load()
    hollow = (
        "server: {mode: '', apiKey: , baseUrl: '', logLevel: ~, api: {port: , host: ''}}\nagent: {name: , id: ''}\n"
    )
    assert letta(place.load(hollow + "agents:\n"))[0] == Mode.EMBEDDED


def test_the_second_name_of_the_log_level_wins(place: Place) -> None:
    assert place.load(LOG_LEVEL="error", LETTABOT_LOG_LEVEL="debug").log_level == "debug"


def test_the_agents_name_has_two_variables(place: Place) -> None:
    url = "http://localhost:8283"
    assert place.load(LETTA_BASE_URL=url, AGENT_NAME="b").agents == (ConfiguredAgent("b"),)
    assert place.load(LETTA_BASE_URL=url, AGENT_NAME="b", LETTA_AGENT_NAME="a").agents == (ConfiguredAgent("a"),)


def test_the_old_log_levels_are_understood_in_any_case(place: Place) -> None:
    levels = {"fatal": "error", "ERROR": "error", "warn": "warning", "Info": "info", "trace": "debug"}
    assert {level: place.load(LOG_LEVEL=level).log_level for level in levels} == levels
    assert place.load("server: {logLevel: trace}").log_level == "debug"


def test_logs_are_json_on_demand(place: Place) -> None:
    assert place.load(LOG_FORMAT="json").log_json
    assert not place.load(LOG_FORMAT="pretty").log_json


def test_the_services_own_key_comes_from_the_environment_as_it_is(place: Place) -> None:
    assert place.load(LETTABOT_API_KEY=" key ").api_key == " key "


def test_a_variable_that_yaml_overrules_may_be_odd(place: Place) -> None:
    # Kubernetes sets such variables for services by itself.
    assert place.load("server: {api: {port: 5}}", PORT="tcp://10.0.0.1:80").port == 5
    with pytest.raises(SettingsError, match="the environment variable PORT: expected an integer"):
        place.load("", PORT="tcp://10.0.0.1:80")


def test_flags_are_checked_too(place: Place) -> None:
    with pytest.raises(SettingsError, match="--port: expected an integer between 0 and 65535, got 70000"):
        place.load(None, Flags(port=70000))
    with pytest.raises(SettingsError, match='--log-level: expected debug, info, warning or error, got "loud"'):
        place.load(None, Flags(log_level="loud"))


def test_a_tilde_in_paths_is_the_home_directory(place: Place) -> None:
    settings = place.load("server: {api: {dataDir: ~/data, embeddedDatabase: ~/book.sqlite}}")
    assert settings.data_dir == place.home / "data"
    assert embedded_database(settings) == place.home / "book.sqlite"
    assert place.load("", DATA_DIR="~/else").data_dir == place.home / "else"
    state = place.load("server: {api: {state: 'sqlite:///~/state.sqlite'}}").state
    assert state == f"sqlite:///{place.home / 'state.sqlite'}"


def test_the_state_can_be_kept_in_memory(place: Place) -> None:
    assert place.load("server: {api: {state: memory}}").state is None


def test_the_state_can_be_anywhere(place: Place) -> None:
    for url in ("sqlite:////var/lib/state.sqlite", "postgresql://user:secret@db.example:5433/lettabot?sslmode=require"):
        assert place.load(f"server: {{api: {{state: '{url}'}}}}").state == url
    heroku = place.load("server: {api: {state: 'postgres://user@db.example/lettabot'}}")
    assert heroku.state == "postgresql://user@db.example/lettabot"


def test_how_long_answers_are_kept(place: Place) -> None:
    assert place.load("").keep_answers_for == 86400
    assert place.load("server: {api: {keepAnswersFor: 0}}").keep_answers_for == 0


def test_settings_do_not_show_the_keys(place: Place) -> None:
    settings = place.load(LETTA_API_KEY="secret-1", LETTABOT_API_KEY="secret-2")
    assert "secret" not in repr(settings)
    assert "secret" not in f"{settings}"
