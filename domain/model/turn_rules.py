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
    """`max_waiting`: turns in front of one conversation, and `max_waiting_overall`: of all conversations.

    `busy_timeout`: how long a turn waits for a conversation that somebody else keeps busy on the backend.
    `turn_timeout`: how long a turn may take from its delivery on.
    `recovery_timeout`: how long a run whose connection broke may show no progress before it is given up.
    `repeat_errors_for`: how long a request that failed after its delivery gets the same error again.
    `shared`: other processes may get turns of the same conversations, and retries of the same turns."""

    max_waiting: int = 8
    max_waiting_overall: int = 1000
    busy_timeout: float = 60.0
    turn_timeout: float = 900.0
    recovery_timeout: float = 45.0
    repeat_errors_for: float = 30.0
    on_disconnect: OnDisconnect = OnDisconnect.AUTO
    shared: bool = False
