"""What a package offers that brings a backend of its own: an entry point of the group `lettabot.backends` leads to a
`BackendType`, and its name is the `mode` in lettabot.yaml. docs/backends.md shows how."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from ports.agent_gateway import AgentGateway

S = TypeVar("S", bound=msgspec.Struct)

GROUP = "lettabot.backends"


class BackendError(Exception):
    """The backend cannot be opened like this; the message says to the operator why, and what to do."""


class BackendType(msgspec.Struct, Generic[S], frozen=True):
    """One kind of backend."""

    settings: type[S]
    """The keys of its section in lettabot.yaml, beside `mode`."""
    open: Callable[[S], AgentGateway]
    """Called once in each process, on its event loop, before the first request. It must not wait for the network;
    raises `BackendError`."""
