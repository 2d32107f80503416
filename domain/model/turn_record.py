"""What is written down of a turn, so that another process, or this one after a restart, knows what became of it."""

import msgspec

from domain.model.events import TurnEvent
from domain.model.retry_rule import EarlierTurn, TurnState, state_after


class History(msgspec.Struct, frozen=True):
    """What was said in a conversation before; only digests and ids."""

    last_message_digest: bytes = b""
    user_message_ids: frozenset[str] = frozenset()


class TurnRecord(msgspec.Struct, frozen=True):
    """One turn. Times are in seconds since 1970."""

    body: bytes
    """The digest of its request, as in `Identity`."""
    delivery_id: str
    deduplicated: bool
    """This and `delivery_id` are those of the `Turn`."""
    began_at: float
    forget_at: float
    """After this time the record means nothing."""
    lane: str
    message_digest: bytes
    user_message_id: str | None = None
    run_id: str | None = None
    """Known when the backend has accepted the message."""
    ended_at: float | None = None
    """None: the turn goes on, or its process died."""
    events: tuple[TurnEvent, ...] | None = None
    """None: the backend has to be asked for them, by the run id."""
    remembered_events: tuple[TurnEvent, ...] = ()
    """Of a stopped turn: what the agent remembers."""
    answered: bool = False
    """A client was there to get the whole answer."""
    highest_retry_answered: int = -1
    """The highest retry count of the requests that were there to get it."""
    response_id: str | None = None
    """Of the response that its answer is."""

    def as_earlier_turn(self, now: float) -> EarlierTurn:
        """For the retry rule, on this clock."""
        state = TurnState.ORPHANED
        if self.ended_at is not None:
            # Of a turn whose events are not kept, it is only known that it has ended.
            state = state_after(self.events[-1], bool(self.remembered_events)) if self.events else TurnState.ENDED
        return EarlierTurn(
            state,
            self.body,
            since=min(now, self.ended_at or self.began_at),
            is_answered=self.answered,
            highest_retry_answered=self.highest_retry_answered,
            is_answer_kept=self.events is not None,
        )
