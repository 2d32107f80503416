"""One background response while it is made here: its events are written down before any client gets them, so that after
a crash the next attempt goes on with the same events and the same numbers."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Sequence

import msgspec

from domain.model.events import Accepted, Ended, Failed, TurnEvent
from domain.model.failures import FailureError
from domain.model.remainder import ContradictionError, remainder
from domain.model.response import ResponseRecord, ResponseStatus
from domain.services.turn_log import TurnLog
from ports.response_store import ResponseStore

# Seconds between two writes, and between tries while the state takes none.
WRITE_EVERY, TRY_EVERY = 0.1, 2.0

logger = logging.getLogger(__name__)


class ResponsePublication:
    """Of one attempt of its job. `log` is what clients read."""

    def __init__(self, store: ResponseStore, record: ResponseRecord) -> None:
        self.log = TurnLog()
        self.is_over = False
        self._store = store
        self._record = record
        self._earlier: Sequence[TurnEvent] = ()
        self._seen: list[TurnEvent] = []
        self._unwritten: Sequence[TurnEvent] = ()
        self._pending: list[TurnEvent] = []
        self._write_at = 0.0

    @property
    def record(self) -> ResponseRecord:
        """As it is now."""
        return self._record

    async def attempt(self) -> None:
        """The attempt begins: it may tell again what an earlier one has told. Raises `FailureError`."""
        for event in await self._store.events(self._record.id):
            self.log.append(event)
        self._earlier = tuple(self.log.events)
        if self._record.status is ResponseStatus.QUEUED and not self.log.ended:
            self._record = msgspec.structs.replace(self._record, status=ResponseStatus.IN_PROGRESS)
            await self._store.change(self._record)

    @property
    def wake_at(self) -> float:
        """When there is something to write, in the event loop's time; infinite if nothing waits for that."""
        return self._write_at if self._pending or self._unwritten else math.inf

    async def add(self, events: Sequence[TurnEvent], now: float) -> None:
        """What the attempt has told since the last call; its end is not published here. Does not raise."""
        self._pending += [event for event in events if not isinstance(event, Ended | Failed)]
        if (self._pending or self._unwritten) and now >= self._write_at:
            await self._publish()
            pause = TRY_EVERY if self._unwritten else WRITE_EVERY
            self._write_at = asyncio.get_running_loop().time() + pause

    async def end(self, last: TurnEvent) -> None:
        """The job has ended with that event. Raises `FailureError`; then it is to be called again."""
        if self._record.status.is_final:
            return
        if not self.log.ended:
            await self._publish([last])
        runs = [event.run_id for event in self.log.events if isinstance(event, Accepted)]
        self._record = self._record.ended(self.log.events[-1], self.log.ended_at, runs[-1] if runs else None)
        await self._store.change(self._record)

    def leave(self) -> None:
        """The attempt is over: who reads has to look whether another one follows."""
        self.is_over = True
        self.log.wake()

    async def _publish(self, last: Sequence[TurnEvent] = ()) -> None:
        new = [*self._unwritten, *self._new(), *last]
        self._pending, self._unwritten = [], ()
        if not new or self.log.ended:
            return
        try:
            await self._store.add_events(self._record.id, len(self.log.events), new)
        except FailureError as error:
            self._unwritten = new[: len(new) - len(last)]
            if last:
                raise
            # Clients wait with the state: what they got must not get other numbers after a crash.
            logger.warning("What was said in a response could not be written down yet: %s", error)
            return
        for event in new:
            self.log.append(event)

    def _new(self) -> Sequence[TurnEvent]:
        """What of the pending events nobody has got in an earlier attempt."""
        if not self._earlier:
            return self._pending
        self._seen += self._pending
        told = [event for event in self._earlier if not isinstance(event, Accepted)]
        said_since = [*self.log.events[len(self._earlier) :], *self._unwritten]
        try:
            # In whole texts: blanks at the end of a piece would be counted twice.
            rest = remainder([*told, *said_since], TurnLog(self._seen).folded().events)
        except ContradictionError:
            logger.warning("A later attempt has told something else; it stands behind what was told before")
            return self._pending
        return [event for event in rest if not isinstance(event, Accepted)]


class ResponsePublications:
    """Those of the jobs that are carried out here."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store
        self._live: dict[str, ResponsePublication] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    def find(self, response_id: str) -> ResponsePublication | None:
        """None: it is not being made here."""
        return self._live.get(response_id)

    async def wait(self, response_id: str, seconds: float) -> None:
        """Return when it begins to be made here, or after so many seconds."""
        begun = self._waiting.setdefault(response_id, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(begun.wait(), seconds)
        if self._waiting.get(response_id) is begun:
            del self._waiting[response_id]

    @contextlib.asynccontextmanager
    async def attempt(self, response_id: str | None) -> AsyncIterator[ResponsePublication | None]:
        """While the job of this response makes an attempt. None: nobody can ask for its answer, or not any more.

        Raises `FailureError`."""
        record = None if response_id is None else await self._store.find(response_id)
        if record is None:
            yield None
            return
        publication = ResponsePublication(self._store, record)
        await publication.attempt()
        self._live[record.id] = publication
        if (begun := self._waiting.pop(record.id, None)) is not None:
            begun.set()
        try:
            yield publication
        finally:
            del self._live[record.id]
            publication.leave()
