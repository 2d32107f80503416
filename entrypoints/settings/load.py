"""Puts the settings together: flags win over YAML, YAML over the environment (for the log level, the other way)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from domain.model.agent import ConfiguredAgent
from domain.model.api_key import is_quoted, oddity
from entrypoints.settings import texts
from entrypoints.settings.backend import LETTA_CLOUD, choose_backend
from entrypoints.settings.document import DocumentReader
from entrypoints.settings.legacy import with_remembered_ids
from entrypoints.settings.model import Flags, Mode, Notice, Settings, SettingsError
from entrypoints.settings.schema import AGENT, API, SERVER, Document
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
    mode, api_key, base_url = (chosen.value(SERVER, key) for key in ("mode", "apiKey", "baseUrl"))
    backend = choose_backend(mode, api_key, base_url, agents)
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
    data_dir = full_path(chosen.value(API, "dataDir") or cwd, cwd, home)
    if backend.mode is not Mode.EMBEDDED:
        agents = with_remembered_ids(agents, data_dir, backend.base_url, notices)

    settings = Settings(
        mode=backend.mode,
        letta_api_key=backend.api_key,
        letta_base_url=backend.base_url,
        agents=agents,
        data_dir=data_dir,
        embedded_database=full_path(chosen.value(API, "embeddedDatabase"), data_dir, home),
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
        return tuple(ConfiguredAgent(entry.name, entry.id) for entry in document.agents)
    name, id_ = (getattr(document.agent, setting.key) or chosen.variable(setting) for setting in AGENT)
    return (ConfiguredAgent(name, id_),) if name or id_ else ()
