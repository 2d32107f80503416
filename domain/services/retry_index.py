"""Which requests are retries, and of which turn. The rule stands in `_match`; docs for users are in the README.

Kept in memory: what a restart, or another process, has to know as well is in the turn store."""

import asyncio
from collections import OrderedDict
from enum import Enum, auto

import msgspec

from domain.model.events import Failed, Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.turn_record import TurnRecord
from domain.model.turn_rules import TurnRules
from domain.services.live_turn import LiveTurn

# Seconds for which a turn whose client did not get its answer can be asked for again, and a promised or a frontend's
# own id is remembered.
RETRIED_WITHIN = 600.0
IDS_KEPT_FOR = 24 * 3600.0
# Turns, and characters of their answers, that are kept for this at most.
MOST_TURNS = 20_000
MOST_OF_THE_SAME = 20
MOST_CHARACTERS = 16_000_000


class RetryAction(Enum):
    """How a retry is served."""

    REPLAY = auto()
    """From the log of the turn, whether it goes on or has ended."""
    REPEAT_FAILURE = auto()
    """With the failure that the turn ended with."""
    REPLAY_INTERRUPTED = auto()
    """With what the agent remembers of a turn that was stopped."""
    AWAIT_STOP = auto()
    """By a turn behind the one that is being stopped; what that one leaves behind decides."""


class Retry(msgspec.Struct, frozen=True):
    """A request that asks again for this turn."""

    live: LiveTurn
    how: RetryAction


class _Entry(msgspec.Struct):
    """`served`: the highest retry count of a request that has got the whole answer; -1 before there is one."""

    live: LiveTurn
    body: bytes
    made_at: float
    served: int = -1


