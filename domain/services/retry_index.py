"""The turns of this process that may be asked for again, by what their requests are known by. Bounded in number, time
and size. Which request is a retry, and what it gets, is decided in `domain/model/retry_rule.py`.

What a restart, or another process, has to know as well is in the turn store."""

import asyncio
from collections import OrderedDict

import msgspec

from domain.model.events import Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.identity import Identity
from domain.model.retry_rule import IDS_KEPT_FOR, RETRIED_WITHIN, RetryAction, decide
from domain.model.turn_rules import TurnRules
from domain.services.live_turn import LiveTurn

# Turns, and characters of their answers, that are kept at most.
MOST_TURNS = 20_000
MOST_OF_THE_SAME = 20
MOST_CHARACTERS = 16_000_000


class _Entry(msgspec.Struct):
    live: LiveTurn
    added_at: float


class RetryIndex:
    """Where other processes share the state, only the turns that are going on here."""

    def __init__(self, rules: TurnRules) -> None:
        self._rules = rules
        self._by_id: OrderedDict[tuple[str, str, int], _Entry] = OrderedDict()
        self._by_body: OrderedDict[bytes, list[_Entry]] = OrderedDict()
        self._characters: dict[LiveTurn, int] = {}
        self._all_characters = 0

    def find(self, request: Identity) -> tuple[LiveTurn, RetryAction] | None:
        """The turn that this request asks for again, and what it gets; None: it is new."""
        now = _now()
        for entry in self._known_by_the_same(request, now):
            self._back_to_origin(entry)
            action = decide(entry.live.as_earlier_turn(), request, self._rules, now)
            if action is not RetryAction.DELIVER:
                return entry.live, action
        return None

    def add(self, identity: Identity, live: LiveTurn) -> None:
        """From now on, requests like this one may be retries of that turn."""
        entry = _Entry(live, _now())
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

    def ended(self, live: LiveTurn) -> None:
        """The turn has ended: from now on its answer takes up room."""
        if live not in self._characters:
            return
        if self._rules.shared:
            self._forget(live)
            return
        progress = live.progress
        self._characters[live] = sum(_size(event) for event in (*progress.log.events, *progress.remembered))
        self._all_characters += self._characters[live]
        while self._all_characters > MOST_CHARACTERS and len(self._characters) > 1:
            self._drop_oldest()

    def _known_by_the_same(self, request: Identity, now: float) -> list[_Entry]:
        if (id_ := _id_of(request)) is None:
            return self._by_body.get(request.body, [])
        entry = self._by_id.get(id_)
        return [] if entry is None or now - entry.added_at > IDS_KEPT_FOR else [entry]

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
        while entry.live.predecessor is not None and entry.live.has_left_no_trace:
            self._drop(entry.live)
            entry.live = entry.live.predecessor
            self._characters.setdefault(entry.live, 0)

    def _make_room(self) -> None:
        now = _now()
        while self._by_body and all(self._is_over(entry.live) for entry in next(iter(self._by_body.values()))):
            self._drop_oldest_body()
        while self._by_id and now - next(iter(self._by_id.values())).added_at > IDS_KEPT_FOR:
            self._drop_oldest_id()
        while len(self._by_body) > MOST_TURNS:
            self._drop_oldest_body()
        while len(self._by_id) > MOST_TURNS:
            self._drop_oldest_id()

    def _is_over(self, live: LiveTurn) -> bool:
        """Whether a turn without an id can no longer be asked for again."""
        has_ended = live.progress.log.ended
        return has_ended and (live.has_left_no_trace or _now() - live.audience.left_at > RETRIED_WITHIN)

    def _drop_oldest(self) -> None:
        ids, bodies = next(iter(self._by_id.values()), None), next(iter(self._by_body.values()), None)
        if bodies is None or (ids is not None and ids.added_at <= bodies[0].added_at):
            self._drop_oldest_id()
        else:
            self._drop_oldest_body()

    def _drop_oldest_id(self) -> None:
        self._drop(self._by_id.popitem(last=False)[1].live)

    def _drop_oldest_body(self) -> None:
        for entry in self._by_body.popitem(last=False)[1]:
            self._drop(entry.live)

    def _drop(self, live: LiveTurn) -> None:
        self._all_characters -= self._characters.pop(live, 0)


def _id_of(identity: Identity) -> tuple[str, str, int] | None:
    return None if identity.id is None else (*identity.id, identity.attempt)


def _size(event: TurnEvent) -> int:
    match event:
        case Text(text=text) | Reasoning(text=text) | ToolResult(text=text) | ToolCall(arguments=text):
            return len(text) + 100
    return 100


def _now() -> float:
    return asyncio.get_running_loop().time()
