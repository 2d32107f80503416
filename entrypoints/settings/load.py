"""Puts the settings together: flags win over YAML, YAML over the environment (for the log level, the other way)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from domain.model.agent import ConfiguredAgent
from domain.model.api_key import is_quoted, oddity
from domain.model.job import JobRules
from domain.model.turn_rules import TurnRules
from entrypoints.settings import texts
from entrypoints.settings.backend import LETTA_CLOUD, choose_backend
from entrypoints.settings.chat_options import ChatOptions, HeaderNames
from entrypoints.settings.document import DocumentReader
from entrypoints.settings.job_options import JobOptions
from entrypoints.settings.legacy import with_remembered_ids
from entrypoints.settings.model import Flags, Mode, Notice, Settings, SettingsError
from entrypoints.settings.schema import AgentEntry, Api, Document, Server, read_value
from entrypoints.settings.sources import find_source, full_path

Values = TypeVar("Values", bound=msgspec.Struct)

# Docker's --env-file keeps quotes. All other variables are refused with them, or are keys.
_TAKEN_WITH_QUOTES = ("API_HOST", "DATA_DIR", "LETTA_AGENT_NAME", "AGENT_NAME", "LETTA_AGENT_ID", "LOG_FORMAT")
_DATABASE = "lettabot-embedded.sqlite"
_STATE = f"{texts.SQLITE}lettabot-state.sqlite"


def load_settings(flags: Flags, environ: Mapping[str, str], cwd: Path, home: Path) -> Settings:
    """Raises `SettingsError`. Reads files, writes none."""
    source = find_source(flags.config, environ, cwd, home)
    document, notices = Document(), list[Notice]()
    if source is not None:
        reader = DocumentReader(source, environ)
        document, notices = reader.read(), reader.notices
        if source.doubt is not None:
            notices.append(Notice("warning", source.doubt))
    given = _Given(environ)
    server, api = document.server, document.server.api

    agents = _agents(document, given)
    backend = choose_backend(
        server.mode,
        server.api_key or given.variable(Server, "apiKey", "LETTA_API_KEY"),
        server.base_url or given.variable(Server, "baseUrl", "LETTA_BASE_URL"),
        agents,
    )
    if backend.ignored_url:
        notices.append(
            Notice(
                "warning",
                f"The base URL {backend.ignored_url} is not used: mode api means Letta Cloud ({LETTA_CLOUD}). "
                "For a Letta server of your own, set server.mode to docker.",
            )
        )
    if backend.api_key is not None and (odd := oddity(backend.api_key)) is not None:
        notices.append(Notice("warning", f"The key for Letta (LETTA_API_KEY or server.apiKey) {odd}"))
    notices += [
        Notice("warning", f"The environment variable {name} has quotes around its value, which are part of it")
        for name in _TAKEN_WITH_QUOTES
        if is_quoted(environ.get(name, ""))
    ]
    data_dir = full_path(api.data_dir or given.variable(Api, "dataDir", "DATA_DIR") or cwd, cwd, home)
    if backend.mode is not Mode.EMBEDDED:
        agents = with_remembered_ids(agents, data_dir, backend.base_url, notices)

    settings = Settings(
        mode=backend.mode,
        letta_api_key=backend.api_key,
        letta_base_url=backend.base_url,
        agents=agents,
        data_dir=data_dir,
        embedded_database=full_path(api.embedded_database or _DATABASE, data_dir, home),
        state=_state(api.state, data_dir, home),
        log_json=environ.get("LOG_FORMAT", "").lower() == "json",
        api_key=environ.get("LETTABOT_API_KEY") or None,
        source=source.place if source else None,
        notices=tuple(notices),
    )
    return _checked(_with_choices(settings, _choices(flags, api, server, given)))


def _checked(settings: Settings) -> Settings:
    """What can only be said when everything is known."""
    if settings.workers > 1 and settings.state is None:
        raise SettingsError(
            "Several workers have to share what they remember: with server.api.state: memory there can be only one. "
            "Name a database there, or leave it out."
        )
    shared = settings.workers > 1 or settings.shares_state
    return msgspec.structs.replace(settings, turn_rules=msgspec.structs.replace(settings.turn_rules, shared=shared))


class _Given:
    """Values from flags and from the environment: empty means unset, and they are checked only when they are used."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def variable(self, section: type[msgspec.Struct], key: str, *names: str) -> Any:
        """The first of these variables that is set."""
        for name in names:
            if value := self._environ.get(name):
                return read_value(section, key, value, f"the environment variable {name}")
        return None

    def flag(self, section: type[msgspec.Struct], key: str, name: str, value: object) -> Any:
        return None if value is None or value == "" else read_value(section, key, value, name)


