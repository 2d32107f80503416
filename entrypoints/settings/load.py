"""Puts the settings together: flags win over YAML, YAML over the environment (for the log level, the other way)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from domain.model.agent import ConfiguredAgent
from domain.model.api_key import is_quoted, oddity
from entrypoints.settings import texts
from entrypoints.settings.backend import (
    LETTA_CLOUD,
    BackendSettings,
    Given,
    LettaOptions,
    Mode,
    Permissions,
    chosen_backends,
    is_websocket,
)
from entrypoints.settings.document import DocumentReader
from entrypoints.settings.errors import SettingsError
from entrypoints.settings.installed import installed_backend
from entrypoints.settings.legacy import with_remembered_ids
from entrypoints.settings.model import Flags, Notice, Settings
from entrypoints.settings.schema import AGENT, API, CODE_URL, SERVER, Document
from entrypoints.settings.setting import Setting, read_value
from entrypoints.settings.sources import find_source, full_path

Values = TypeVar("Values", bound=msgspec.Struct)

# Docker's --env-file keeps quotes. All other variables are refused with them, or are keys.
_TAKEN_WITH_QUOTES = ("API_HOST", "DATA_DIR", "LETTA_AGENT_NAME", "AGENT_NAME", "LETTA_AGENT_ID", "LOG_FORMAT")


def load_settings(flags: Flags, environ: Mapping[str, str], cwd: Path, home: Path) -> Settings:
    """Raises `SettingsError`. Reads files, writes none."""
    source = find_source(flags.config, environ, cwd, home)
    document, notices = Document(), list[Notice]()
    if source is not None:
        reader = DocumentReader(source, environ)
        document, notices = reader.read(), reader.notices
        if source.doubt is not None:
            notices.append(Notice("warning", source.doubt))
    chosen = _Chosen(document, flags, environ)
    agents = _agents(document, chosen)
    data_dir = full_path(chosen.value(API, "dataDir") or cwd, cwd, home)
    database = full_path(chosen.value(API, "embeddedDatabase"), data_dir, home)
    if document.backends:
        backends = _listed_backends(document, agents, database, lambda path: full_path(path, data_dir, home))
    else:
        given = _given(document, chosen, agents, database)
        backends = chosen_backends(chosen.value(SERVER, "mode"), given)
        notices += _notices_about(given, backends)
    notices += [
        Notice("warning", f"The environment variable {name} has quotes around its value, which are part of it")
        for name in _TAKEN_WITH_QUOTES
        if is_quoted(environ.get(name, ""))
    ]
    if isinstance(first := backends[0].options, LettaOptions):
        agents = with_remembered_ids(agents, data_dir, first.base_url, notices)

    settings = Settings(
        backends=backends,
        agents=agents,
        data_dir=data_dir,
        state=_state(chosen.value(API, "state"), data_dir, home),
        log_json=environ.get("LOG_FORMAT", "").lower() == "json",
        api_key=environ.get("LETTABOT_API_KEY") or None,
        source=source.place if source else None,
        notices=tuple(notices),
    )
    return _checked(_changed(settings, chosen.by_place()))


def _checked(settings: Settings) -> Settings:
    """What can only be said when everything is known."""
    if settings.workers > 1 and settings.state is None:
        raise SettingsError(
            "Several workers have to share what they remember: with server.api.state: memory there can be only one. "
            "Name a database there, or leave it out."
        )
    shared = settings.workers > 1 or settings.shares_state
    return msgspec.structs.replace(settings, turn_rules=msgspec.structs.replace(settings.turn_rules, shared=shared))


class _Chosen:
    """What was chosen for each setting. What is not used, because another place wins, is not checked either."""

    def __init__(self, document: Document, flags: Flags, environ: Mapping[str, str]) -> None:
        self._document = document
        self._flags = flags
        self._environ = environ

    def by_place(self) -> Mapping[tuple[str, ...], Any]:
        """What was chosen for the settings that have a place in `Settings`, by that place."""
        found = {}
        for setting, written in (
            *((each, self._document.server) for each in SERVER),
            *((each, self._document.api) for each in API),
        ):
            if setting.to and (value := self._first(setting, written.get(setting.key))) is not None:
                found[tuple(setting.to.split("."))] = value if setting.means is None else setting.means[value]
        return found

    def value(self, section: Sequence[Setting], key: str) -> Any:
        """What was chosen for a setting that has no place in `Settings`, or its default."""
        [setting] = [each for each in section if each.key == key]
        written = self._document.server if section is SERVER else self._document.api
        value = self._first(setting, written.get(key))
        return setting.default if value is None else value

    def variable(self, setting: Setting) -> Any:
        """The first of its environment variables that is set. Empty means unset."""
        for name in setting.variables:
            if value := self._environ.get(name):
                return read_value(setting.kind, value, f"the environment variable {name}")
        return None

    def _first(self, setting: Setting, written: Any) -> Any:
        flag = self._flags.given(setting.flag) if setting.flag else None
        if flag is not None and flag != "":
            return read_value(setting.kind, flag, setting.flag)
        if setting.environment_wins and (value := self.variable(setting)) is not None:
            return value
        return self.variable(setting) if written is None else written


def _given(document: Document, chosen: _Chosen, agents: tuple[ConfiguredAgent, ...], database: Path) -> Given:
    """What `server` and the environment say of backends."""
    written, mode = document.server.get("baseUrl"), chosen.value(SERVER, "mode")
    is_of_code = written is not None and (mode is Mode.LETTA_CODE or is_websocket(written))
    return Given(
        database,
        chosen.value(SERVER, "apiKey"),
        None if is_of_code or (url := chosen.value(SERVER, "baseUrl")) is None else texts.without_v1(url),
        written if is_of_code else chosen.variable(CODE_URL),
        chosen.value(SERVER, "token"),
        Permissions(chosen.value(SERVER, "permissions")),
        agents,
        document.server,
    )


def _listed_backends(
    document: Document, agents: tuple[ConfiguredAgent, ...], database: Path, full: Callable[[str], Path]
) -> tuple[BackendSettings, ...]:
    """Those of `backends`."""
    found = []
    for entry in document.backends:
        values = entry.values
        if entry.mode not in list(Mode):
            found.append(BackendSettings(entry.name, entry.mode, installed_backend(entry)))
            continue
        url = values.get("baseUrl")
        given = Given(
            full(values["database"]) if "database" in values else database,
            values.get("apiKey"),
            None if url is None or is_websocket(url) else texts.without_v1(url),
            url,
            values.get("token"),
            values.get("permissions", Permissions.STANDARD),
            tuple(agent for agent in agents if agent.backend == entry.name),
            values,
        )
        try:
            found.append(BackendSettings(entry.name, entry.mode, given.options(Mode(entry.mode))))
        except SettingsError as error:
            raise SettingsError(f"{entry.path}: {error}") from None
    names = {backend.name for backend in found}
    for agent in agents:
        if agent.backend is not None and agent.backend not in names:
            raise SettingsError(
                f"The agent {agent.name or agent.id} is said to be in the backend {agent.backend}, which is not among "
                f"backends: {', '.join(names)}."
            )
    return tuple(found)


def _notices_about(given: Given, backends: Sequence[BackendSettings]) -> Iterator[Notice]:
    if backends[0].mode == Mode.API and given.letta_url not in (None, LETTA_CLOUD):
        yield Notice(
            "warning",
            f"The base URL {given.letta_url} is not used: mode api means Letta Cloud ({LETTA_CLOUD}). "
            "For a Letta server of your own, set server.mode to docker.",
        )
    is_used = isinstance(backends[0].options, LettaOptions)
    if is_used and given.api_key is not None and (odd := oddity(given.api_key)) is not None:
        yield Notice("warning", f"The key for Letta (LETTA_API_KEY or server.apiKey) {odd}")


def _state(url: str, data_dir: Path, home: Path) -> str | None:
    if url == texts.MEMORY:
        return None
    if not url.startswith(texts.SQLITE):
        return url
    return f"{texts.SQLITE}{full_path(url.removeprefix(texts.SQLITE), data_dir, home)}"


def _changed(values: Values, changes: Mapping[tuple[str, ...], Any]) -> Values:
    """`values`, with others at these places."""
    fields: dict[str, Any] = {}
    for (name, *inner), value in changes.items():
        fields[name] = _changed(fields.get(name, getattr(values, name)), {tuple(inner): value}) if inner else value
    return msgspec.structs.replace(values, **fields)


def _agents(document: Document, chosen: _Chosen) -> tuple[ConfiguredAgent, ...]:
    if document.agents:
        return tuple(ConfiguredAgent(entry.name, entry.id, entry.backend) for entry in document.agents)
    name, id_, backend = (getattr(document.agent, setting.key) or chosen.variable(setting) for setting in AGENT)
    return (ConfiguredAgent(name, id_, backend),) if name or id_ else ()
