"""What is written down of a turn, so that another process, or this one after a restart, knows what became of it."""

import msgspec

from domain.model.events import TurnEvent


class History(msgspec.Struct, frozen=True):
    """What was said in a conversation: a digest of the user's last words, and the ids of the user messages."""

    last_message_digest: bytes = b""
    user_message_ids: frozenset[str] = frozenset()


class TurnRecord(msgspec.Struct, frozen=True):
    """Times are in seconds since 1970. `body` stands for all that was sent, as in `Identity`; `lane`, `said` (a digest
    of the words) and `user_message_id` are for those who have to know what was said before.

    `delivery_id` and `deduplicated` are those of the `Turn`; `run_id` is known from its first event on.
    `ended_at` None: it goes on, or its process died. `events` None: they have to be asked for, with the run's id.
    After `forget_at` it stands for nothing. `kept`: of a stopped turn, what the agent remembers.
    `answered`: a client was there to get the whole answer, whose retry count was `served`."""

    body: bytes
    delivery_id: str
    deduplicated: bool
    began_at: float
    forget_at: float
    lane: str
    message_digest: bytes
    user_message_id: str | None = None
    run_id: str | None = None
    ended_at: float | None = None
    events: tuple[TurnEvent, ...] | None = None
    remembered_events: tuple[TurnEvent, ...] = ()
    answered: bool = False
    highest_retry_answered: int = -1
