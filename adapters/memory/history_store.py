"""A history store in memory: forgotten with the process."""

import time
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from domain.model.history import ConversationSummary, Said

# Conversations. Those that were quiet for longest go first.
KEPT = 1_000


class _Kept(msgspec.Struct, frozen=True):
    history: Sequence[Said]
    of: str
    summary: ConversationSummary


class MemoryHistoryStore:
    """`ports.HistoryStore`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._histories: OrderedDict[str, _Kept] = OrderedDict()
        self._kept = kept

    async def read(self, conversation: str) -> Sequence[Said]:
        kept = self._histories.get(conversation)
        return () if kept is None else kept.history

    async def write(self, conversation: str, history: Sequence[Said], of: str = "") -> None:
        kept, now = self._histories.get(conversation), time.time()
        summary = ConversationSummary(conversation, now) if kept is None else kept.summary
        summary = msgspec.structs.replace(summary, updated_at=now, messages=len(history))
        self._histories[conversation] = _Kept(tuple(history), of, summary)
        self._histories.move_to_end(conversation)
        if len(self._histories) > self._kept:
            self._histories.popitem(last=False)

    async def listed(self, of: str, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        own = [kept.summary for kept in self._histories.values() if kept.of == of]
        own.sort(key=lambda summary: (summary.created_at, summary.id), reverse=True)
        if after is not None:
            ids = [summary.id for summary in own]
            own = own[ids.index(after) + 1 :] if after in ids else []
        return own[:most]

    async def list_of(self, conversation: str) -> str | None:
        kept = self._histories.get(conversation)
        return None if kept is None else kept.of

    async def name(self, conversation: str, summary: str) -> None:
        if (kept := self._histories.get(conversation)) is not None:
            named = msgspec.structs.replace(kept.summary, summary=summary)
            self._histories[conversation] = msgspec.structs.replace(kept, summary=named)

    async def forget(self, conversation: str) -> None:
        self._histories.pop(conversation, None)
