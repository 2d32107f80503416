"""A response store in memory: forgotten with the process."""

from collections import OrderedDict
from collections.abc import Sequence

from domain.model.events import TurnEvent
from domain.model.response import KeptResponse, ResponseRecord

# Responses that are kept at most, and bytes of what was said in them, roughly. The oldest go first.
MOST_RESPONSES = 10_000
MOST_BYTES = 50_000_000
_EVENT = 100


class MemoryResponseStore:
    """`ports.ResponseStore`."""

    def __init__(self, most: int = MOST_RESPONSES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._records: OrderedDict[str, ResponseRecord] = OrderedDict()
        self._inputs: dict[str, bytes] = {}
        self._events: dict[str, list[TurnEvent]] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._heads: OrderedDict[str, str] = OrderedDict()

    async def keep(self, responses: Sequence[KeptResponse]) -> None:
        for kept in responses:
            id_ = kept.record.id
            self._records[id_] = kept.record
            self._inputs[id_] = kept.input
            if kept.events:
                self._events[id_] = list(kept.events)
            self._grow(id_, len(kept.input) + _EVENT * len(kept.events))
        while len(self._records) > self._most or (self._size > self._most_bytes and len(self._records) > 1):
            await self.delete(next(iter(self._records)))

    async def find(self, response_id: str) -> ResponseRecord | None:
        return self._records.get(response_id)

    async def input(self, response_id: str) -> bytes | None:
        return self._inputs.get(response_id)

    async def change(self, record: ResponseRecord) -> None:
        if record.id in self._records:
            self._records[record.id] = record

    async def add_events(self, response_id: str, position: int, events: Sequence[TurnEvent]) -> None:
        known = self._events.setdefault(response_id, [])
        if response_id in self._records and len(known) == position:
            known += events
            self._grow(response_id, _EVENT * len(events))

    async def events(self, response_id: str, position: int = 0) -> Sequence[TurnEvent]:
        return self._events.get(response_id, [])[position:]

    async def delete(self, response_id: str) -> None:
        self._records.pop(response_id, None)
        self._inputs.pop(response_id, None)
        self._events.pop(response_id, None)
        self._size -= self._sizes.pop(response_id, 0)

    async def head(self, lane: str) -> str | None:
        return self._heads.get(lane)

    async def move_head(self, lane: str, response_id: str) -> None:
        if response_id or lane in self._heads:
            self._heads[lane] = response_id
            self._heads.move_to_end(lane)
        if len(self._heads) > self._most:
            self._heads.popitem(last=False)

    async def is_used(self) -> bool:
        return bool(self._heads)

    def _grow(self, response_id: str, size: int) -> None:
        self._sizes[response_id] = self._sizes.get(response_id, 0) + size
        self._size += size
