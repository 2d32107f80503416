"""From what the YAML holds to the sections that this service has: `${VAR}`, checks, and notices about the rest."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from entrypoints.settings import kinds, texts
from entrypoints.settings.backend import Mode
from entrypoints.settings.errors import SettingsError
from entrypoints.settings.model import Level, Notice
from entrypoints.settings.schema import (
    AGENT,
    API,
    BACKEND,
    OF_BACKEND,
    SERVER,
    AgentEntry,
    BackendEntry,
    Document,
)
from entrypoints.settings.setting import Setting, read_value
from entrypoints.settings.sources import Source

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Keys of the old LettaBot that come close to one of ours, but are not typing errors.
# fmt: off
_OLD_KEYS = frozenset({
    "attachments", "channels", "displayName", "features", "hooks", "integrations", "model",
    "polling", "providers", "skills", "tools", "transcription", "tts", "workingDir",
})
# fmt: on
_SIMILAR = 0.75


class DocumentReader:
    """Reads one source once. Raises `SettingsError`; what deserves no error is in `notices` afterwards."""

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self.notices: list[Notice] = []
        self._source = source
        self._environ = environ
        self._unused: dict[str, None] = {}

    def read(self) -> Document:
        root = self._mapping(self._source.data, "")
        server, api = self._server(root)
        agent = AgentEntry(**self._section(AGENT, root.get("agent"), "agent"))
        document = Document(server, api, agent, self._agents(root), self._backends(root))
        self._sort_out(root, "", ("server", "backends", "agent", "agents", "api", "conversations"))
        if "conversations" in root or "agents[].conversations" in self._unused:
            self._unused.pop("agents[].conversations", None)
            self._note("info", "conversations is accepted, but has no effect yet")
        if self._unused:
            self._note("info", f"without effect in this service: {', '.join(self._unused)}")
        if document.agents and agent != AgentEntry():
            self._note("warning", "agent is ignored, because agents is there; keep one of the two")
        if document.backends and (unused := [key for key in OF_BACKEND if key in server]):
            names = ", ".join(f"server.{key}" for key in unused)
            self._note("warning", f"{names}: ignored, because backends is there")
        return document

    def _server(self, root: Mapping[object, object]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """`server`, and `server.api`."""
        raw = self._mapping(root.get("server"), "server")
        old, new = root.get("api"), raw.get("api")
        if old is not None and new is not None:
            raise self._error("api", "this is there twice, also as server.api. Keep server.api only")
        if old is not None:
            self._note("warning", "api has moved: write it as server.api")
        api = self._section(API, new, "server.api") if old is None else self._section(API, old, "api")
        return self._section(SERVER, raw, "server", "api"), api

    def _agents(self, root: Mapping[object, object]) -> tuple[AgentEntry, ...]:
        raw = root.get("agents")
        if raw is None:
            return ()
        if not isinstance(raw, list):
            raise self._error("agents", f"expected a list of agents, each with a name or an id, got {texts.shown(raw)}")
        entries: list[AgentEntry] = []
        names: set[str] = set()
        for index, each in enumerate(raw):
            path = f"agents[{index}]"
            entry = AgentEntry(**self._section(AGENT, each, path))
            name = entry.name or entry.id
            if name is None:
                raise self._error(path, "this agent has neither a name nor an id. Give it one of them")
            if name in names:
                raise self._error(path, f"{texts.shown(name)} is there twice. Clients need different names")
            names.add(name)
            entries.append(entry)
        return tuple(entries)

    def _backends(self, root: Mapping[object, object]) -> tuple[BackendEntry, ...]:
        entries = []
        for name, raw in self._mapping(root.get("backends"), "backends").items():
            path = f"backends.{name}"
            name = read_value(kinds.BACKEND_NAME, name, self._place("backends"))
            section = self._mapping(raw, path)
            [mode_of] = [setting for setting in BACKEND if setting.key == "mode"]
            mode = self._value(mode_of, section.get("mode"), f"{path}.mode")
            if not isinstance(mode, str):
                raise self._error(f"{path}.mode", f"expected {mode_of.kind.expected}, got nothing")
            if mode in list(Mode):
                values = self._section(BACKEND, section, path)
            else:
                values = {str(key): self._all_filled(value, path) for key, value in section.items() if key != "mode"}
            entries.append(BackendEntry(name, mode, values, self._place(path)))
        return tuple(entries)

    def _all_filled(self, raw: object, path: str) -> object:
        """With the variables in all texts of it."""
        if isinstance(raw, dict):
            return {key: self._all_filled(value, path) for key, value in raw.items()}
        return [self._all_filled(each, path) for each in raw] if isinstance(raw, list) else self._filled(raw, path)

    def _section(self, settings: Sequence[Setting], raw: object, path: str, *others: str) -> Mapping[str, Any]:
        """The values of these settings, by key. `others`: keys that are also known there."""
        mapping = self._mapping(raw, path)
        values = {
            setting.key: value
            for setting in settings
            if (value := self._value(setting, mapping.get(setting.key), f"{path}.{setting.key}")) is not None
        }
        self._sort_out(mapping, re.sub(r"\d+", "", path) + ".", (*(setting.key for setting in settings), *others))
        return values

    def _value(self, setting: Setting, raw: object, path: str) -> object:
        value = [self._filled(each, path) for each in raw] if isinstance(raw, list) else self._filled(raw, path)
        # Empty means unset, here as in the environment.
        return None if value is None or value == "" else read_value(setting.kind, value, self._place(path), raw)

    def _filled(self, raw: object, path: str) -> object:
        return _VARIABLE.sub(lambda found: self._variable(found[1], path), raw) if isinstance(raw, str) else raw

    def _variable(self, name: str, path: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise self._error(path, f"the environment variable {name} is not set. Set it, or take ${{{name}}} out")
        return value

    def _mapping(self, raw: object, path: str) -> Mapping[object, object]:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            raise self._error(path, f"expected settings (lines of `key: value`), got {texts.shown(raw)}")
        return raw

    def _sort_out(self, mapping: Mapping[object, object], prefix: str, ours: tuple[str, ...]) -> None:
        """Tells typing errors in keys from keys that only the old LettaBot had."""
        by_lower = {key.lower(): key for key in ours}
        for key in mapping:
            if key in ours:
                continue
            name = key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else texts.shown(key)
            close = [] if key in _OLD_KEYS else get_close_matches(name.lower(), by_lower, n=1, cutoff=_SIMILAR)
            if close:
                self._note("warning", f"{prefix}{name} is not a setting; did you mean {prefix}{by_lower[close[0]]}?")
            else:
                self._unused[prefix + name] = None

    def _note(self, level: Level, text: str) -> None:
        self.notices.append(Notice(level, f"{self._source.place}: {text}"))

    def _place(self, path: str) -> str:
        return f"{self._source.place}: {path}" if path else self._source.place

    def _error(self, path: str, text: str) -> SettingsError:
        return SettingsError(f"{self._place(path)}: {text}")
