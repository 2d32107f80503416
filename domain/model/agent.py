"""An agent as the domain sees it. Clients see it as an OpenAI model (see roster.py)."""

import msgspec


class Agent(msgspec.Struct, frozen=True):
    """An agent of the backend."""

    id: str
    name: str
    """Neither unique nor non-empty (recorded Letta behaviour)."""
    created_at: int
    """Seconds since 1970."""


class ConfiguredAgent(msgspec.Struct, frozen=True):
    """An agent that the operator put on offer: by name, by id, or by an id under a name of the operator's choice."""

    name: str | None = None
    id: str | None = None
