"""An agent as the domain sees it. Clients see it as an OpenAI model (see roster.py)."""

import msgspec


class Agent(msgspec.Struct, frozen=True):
    """An agent of the backend."""

    id: str
    name: str
    """Neither unique nor non-empty (recorded Letta behaviour)."""
    created_at: int
    """Seconds since 1970."""
    backend: str = ""
    """The name of its backend; empty: the first one."""

    @property
    def key(self) -> str:
        """Tells it from all other agents. The agents of the first backend have their ids as keys."""
        return f"{self.backend}/{self.id}" if self.backend else self.id


class ConfiguredAgent(msgspec.Struct, frozen=True):
    """An agent that the operator put on offer: by name, by id, or by an id under a name of the operator's choice."""

    name: str | None = None
    id: str | None = None
    backend: str | None = None
    """The name of its backend. None: it may be in any."""
