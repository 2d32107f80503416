"""Which backends the settings ask for. Half of a Letta configuration is an error, never a fall-back to embedded."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from domain.model.agent import ConfiguredAgent
from entrypoints.settings.errors import SettingsError
from ports.backend_type import BackendType

LETTA_CLOUD = "https://api.letta.com"

_GET_KEY = "Set LETTA_API_KEY (or server.apiKey in lettabot.yaml) to a key from https://app.letta.com"
_SET_URL = "set LETTA_BASE_URL (or server.baseUrl in lettabot.yaml) to its URL, such as http://localhost:8283"
_SET_CODE_URL = "Set LETTA_CODE_URL (or server.baseUrl in lettabot.yaml) to its URL, such as ws://localhost:4500"


class Mode(StrEnum):
    """What runs the agents: Letta Cloud, a Letta server of one's own, Letta Code, a server with OpenAI's API, or this
    service itself."""

    API = "api"
    DOCKER = "docker"
    LETTA_CODE = "letta-code"
    OPENAI = "openai"
    EMBEDDED = "embedded"


class Permissions(StrEnum):
    """What Letta Code's tools may do without being asked, in its own words."""

    STANDARD = "standard"
    ACCEPT_EDITS = "acceptEdits"
    STRICT = "strict"
    UNRESTRICTED = "unrestricted"


class LettaOptions(msgspec.Struct, frozen=True):
    """Letta Cloud, or a Letta server."""

    base_url: str
    api_key: str | None = None

    def __repr__(self) -> str:
        return f"LettaOptions(base_url={self.base_url!r}, ...)"


class LettaCodeOptions(msgspec.Struct, frozen=True):
    """An App Server of Letta Code."""

    base_url: str
    """With the scheme ws or wss."""
    token: str | None = None
    permissions: Permissions = Permissions.STANDARD

    def __repr__(self) -> str:
        return f"LettaCodeOptions(base_url={self.base_url!r}, ...)"


class HistoryKeeper(StrEnum):
    """Who keeps what was said: this service, for a plain model; or the server, whose agents remember."""

    LETTABOT = "lettabot"
    UPSTREAM = "upstream"


class OpenAIOptions(msgspec.Struct, frozen=True):
    """A server with OpenAI's API."""

    base_url: str
    api_key: str | None = None
    models: tuple[str, ...] = ()
    """The only ones on offer; none: all."""
    prefix: str = ""
    """Stands before the names of the models."""
    chat_header: str | None = None
    """Tells the server which chat a message belongs to."""
    system: str | None = None
    """Is sent before everything else."""
    history: HistoryKeeper = HistoryKeeper.LETTABOT

    def __repr__(self) -> str:
        return f"OpenAIOptions(base_url={self.base_url!r}, ...)"


class EmbeddedOptions(msgspec.Struct, frozen=True):
    """The built-in notebook agent."""

    database: Path
    agents: tuple[str, ...]
    """Their names."""


class InstalledOptions(msgspec.Struct, frozen=True):
    """A backend of another package."""

    type: BackendType[Any]
    values: msgspec.Struct

    def __repr__(self) -> str:
        return "InstalledOptions(...)"


BackendOptions = LettaOptions | LettaCodeOptions | OpenAIOptions | EmbeddedOptions | InstalledOptions


class BackendSettings(msgspec.Struct, frozen=True):
    """One backend."""

    name: str
    mode: str
    """A `Mode`, or the name of an installed backend."""
    options: BackendOptions

    @property
    def place(self) -> str:
        """Where it is, for people."""
        match self.options:
            case LettaOptions(base_url) | LettaCodeOptions(base_url) | OpenAIOptions(base_url):
                return base_url
            case EmbeddedOptions(database):
                return str(database)
            case InstalledOptions():
                return f"backend {self.name}"


