"""What the operator decides about turns. Times are in seconds."""

from enum import StrEnum

import msgspec


class OnDisconnect(StrEnum):
    """What becomes of a turn that nobody reads any more.

    `AUTO`: a stream's turn is cancelled; a plain request's turn goes on, because SDKs that time out ask again."""

    AUTO = "auto"
    CANCEL = "cancel"
    FINISH = "finish"


class TurnRules(msgspec.Struct, frozen=True):
    """What holds for all turns."""

    max_waiting: int = 8
    """How many turns may wait for one conversation."""
    max_waiting_overall: int = 1000
    """How many turns may wait, for all conversations together."""
    busy_timeout: float = 60.0
    """How long a turn waits for a conversation that somebody else keeps busy on the backend."""
    turn_timeout: float = 900.0
    """How long a turn may take from its delivery on."""
    recovery_timeout: float = 45.0
    """How long a run whose connection broke may show no progress before it is given up."""
    repeat_errors_for: float = 30.0
    """How long a request that failed after its delivery gets the same error again."""
    on_disconnect: OnDisconnect = OnDisconnect.AUTO
    shared: bool = False
    """Whether other processes may get turns of the same conversations, and retries of the same turns."""
