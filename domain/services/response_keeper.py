"""Writes down responses whose clients wait for them, behind their answers. Those in the background are written by the
job that makes them (`response_publication.py`)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from domain.model.failures import Delivery
from domain.model.response import ResponseRecord, ResponseRequest
from domain.services.conversation_heads import ConversationHeads
from domain.services.eventual_write import write_eventually
from domain.services.live_turn import LiveTurn
from domain.services.turn_progress import TurnProgress
from ports.response_store import ResponseStore

# Seconds after which a response that goes on is written down, so that other processes know of it.
_WRITE_AFTER = 0.5
# Seconds for which the end of the service waits for writes.
_CLOSED_WITHIN = 3.0


class LiveResponse(msgspec.Struct, frozen=True):
    """One that is being made here, or is being written down."""

    record: ResponseRecord
    input: bytes
    progress: TurnProgress


class ResponseKeeper:
    """Told by `Turns` of each turn."""

    def __init__(self, store: ResponseStore, heads: ConversationHeads) -> None:
        self._store = store
        self._heads = heads
        self._live: dict[str, LiveResponse] = {}
        self._timers: dict[LiveTurn, asyncio.TimerHandle] = {}
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> Mapping[str, LiveResponse]:
        """By id."""
        return self._live

    def began(self, live: LiveTurn) -> None:
        """A turn of this process begins."""
        if (asked := _to_keep(live)) is not None:
            self._live[asked.record.id] = LiveResponse(asked.record, asked.input, live.progress)
            self._timers[live] = asyncio.get_running_loop().call_later(_WRITE_AFTER, self._write_begun, live, asked)

    async def turn_is_over(self, live: LiveTurn) -> None:
        """It makes way for the next turn in its conversation. Does not raise."""
        if live.progress.delivery is not Delivery.NO and not live.progress.is_replay:
            await self._heads.move(live.request)

    def ended(self, live: LiveTurn) -> None:
        """Its log has ended, and the turn still has its request."""
        if (asked := _to_keep(live)) is None:
            return
        self._timers.pop(live).cancel()
        progress = live.progress
        del self._live[asked.record.id]
        if live.has_left_no_trace:
            self._write(lambda: self._store.delete(asked.record.id))
            return
        # A retry that came to this process has the answer of an earlier turn, and its id.
        record = msgspec.structs.replace(asked.record, id=progress.response_id or asked.record.id)
        record = record.ended(progress.log.events[-1], progress.log.ended_at, progress.run_id)
        self._live[record.id] = LiveResponse(record, asked.input, progress)
        events = tuple(progress.log.events)
        self._write(lambda: self._store.keep(record, asked.input, events), then=lambda: self._live.pop(record.id, None))

    def forget(self, response_id: str) -> None:
        """It is not to be found any more."""
        self._live.pop(response_id, None)

    async def close(self) -> None:
        """The service stops: what has ended is written down, if the state takes it soon."""
        for timer in self._timers.values():
            timer.cancel()
        if self._writing:
            await asyncio.wait(self._writing, timeout=_CLOSED_WITHIN)

    def _write_begun(self, live: LiveTurn, asked: ResponseRequest) -> None:
        if live.progress.is_replay:
            return
        if live.progress.delivery is Delivery.YES:
            self._write(lambda: self._store.keep(asked.record, asked.input))
        else:
            self._timers[live] = asyncio.get_running_loop().call_later(_WRITE_AFTER, self._write_begun, live, asked)

    def _write(self, write: Callable[[], Awaitable[object]], then: Callable[[], object] = lambda: None) -> None:
        writing = asyncio.create_task(write_eventually(write))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        writing.add_done_callback(lambda _: then())


def _to_keep(live: LiveTurn) -> ResponseRequest | None:
    asked = live.request.response
    return asked if asked is not None and asked.is_stored and not asked.record.background else None