class Given(msgspec.Struct, frozen=True):
    """What is said of one backend, or of those that `server` and the environment imply. None: nothing."""

    database: Path
    """Where a file of the built-in agent would be."""
    api_key: str | None = None
    letta_url: str | None = None
    code_url: str | None = None
    token: str | None = None
    permissions: Permissions = Permissions.STANDARD
    agents: tuple[ConfiguredAgent, ...] = ()
    openai: Mapping[str, Any] = {}
    """What the file says for mode `openai`, by key. Never what the environment says of Letta."""

    def options(self, mode: Mode) -> BackendOptions:
        """Of a backend of that mode. Raises `SettingsError`."""
        match mode:
            case Mode.API:
                return self._letta_cloud()
            case Mode.DOCKER:
                return self._letta()
            case Mode.LETTA_CODE:
                return self._letta_code()
            case Mode.OPENAI:
                return self._openai()
            case Mode.EMBEDDED:
                return self._embedded()

    def _letta_cloud(self) -> LettaOptions:
        if self.api_key is None:
            raise SettingsError(f"Mode api (Letta Cloud) needs a key. {_GET_KEY}.")
        return LettaOptions(LETTA_CLOUD, self.api_key)

    def _letta(self) -> LettaOptions:
        if self.letta_url is None:
            raise SettingsError(f"Mode docker needs to know your Letta server: {_SET_URL}.")
        return LettaOptions(self.letta_url, self.api_key)

    def _letta_code(self) -> LettaCodeOptions:
        if self.code_url is None:
            raise SettingsError(f"Mode letta-code needs to know its App Server. {_SET_CODE_URL}.")
        # The App Server speaks HTTP and WebSocket at one address, and people know either.
        url = re.sub("^http", "ws", self.code_url).removesuffix("/ws")
        return LettaCodeOptions(url, self.token, self.permissions)

    def _openai(self) -> OpenAIOptions:
        said = self.openai
        if (url := said.get("baseUrl")) is None or is_websocket(url):
            raise SettingsError(
                "Mode openai needs to know its server: set baseUrl to its URL, such as http://localhost:11434."
            )
        return OpenAIOptions(
            # Many servers have it at /v1, others at a path of their own.
            url if urlsplit(url).path else f"{url}/v1",
            said.get("apiKey"),
            said.get("models", ()),
            said.get("prefix", ""),
            said.get("chatHeader"),
            said.get("system"),
            said.get("history", HistoryKeeper.LETTABOT),
        )

    def _embedded(self) -> EmbeddedOptions:
        for agent in self.agents:
            if agent.name is None:
                raise SettingsError(
                    f"The agent {agent.id} has no name, and ids are Letta's: in embedded mode, give it a name, "
                    "or leave agents out."
                )
        names = tuple(agent.name for agent in self.agents if agent.name)
        return EmbeddedOptions(self.database, names or ("lettabot",))


def chosen_backends(mode: Mode | None, given: Given) -> tuple[BackendSettings, ...]:
    """Those of `server` and the environment: the one that was asked for, else those that the rest implies, else the
    built-in one. Raises `SettingsError`."""
    modes = [mode] if mode is not None else _implied(given)
    if not modes and given.agents:
        raise SettingsError(
            f"Agents are configured, but no Letta to find them in. {_GET_KEY}; for a Letta server of your own, "
            f"{_SET_URL}; for Letta Code, set LETTA_CODE_URL; for the embedded agent, set server.mode to embedded."
        )
    return tuple(
        BackendSettings("letta" if each in (Mode.API, Mode.DOCKER) else each.value, each.value, given.options(each))
        for each in modes or [Mode.EMBEDDED]
    )


def _implied(given: Given) -> list[Mode]:
    modes = []
    if given.letta_url is not None:
        # The old LettaBot's users were told to set it to Letta Cloud, too.
        modes.append(Mode.API if given.letta_url == LETTA_CLOUD else Mode.DOCKER)
    elif given.api_key is not None:
        modes.append(Mode.API)
    if given.code_url is not None:
        modes.append(Mode.LETTA_CODE)
    return modes


def is_websocket(url: str) -> bool:
    """Whether it is an address that only Letta Code has."""
    return url.startswith("ws")
