"""Writes down responses whose clients wait for them, behind their answers. Those in the background are written by the
job that makes them (`response_publication.py`)."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping

import msgspec

from domain.model.failures import Delivery, FailureError
from domain.model.response import KeptResponse, ResponseRecord, ResponseRequest
from domain.services.conversation_heads import ConversationHeads
from domain.services.eventual_write import write_eventually
from domain.services.live_turn import LiveTurn
from domain.services.turn_progress import TurnProgress
from ports.response_store import ResponseStore

# Seconds after which a response that goes on is written down, so that other processes know of it.
_WRITE_AFTER = 0.5
# Seconds for which those that are to be written wait for others, and between tries while the state takes none.
_WRITTEN_WITHIN, _TRY_EVERY = 0.1, 3.0
# As many wait to be written; the oldest are given up.
_MOST_GATHERED = 10_000
# Seconds for which the end of the service waits for writes.
_CLOSED_WITHIN = 3.0

logger = logging.getLogger(__name__)


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
        # Those that were written before they had ended.
        self._begun: set[str] = set()
        self._gathered: dict[str, tuple[KeptResponse, LiveResponse | None]] = {}
        self._gathering: asyncio.Task[None] | None = None
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
        progress, response_id = live.progress, asked.record.id
        was_begun = response_id in self._begun
        self._begun.discard(response_id)
        if self._live.pop(response_id, None) is None:
            # Its client has deleted it meanwhile.
            return
        if live.has_left_no_trace:
            self._gathered.pop(response_id, None)
            if was_begun:
                self._in_background(write_eventually(lambda: self._store.delete(response_id)))
            return
        # A retry that came to this process has the answer of an earlier turn, and its id.
        record = msgspec.structs.replace(asked.record, id=progress.response_id or response_id)
        record = record.ended(progress.log.events[-1], progress.log.ended_at, progress.run_id)
        self._live[record.id] = ended = LiveResponse(record, asked.input, progress)
        self._keep(KeptResponse(record, asked.input, tuple(progress.log.events)), ended)

    def forget(self, response_id: str) -> None:
        """It is not to be found any more, and not to be written."""
        self._live.pop(response_id, None)
        self._gathered.pop(response_id, None)

    async def close(self) -> None:
        """The service stops: what has ended is written down, if the state takes it soon."""
        for timer in self._timers.values():
            timer.cancel()
        if self._writing:
            await asyncio.wait(self._writing, timeout=_CLOSED_WITHIN)

    def _write_begun(self, live: LiveTurn, asked: ResponseRequest) -> None:
        if live.progress.is_replay or asked.record.id not in self._live:
            return
        if live.progress.delivery is Delivery.YES:
            self._begun.add(asked.record.id)
            self._keep(KeptResponse(asked.record, asked.input), None)
        else:
            self._timers[live] = asyncio.get_running_loop().call_later(_WRITE_AFTER, self._write_begun, live, asked)

    def _keep(self, kept: KeptResponse, ended: LiveResponse | None) -> None:
        """Write it down soon, together with others: one write for many costs little more than one for one.

        `ended`: it is found here until then."""
        self._gathered[kept.record.id] = kept, ended
        while len(self._gathered) > _MOST_GATHERED:
            self._written(next(iter(self._gathered)))
        if self._gathering is None:
            self._gathering = self._in_background(self._write_gathered())

    async def _write_gathered(self) -> None:
        """Until nothing is left. What the state does not take is tried again, together with what comes meanwhile."""
        pause = _WRITTEN_WITHIN
        while self._gathered:
            await asyncio.sleep(pause)
            responses = [kept for kept, _ in self._gathered.values()]
            try:
                await self._store.keep(responses)
            except FailureError as error:
                logger.warning("Responses could not be written down yet: %s", error, extra={"count": len(responses)})
                pause = _TRY_EVERY
                continue
            except Exception:
                logger.exception("Responses are not written down because of a bug in this service")
            pause = _WRITTEN_WITHIN
            for kept in responses:
                if self._gathered.get(kept.record.id, (None,))[0] is kept:
                    self._written(kept.record.id)
        self._gathering = None

    def _written(self, response_id: str) -> None:
        """Or given up."""
        _, ended = self._gathered.pop(response_id)
        if ended is not None and self._live.get(response_id) is ended:
            del self._live[response_id]

    def _in_background(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        writing = asyncio.create_task(work)
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return writing


def _to_keep(live: LiveTurn) -> ResponseRequest | None:
    asked = live.request.response
    return asked if asked is not None and asked.is_stored and not asked.record.background else None