def _choices(flags: Flags, api: Api, server: Server, given: _Given) -> dict[str, Any]:
    """For each setting that has a default, what was chosen instead; None where nothing was."""

    def first(*ways: Any) -> Any:
        for way in ways:
            value = way() if callable(way) else way
            if value is not None:
                return value
        return None

    return {
        "host": first(
            given.flag(Api, "host", "--host", flags.host), api.host, lambda: given.variable(Api, "host", "API_HOST")
        ),
        "port": first(
            given.flag(Api, "port", "--port", flags.port), api.port, lambda: given.variable(Api, "port", "PORT")
        ),
        "workers": first(given.flag(Api, "workers", "--workers", flags.workers), api.workers),
        "cors_origins": first(api.cors_origin, lambda: given.variable(Api, "corsOrigin", "API_CORS_ORIGIN")),
        "log_level": first(
            given.flag(Server, "logLevel", "--log-level", flags.log_level),
            lambda: given.variable(Server, "logLevel", "LETTABOT_LOG_LEVEL", "LOG_LEVEL"),
            server.log_level,
        ),
        "shutdown_seconds": api.shutdown_seconds,
        "keep_answers_for": api.keep_answers_for,
        "turn_rules": _turn_rules(api),
        "chat_options": _chat_options(api),
        "job_rules": _with_choices(
            JobRules(),
            {"tries": api.job_tries, "max_open": api.max_open_jobs, "max_open_bytes": api.max_open_job_bytes},
        ),
        "job_options": _with_choices(
            JobOptions(),
            {
                "allow_http_callbacks": api.allow_http_callbacks,
                "allow_private_callbacks": api.allow_private_callbacks,
            },
        ),
    }


def _state(url: str | None, data_dir: Path, home: Path) -> str | None:
    url = url or _STATE
    if url == texts.MEMORY:
        return None
    if not url.startswith(texts.SQLITE):
        return url
    return f"{texts.SQLITE}{full_path(url.removeprefix(texts.SQLITE), data_dir, home)}"


def _turn_rules(api: Api) -> TurnRules:
    return _with_choices(
        TurnRules(),
        {
            "max_waiting": api.max_waiting_turns,
            "max_waiting_overall": api.max_waiting_turns_overall,
            "busy_timeout": api.busy_timeout,
            "turn_timeout": api.turn_timeout,
            "recovery_timeout": api.recovery_timeout,
            "repeat_errors_for": api.repeat_errors_for,
            "on_disconnect": api.on_disconnect,
        },
    )


def _chat_options(api: Api) -> ChatOptions:
    names = _with_choices(
        HeaderNames(),
        {
            "chat": api.chat_id_header,
            "message": api.message_id_header,
            "user_message": api.user_message_id_header,
            "task": api.task_header,
        },
    )
    return _with_choices(
        ChatOptions(
            header_names=names,
            own_conversations=api.conversations != "shared",
            image_links=api.image_urls == "any",
            reasoning=api.reasoning == "reasoning_content",
            usage=api.usage == "report",
        ),
        {
            "max_body_bytes": api.max_body_bytes,
            "tool_calls": api.tool_calls,
            "trust_chat_headers": api.trust_chat_headers,
            "background_tasks": api.background_tasks,
            "repeat_errors_for": api.repeat_errors_for,
        },
    )


def _with_choices(values: Values, choices: Mapping[str, Any]) -> Values:
    return msgspec.structs.replace(values, **{name: value for name, value in choices.items() if value is not None})


def _agents(document: Document, given: _Given) -> tuple[ConfiguredAgent, ...]:
    if document.agents:
        return tuple(ConfiguredAgent(entry.name, entry.id) for entry in document.agents)
    name = document.agent.name or given.variable(AgentEntry, "name", "LETTA_AGENT_NAME", "AGENT_NAME")
    id_ = document.agent.id or given.variable(AgentEntry, "id", "LETTA_AGENT_ID")
    return (ConfiguredAgent(name, id_),) if name or id_ else ()
