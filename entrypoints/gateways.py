"""From the settings of backends to their gateways. Adapters are imported only when they are chosen."""

import os
from contextlib import AsyncExitStack
from importlib import import_module

from domain.services.backends import Backend, Backends
from entrypoints.settings import Settings
from entrypoints.settings.backend import (
    BackendOptions,
    BackendSettings,
    EmbeddedOptions,
    HistoryKeeper,
    InstalledOptions,
    LettaCodeOptions,
    LettaOptions,
    OpenAIOptions,
)
from entrypoints.start_error import CannotStartError
from ports.agent_gateway import AgentGateway
from ports.backend_type import BackendError
from ports.history_store import HistoryStore
from ports.outgoing_context import OutgoingContext

_ADAPTERS: dict[type[BackendOptions], str] = {
    LettaOptions: "adapters.letta.gateway",
    LettaCodeOptions: "adapters.letta_code.gateway",
    OpenAIOptions: "adapters.openai.gateways",
    EmbeddedOptions: "adapters.embedded.gateway",
}


def import_adapters(settings: Settings) -> None:
    """Which takes a while; only those of the chosen backends. Raises `CannotStartError`."""
    try:
        for backend in settings.backends:
            if (adapter := _ADAPTERS.get(type(backend.options))) is not None:
                import_module(adapter)
    except OSError as error:
        # aiohttp sets up TLS when it is imported, and TLS opens this file.
        if not (file := os.environ.get("SSLKEYLOGFILE")):
            raise
        raise CannotStartError(
            f"SSLKEYLOGFILE names {file}, which cannot be written: {error.strerror}. Correct or unset it."
        ) from error


def opened_backends(
    settings: Settings, histories: HistoryStore, closing: AsyncExitStack, outgoing: OutgoingContext | None = None
) -> Backends:
    """In the order of the settings; `closing` closes them. Raises `CannotStartError`."""
    import_adapters(settings)
    backends = []
    for each in settings.backends:
        gateway = _gateway(each, histories, outgoing)
        closing.push_async_callback(gateway.close)
        backends.append(Backend.of(each.name, gateway))
    return Backends(backends)


def _gateway(backend: BackendSettings, histories: HistoryStore, outgoing: OutgoingContext | None) -> AgentGateway:
    match backend.options:
        case LettaOptions() as options:
            return _letta(options, outgoing)
        case LettaCodeOptions() as options:
            return _letta_code(options)
        case OpenAIOptions() as options:
            return _openai(backend.name, options, histories, outgoing)
        case EmbeddedOptions() as options:
            return _embedded(options)
        case InstalledOptions(type, values):
            try:
                return type.open(values)
            except BackendError as error:
                raise CannotStartError(f"The backend {backend.name} cannot be opened: {error}") from error


def _letta(options: LettaOptions, outgoing: OutgoingContext | None) -> AgentGateway:
    from adapters.letta.client import letta_client
    from adapters.letta.gateway import LettaGateway
    from adapters.letta.setting_error import NetworkSettingError

    try:
        return LettaGateway(letta_client(options.base_url, options.api_key, outgoing))
    except NetworkSettingError as error:
        raise CannotStartError(str(error)) from error


def _letta_code(options: LettaCodeOptions) -> AgentGateway:
    from adapters.letta_code.gateway import LettaCodeGateway

    return LettaCodeGateway(options.base_url, options.token, options.permissions)


def _openai(
    name: str, options: OpenAIOptions, histories: HistoryStore, outgoing: OutgoingContext | None
) -> AgentGateway:
    from adapters.openai.gateways import AgentServerGateway, ChatServerGateway, ModelGateway
    from adapters.openai.upstream import Upstream

    try:
        upstream = Upstream(options.base_url, options.api_key, options.models, options.prefix, options.system, outgoing)
    except (ValueError, ImportError, OSError) as error:
        # Of what the environment says about proxies and certificates.
        raise CannotStartError(f"The way to {options.base_url} cannot be set up: {error}") from error
    if options.history is HistoryKeeper.LETTABOT:
        return ModelGateway(upstream, histories, name)
    if options.chat_header is None:
        return AgentServerGateway(upstream)
    return ChatServerGateway(upstream, options.chat_header)


def _embedded(options: EmbeddedOptions) -> AgentGateway:
    from adapters.embedded.gateway import EmbeddedGateway
    from adapters.embedded.notebook import NotebookError

    try:
        return EmbeddedGateway(options.database, options.agents)
    except NotebookError as error:
        raise CannotStartError(str(error)) from error
