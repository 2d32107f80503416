"""Changes of the state that are wanted at the same moment go into one transaction (group commit): committing takes
longer than most changes. One thread has one connection for it.

What each change does stands in `turn_statements.py`, and how a driver carries it out in `sqlite_driver.py` and
`postgres_driver.py`."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import msgspec

# Seconds for which changes that may wait do so.
_WAITED_FOR = 0.002

# How often the loop comes round before changes are handed over, so that others come along.
_ROUNDS = 10

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Row = tuple[Any, ...]
Rows = Callable[[], Sequence[Row]]
"""The rows that a statement has returned. To be asked for when all statements of the transaction were sent."""


class Statements(Protocol):
    """What a change is carried out with."""

    is_pipelined: bool
    """Whether rows come only when all changes were sent. If not, a change may look at rows before it sends more."""

    def send(self, sql: str, values: Mapping[str, Any]) -> Rows:
        """Carry out one statement. In `sql`, the names of values stand with a colon before them."""
        ...


class Change(msgspec.Struct, Generic[T_co], frozen=True):
    """A part of a transaction."""

    carry_out: Callable[[Statements], Callable[[], T_co]]
    """Sends the statements of the change. It returns a function that tells the result when all changes were sent."""
    lock: str = ""
    """Transactions that change something under the same name wait for each other. Empty: it needs no lock."""
    is_read: bool = False
    """Whether it changes nothing."""
    may_wait: bool = False
    """Whether it may wait a moment for other changes, because nobody waits for it."""


class Driver(Protocol):
    """One connection, used by one thread. It is made when it is needed."""

    @property
    def errors(self) -> type[Exception]:
        """What its library raises when the database fails."""
        ...

    def carry_out(self, changes: Sequence[Change[Any]]) -> Sequence[Any]:
        """Their results, in one transaction. Raises what its library raises; then nothing is sure of any of them."""
        ...

    def is_of_one(self, error: Exception) -> bool:
        """Whether one of the changes led to this error, so that the others are worth another try."""
        ...

    def close(self) -> None:
        """Drop the connection, if there is one. The next transaction makes another one."""
        ...


class _Wanted(msgspec.Struct, Generic[T], frozen=True):
    change: Change[T]
    done: "asyncio.Future[T]"


class GroupCommit:
    """For one event loop."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._wanted: list[_Wanted[Any]] = []
        self._is_urgent = False
        # One list of changes for each time that the loop has come round. None: the end.
        self._queue: SimpleQueue[list[_Wanted[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def carry_out(self, change: Change[T]) -> T:
        """The result of the change, when it was committed. Raises what the driver raises.

        Whoever stops waiting does not know whether it will be carried out."""
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._loop = loop
            self._thread = threading.Thread(target=self._work, name="state", daemon=True)
            self._thread.start()
        # Others that come in this round of the loop go with it.
        if not change.may_wait and not self._is_urgent:
            self._is_urgent = True
            loop.call_soon(self._gather, _ROUNDS)
        elif not self._wanted:
            loop.call_later(_WAITED_FOR, self._hand_over)
        wanted = _Wanted(change, loop.create_future())
        self._wanted.append(wanted)
        result: T = await wanted.done
        return result

    async def close(self, patience: float = 5.0) -> None:
        """What was wanted before is carried out."""
        if self._thread is not None:
            self._hand_over()
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, patience)

    def _gather(self, rounds: int) -> None:
        """Let the loop come round so many times: where there is nothing else to do, that takes no time."""
        if rounds:
            asyncio.get_running_loop().call_soon(self._gather, rounds - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._wanted:
            self._queue.put(self._wanted)
            self._wanted = []
        self._is_urgent = False

    def _work(self) -> None:
        ended = False
        while not ended:
            lists = [self._queue.get()]
            while not self._queue.empty():
                lists.append(self._queue.get())
            ended = None in lists
            self._carry_out([wanted for each in lists if each for wanted in each if not wanted.done.cancelled()])
        self._driver.close()

    def _carry_out(self, batch: Sequence[_Wanted[Any]]) -> None:
        if not batch:
            return
        try:
            results = self._driver.carry_out([wanted.change for wanted in batch])
        except Exception as error:  # noqa: BLE001 - it is raised where the change was wanted
            if len(batch) > 1 and self._driver.is_of_one(error):
                for wanted in batch:
                    self._carry_out([wanted])
                return
            self._driver.close()
            self._tell([(wanted.done, None, error) for wanted in batch])
        else:
            self._tell([(wanted.done, result, None) for wanted, result in zip(batch, results, strict=True)])

    def _tell(self, outcomes: Sequence[tuple["asyncio.Future[Any]", Any, Exception | None]]) -> None:
        assert self._loop is not None  # noqa: S101
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_tell, outcomes)


def _tell(outcomes: Sequence[tuple["asyncio.Future[Any]", Any, Exception | None]]) -> None:
    for done, result, error in outcomes:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