class RetryIndex:
    """The turns that may be asked for again; where other processes may be asked, only those that are going on here."""

    def __init__(self, rules: TurnRules) -> None:
        self._rules = rules
        self._by_id: OrderedDict[tuple[str, str, int], _Entry] = OrderedDict()
        self._by_body: OrderedDict[bytes, list[_Entry]] = OrderedDict()
        self._characters: dict[LiveTurn, int] = {}
        self._all_characters = 0

    def find(self, identity: Identity) -> Retry | None:
        """The turn that this request asks for again, or None: it is new. Idempotency key, then message id, then bytes.

        Raises `FailureError` (`idempotency_key_conflict`)."""
        retry = self._find(identity)
        if self._rules.shared and retry is not None and retry.how is RetryAction.AWAIT_STOP:
            # What a stopped turn leaves behind will stand in the turn store.
            return None
        return retry

    def _find(self, identity: Identity) -> Retry | None:
        now = _now()
        if (id_ := _id_of(identity)) is None:
            for same in self._by_body.get(identity.body, ()):
                self._back_to_origin(same)
                if (how := self._of_body(same, identity, now)) is not None:
                    return Retry(same.live, how)
            return None
        entry = self._by_id.get(id_)
        if entry is None or now - entry.made_at > IDS_KEPT_FOR:
            return None
        self._back_to_origin(entry)
        if _left_no_trace(entry.live):
            return None
        if identity.is_promised and entry.body != identity.body:
            raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
        how = self._of_id(entry.live, identity, now)
        return Retry(entry.live, how) if how else None

    def recalled(self, live: LiveTurn, record: TurnRecord, identity: Identity) -> RetryAction | None:
        """The same for a turn of another process that has ended, of which only the record is left."""
        if identity.is_promised and record.body != identity.body:
            raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
        now = _now()
        if _id_of(identity) is not None:
            return self._of_id(live, identity, now)
        return self._of_body(_Entry(live, identity.body, now, record.highest_retry_answered), identity, now)

    def add(self, identity: Identity, live: LiveTurn) -> None:
        """From now on, requests like this one may be retries of that turn."""
        entry = _Entry(live, identity.body, _now())
        id_ = _id_of(identity)
        if id_ is not None:
            if (before := self._by_id.get(id_)) is not None:
                self._drop(before.live)
            self._by_id[id_] = entry
            self._by_id.move_to_end(id_)
        else:
            same = self._by_body.setdefault(identity.body, [])
            while same and (self._is_over(same[0].live) or len(same) >= MOST_OF_THE_SAME):
                self._drop(same.pop(0).live)
            same.append(entry)
            self._by_body.move_to_end(identity.body)
        self._characters[live] = 0
        self._make_room()

    def settled(self, live: LiveTurn) -> None:
        """The turn has ended: from now on its answer takes up room."""
        if live not in self._characters:
            return
        if self._rules.shared:
            self._forget(live)
            return
        self._characters[live] = sum(_size(event) for event in (*live.log.events, *live.kept))
        self._all_characters += self._characters[live]
        self._shrink()

    def served(self, identity: Identity, live: LiveTurn) -> None:
        """This request has got the whole answer of that turn: only a later retry can have missed it."""
        for entry in self._by_body.get(identity.body, ()):
            if entry.live is live:
                entry.served = max(entry.served, identity.retry_count)

    def _of_body(self, entry: _Entry, identity: Identity, now: float) -> RetryAction | None:
        live = entry.live
        is_retry = identity.retry_count > max(entry.served, 0)
        last = live.log.events[-1] if live.log.ended else None
        if last is None:
            if live.stopping is not None:
                return RetryAction.AWAIT_STOP
            return RetryAction.REPLAY if is_retry or not live.readers else None
        if _left_no_trace(live) or now - live.left_at > RETRIED_WITHIN:
            return None
        if live.kept:
            return RetryAction.REPLAY_INTERRUPTED if is_retry or not live.answered else None
        if isinstance(last, Failed):
            return RetryAction.REPEAT_FAILURE if now - live.left_at <= self._rules.repeat_errors_for else None
        return RetryAction.REPLAY if is_retry or not live.answered else None

    def _of_id(self, live: LiveTurn, identity: Identity, now: float) -> RetryAction | None:
        if not live.log.ended:
            return RetryAction.AWAIT_STOP if live.stopping is not None else RetryAction.REPLAY
        if live.kept:
            return RetryAction.REPLAY_INTERRUPTED
        if isinstance(live.log.events[-1], Failed):
            # A promise holds for as long as it is remembered; a frontend may ask again for what has failed.
            promised = identity.is_promised
            return (
                RetryAction.REPEAT_FAILURE if promised or now - live.left_at <= self._rules.repeat_errors_for else None
            )
        return RetryAction.REPLAY

    def _forget(self, live: LiveTurn) -> None:
        self._drop(live)
        if (id_ := _id_of(live.identity)) is not None:
            if (entry := self._by_id.get(id_)) is not None and entry.live is live:
                del self._by_id[id_]
            return
        same = self._by_body.pop(live.identity.body, [])
        if others := [entry for entry in same if entry.live is not live]:
            self._by_body[live.identity.body] = others

    def _back_to_origin(self, entry: _Entry) -> None:
        """A turn that was to follow a stopped one, and never did, says nothing: the stopped one counts."""
        while entry.live.predecessor is not None and _left_no_trace(entry.live):
            self._drop(entry.live)
            entry.live = entry.live.predecessor
            self._characters.setdefault(entry.live, 0)

    def _make_room(self) -> None:
        now = _now()
        while self._by_body and all(self._is_over(entry.live) for entry in next(iter(self._by_body.values()))):
            self._drop_oldest_body()
        while self._by_id and now - next(iter(self._by_id.values())).made_at > IDS_KEPT_FOR:
            self._drop(self._by_id.popitem(last=False)[1].live)
        while len(self._by_body) > MOST_TURNS:
            self._drop_oldest_body()
        while len(self._by_id) > MOST_TURNS:
            self._drop(self._by_id.popitem(last=False)[1].live)

    def _shrink(self) -> None:
        while self._all_characters > MOST_CHARACTERS and len(self._characters) > 1:
            self._drop_oldest()

    def _is_over(self, live: LiveTurn) -> bool:
        return live.log.ended and (_left_no_trace(live) or _now() - live.left_at > RETRIED_WITHIN)

    def _drop_oldest(self) -> None:
        ids, bodies = next(iter(self._by_id.values()), None), next(iter(self._by_body.values()), None)
        if bodies is None or (ids is not None and ids.made_at <= bodies[0].made_at):
            self._drop(self._by_id.popitem(last=False)[1].live)
        else:
            self._drop_oldest_body()

    def _drop_oldest_body(self) -> None:
        for entry in self._by_body.popitem(last=False)[1]:
            self._drop(entry.live)

    def _drop(self, live: LiveTurn) -> None:
        self._all_characters -= self._characters.pop(live, 0)


def _id_of(identity: Identity) -> tuple[str, str, int] | None:
    return None if identity.id is None else (*identity.id, identity.attempt)


def _left_no_trace(live: LiveTurn) -> bool:
    last = live.log.events[-1] if live.log.ended else None
    return isinstance(last, Failed) and last.failure.delivery is Delivery.NO


def _size(event: TurnEvent) -> int:
    match event:
        case Text(text=text) | Reasoning(text=text) | ToolResult(text=text) | ToolCall(arguments=text):
            return len(text) + 100
    return 100


def _now() -> float:
    return asyncio.get_running_loop().time()
