"""Words between the processes that share the state, so that nobody has to look all the time."""

from collections.abc import Callable
from typing import Protocol


class Notices(Protocol):
    """A notice may be lost: who waits for one also looks, from time to time."""

    def tell(self, topic: str) -> None:
        """All other processes, soon. `topic`: at most 200 bytes."""
        ...

    def listen(self, heard: Callable[[str], None]) -> None:
        """From now on, `heard` is called with the topic of each notice, on the event loop."""
        ...

    async def close(self) -> None:
        """Nothing is heard any more."""
        ...
