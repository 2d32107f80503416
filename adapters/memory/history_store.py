"""A history store in memory: forgotten with the process."""

from collections import OrderedDict
from collections.abc import Sequence

from domain.model.history import Said

# Conversations. Those that were quiet for longest go first.
KEPT = 1_000


class MemoryHistoryStore:
    """`ports.HistoryStore`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._histories: OrderedDict[str, Sequence[Said]] = OrderedDict()
        self._kept = kept

    async def read(self, conversation: str) -> Sequence[Said]:
        return self._histories.get(conversation, ())

    async def write(self, conversation: str, history: Sequence[Said]) -> None:
        self._histories[conversation] = tuple(history)
        self._histories.move_to_end(conversation)
        if len(self._histories) > self._kept:
            self._histories.popitem(last=False)

    async def forget(self, conversation: str) -> None:
        self._histories.pop(conversation, None)
