"""Claims the record of a turn before its message is sent: who has the claim sends, and nobody else.

A write that failed, or was cut off, may have been done all the same. Such a record is taken for doubtful and revoked:
the next turn of its key would think that a process has died in the middle of it."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.model.lane import name_of
from domain.model.retry_rule import IDS_KEPT_FOR, RETRIED_WITHIN
from domain.model.turn_record import History, TurnRecord
from domain.model.turn_rules import TurnRules
from domain.services.eventual_write import write_eventually
from domain.services.live_turn import LiveTurn
from domain.services.message_composer import digest_of
from domain.services.record_writer import RecordWriter
from ports.turn_store import TurnStore

T = TypeVar("T")


class TurnRecords:
    """Of one turn store. All asynchronous methods raise `FailureError`."""

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        self._writing: set[asyncio.Task[None]] = set()
        # The delivery ids of doubtful records, by key.
        self._doubtful: dict[str, set[str]] = {}

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        """Write the record, unless there is one of that key: then return that one."""
        await self._revoke_doubtful(key)
        return await self._doubtful_unless_done(key, record, self._store.claim(key, record))

    def is_doubtful(self, key: str) -> bool:
        """Whether there may be a record of that key that has to be revoked before another one is claimed."""
        return key in self._doubtful

    def doubt(self, key: str, record: TurnRecord) -> None:
        """Nobody knows whether this record was written, and nobody is going to send its message."""
        self._doubtful.setdefault(key, set()).add(record.delivery_id)
        self._write_later(lambda: self._revoke_doubtful(key))

    async def claim_again(self, key: str, earlier: TurnRecord) -> None:
        """Keep the earlier record: its delivery goes on here, with the same delivery id."""
        await self._store.replace(key, earlier, earlier.delivery_id)

    async def take_over(self, key: str, earlier: TurnRecord, record: TurnRecord) -> None:
        """Write the record in place of the earlier one, which nobody needs any more."""
        await self._doubtful_unless_done(key, record, self._store.replace(key, record, earlier.delivery_id))

    async def history(self, record: TurnRecord) -> History:
        """What was said in the conversation of that turn before."""
        return await self._store.history(record.lane, record.delivery_id)

    def writer(self, key: str, record: TurnRecord) -> RecordWriter:
        """For a record that was claimed."""
        return RecordWriter(self._store, key, record, self._write_later)

    async def _doubtful_unless_done(self, key: str, record: TurnRecord, writing: Awaitable[T]) -> T:
        try:
            return await writing
        except BaseException:
            self.doubt(key, record)
            raise

    async def _revoke_doubtful(self, key: str) -> None:
        for delivery_id in [*self._doubtful.get(key, ())]:
            await self._store.revoke(key, delivery_id)
            if (doubtful := self._doubtful.get(key)) is not None:
                doubtful.discard(delivery_id)
                if not doubtful:
                    del self._doubtful[key]

    def _write_later(self, write: Callable[[], Awaitable[None]]) -> None:
        writing = asyncio.create_task(write_eventually(write))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)


def new_record(live: LiveTurn, rules: TurnRules) -> TurnRecord:
    """Of a turn whose message was not sent before, with a delivery id of its own."""
    now = time.time()
    kept_for = IDS_KEPT_FOR if live.identity.has_id else rules.turn_timeout + RETRIED_WITHIN
    return TurnRecord(
        live.identity.body,
        str(uuid.uuid4()),
        live.request.deduplicated,
        began_at=now,
        forget_at=now + kept_for,
        lane=name_of(live.request.lane),
        message_digest=digest_of(live.request.message),
        user_message_id=live.request.user_message_id,
        response_id=live.progress.response_id,
    )
