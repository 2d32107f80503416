"""What carries out tasks, durably, and one after the other in each lane. tests/contract states what queues must do."""

from collections.abc import Awaitable, Callable
from typing import Protocol

# Seconds after which a task goes on that has failed by a mistake.
AFTER_MISTAKE = 60.0

Work = Callable[[str], Awaitable[float | None]]
"""Does one task as far as is possible now; returns the seconds after which to go on, or None: it is done."""


class JobQueue(Protocol):
    """A task is a name; what it stands for is written down elsewhere. Raises `FailureError` (`state_unavailable`)."""

    def serve(self, work: Work) -> None:
        """From now on, this is how tasks are done. It should not raise; if it does, the task goes on later."""
        ...

    async def put(self, task: str, lane: str, background: bool = False) -> None:
        """Have it done, after those that are in that lane. A task that is there already stays where it is; one that is
        done is done again. Whatever cannot be written meanwhile, it is done.

        `background`: it may pause for very long; all others go on, however many of its kind there are."""
        ...

    async def recover(self) -> None:
        """Begin again what nobody works on any more: tasks of processes that have died, and those of this one whose
        beginning or end could not be written. To be repeated every few seconds."""
        ...

    async def close(self) -> None:
        """Stop. What is not done will be, when a queue on the same state serves again."""
        ...
