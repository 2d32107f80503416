"""GET /api/v1/capabilities: what this service is, what its backends can do, its limits, and what is switched on."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from domain.services.readiness import BackendState, Readiness
from entrypoints.http.auth import caller_of
from entrypoints.http.native.wire import when
from entrypoints.settings.backend import BackendSettings


class BackendAbilities(msgspec.Struct, frozen=True):
    """One backend."""

    name: str
    mode: str
    ready: bool
    since: str
    """Since when it is ready, or is not, as far as this process has looked. In UTC, ISO 8601."""
    message: str | None
    """What is wrong, while it is not ready."""
    can: tuple[str, ...]
    """Beside answering messages."""


class KeyAbilities(msgspec.Struct, frozen=True, rename="camel"):
    """The key that asks."""

    name: str
    admin: bool
    agents: tuple[str, ...]
    """The names or ids of the only agents that it is for. Empty: all."""
    chat_headers: bool


class ServiceCapabilities(msgspec.Struct, frozen=True, rename="camel"):
    """What the service is and can do. `limits` and `opt_ins` have the names of the settings."""

    version: str
    backends: list[BackendAbilities]
    limits: Mapping[str, float]
    opt_ins: Mapping[str, bool | str]
    key: KeyAbilities


class Announced(msgspec.Struct, frozen=True):
    """What does not change while the service runs."""

    version: str
    limits: Mapping[str, float]
    opt_ins: Mapping[str, bool | str]


def capabilities_handler(
    readiness: Readiness, backends: Sequence[BackendSettings], announced: Announced
) -> HTTPRouteHandler:
    @get("/capabilities", summary="What the service can do", tags=["LettaBot"])
    async def capabilities(request: Request[Any, Any, Any]) -> ServiceCapabilities:
        """Version, backends and their abilities, limits, what is switched on, and what the key that asks may do."""
        caller = caller_of(request.scope)
        states = zip(await readiness.states(), backends, strict=True)
        return ServiceCapabilities(
            announced.version,
            [_abilities(state, each.mode) for state, each in states],
            announced.limits,
            announced.opt_ins,
            KeyAbilities(caller.name, caller.is_admin, caller.agents, caller.chat_headers),
        )

    return capabilities


def _abilities(state: BackendState, mode: str) -> BackendAbilities:
    message = None if state.failure is None else state.failure.sentence
    return BackendAbilities(state.name, mode, state.failure is None, when(state.since) or "", message, state.abilities)
