"""What the service needs of Letta's agents; the rest of an agent's state (about 7 kB) is skipped.

Only an agent without an id cannot be offered. What else is odd of it is left out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from adapters.letta.lenient_json import decoded, elements
from domain.model.agent import Agent

# Characters. Nobody can ask for longer ones.
_LONGEST_NAME = 500


class _AgentHead(msgspec.Struct, frozen=True):
    id: str
    name: Any = None
    created_at: Any = None


_decoder = msgspec.json.Decoder(_AgentHead)


def agents_in(page: bytes) -> Sequence[Agent | None]:
    """None for each that cannot be offered; raises `msgspec.DecodeError` if it is no list."""
    return [agent_in(each) for each in elements(page)]


def agent_in(data: bytes | msgspec.Raw) -> Agent | None:
    """None: it cannot be offered."""
    head = decoded(_decoder, data)
    if head is None or not 0 < len(head.id) <= _LONGEST_NAME:
        return None
    name = head.name if isinstance(head.name, str) and len(head.name) <= _LONGEST_NAME else ""
    return Agent(head.id, name, _seconds(head.created_at))


def _seconds(created_at: Any) -> int:
    try:
        return max(0, int(msgspec.convert(created_at, datetime).timestamp()))
    except (ValueError, OverflowError, OSError):
        return 0
