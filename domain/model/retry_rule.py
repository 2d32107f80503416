"""The retry rule: whether a request asks again for an earlier turn, and what it gets. Nothing here waits or remembers.

An agent does not forget, so a message must not be delivered twice. A request is known by its idempotency key, else by
a frontend's own message id, else by its bytes (`Identity`). Whoever has found an earlier turn that is known by the same
describes it as an `EarlierTurn`, be it a turn of this process or a record of another one, and asks `decide`.

The states of the earlier turn:

    RUNNING ──► STOPPING ──► UNDELIVERED   nothing is left of it: the request is a new one
       │            │
       │            ├──────► INTERRUPTED   it was stopped, and the agent remembers a part of it
       │            └──────► FAILED        it failed, and the message was or may have been delivered
       └───────────────────► ENDED         its answer is whole
    ORPHANED                               its process has died: only the backend knows what became of it

Bytes alone prove little: people ask the same question twice, and mean it. Without an id, a request is a retry if its
client says so (a higher retry count than the one that has the answer), or if nobody has had that answer yet; and only
for `RETRIED_WITHIN` seconds. With an id, it is always the same request, for as long as the id is remembered."""

from enum import Enum, auto

import msgspec

from domain.model.events import Failed, TurnEvent
from domain.model.failures import Delivery
from domain.model.identity import Identity
from domain.model.turn_rules import TurnRules

# Seconds for which a turn whose client did not get its answer can be asked for again without an id.
RETRIED_WITHIN = 600.0
# Seconds for which an idempotency key and a frontend's own message id are remembered.
IDS_KEPT_FOR = 24 * 3600.0


class TurnState(Enum):
    """How far an earlier turn has come, as far as is known."""

    RUNNING = auto()
    STOPPING = auto()
    UNDELIVERED = auto()
    INTERRUPTED = auto()
    FAILED = auto()
    ENDED = auto()
    ORPHANED = auto()


class EarlierTurn(msgspec.Struct, frozen=True):
    """What is known of the turn that a request may ask for again."""

    state: TurnState
    body: bytes
    """The digest of its request, as in `Identity`."""
    since: float
    """When it ended, or lost its last reader; in seconds, on the same clock as `now` in `decide`."""
    is_watched: bool = False
    """A client reads it now."""
    is_answered: bool = False
    """A client got the whole answer."""
    highest_retry_answered: int = -1
    """The highest retry count of a request that got the whole answer; -1: there is none."""
    is_answer_kept: bool = True
    """Whether its events are still there; if not, the backend has to be asked for them."""


class RetryAction(Enum):
    """What a request gets that is known by the same as an earlier turn."""

    DELIVER = auto()
    """It is a new request: its message is delivered."""
    ATTACH = auto()
    """It reads the turn that goes on."""
    REPLAY = auto()
    """It gets the answer of the turn again."""
    REPLAY_INTERRUPTED = auto()
    """It gets what the agent remembers of a turn that was stopped."""
    REPEAT_FAILURE = auto()
    """It gets the failure of the turn again."""
    AWAIT_STOP = auto()
    """It waits behind the turn that is being stopped. What that turn leaves behind decides."""
    ASK_BACKEND = auto()
    """The backend is asked what became of the turn, before anything is delivered."""
    REFUSE = auto()
    """Its idempotency key was used for another request."""


def decide(earlier: EarlierTurn, request: Identity, rules: TurnRules, now: float) -> RetryAction:
    """What that request gets. `now` is in seconds, on the clock of `earlier.since`."""
    age = now - earlier.since
    says_so = request.has_id or request.retry_count > max(earlier.highest_retry_answered, 0)
    is_in_time = request.has_id or age <= RETRIED_WITHIN
    match earlier.state:
        case TurnState.UNDELIVERED:
            return RetryAction.DELIVER
        case _ if request.is_promised and request.body != earlier.body:
            return RetryAction.REFUSE
        case TurnState.ORPHANED:
            return RetryAction.ASK_BACKEND
        case TurnState.STOPPING:
            # Where other processes share the state, the turn store will say what the stopped turn leaves behind.
            return RetryAction.DELIVER if rules.shared else RetryAction.AWAIT_STOP
        case TurnState.RUNNING if says_so or not earlier.is_watched:
            return RetryAction.ATTACH
        case TurnState.FAILED if is_in_time and (request.is_promised or age <= rules.repeat_errors_for):
            return RetryAction.REPEAT_FAILURE
        case (TurnState.INTERRUPTED | TurnState.ENDED) as state if is_in_time and (says_so or not earlier.is_answered):
            if not earlier.is_answer_kept:
                return RetryAction.ASK_BACKEND
            return RetryAction.REPLAY if state is TurnState.ENDED else RetryAction.REPLAY_INTERRUPTED
    return RetryAction.DELIVER


def state_after(last: TurnEvent, remembered: bool) -> TurnState:
    """The state of a turn whose log ended with that event. `remembered`: the agent remembers a part of the answer."""
    if not isinstance(last, Failed):
        return TurnState.ENDED
    if last.failure.delivery is Delivery.NO:
        return TurnState.UNDELIVERED
    return TurnState.INTERRUPTED if remembered else TurnState.FAILED
