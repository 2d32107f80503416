"""Locks between processes. tests/contract states what they must do."""

from typing import Protocol


class ProcessLocks(Protocol):
    """Names are any text. Raises `FailureError` (`state_unavailable`)."""

    @property
    def suspect_after(self) -> float:
        """Seconds for which a lock may seem free although its holder lives, and will have it again."""
        ...

    async def acquire(self, name: str) -> bool:
        """Whether it is this holder's now: until it gives it back, or its process dies. False: somebody has it."""
        ...

    async def is_free(self, name: str) -> bool:
        """Whether nobody has it, this holder included. Asking is in nobody's way."""
        ...

    async def release(self, name: str) -> None:
        """Nothing happens if it is not this holder's."""
        ...

    async def close(self) -> None:
        """Give all of them back."""
        ...


class ProcessLiveness(Protocol):
    """Which of the processes that share the state are alive: each holds a lock of its own name."""

    async def is_dead(self, name: str) -> bool:
        """Whether the process of that name is gone for certain. Raises `FailureError`."""
        ...
