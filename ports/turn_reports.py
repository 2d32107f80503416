"""Where processes that share the state tell each other of their turns. tests/contract has what stores must do."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.turn_report import TurnReport

# Seconds for which reports are kept, and how many of turns that have ended.
KEPT_FOR = 3600.0
MOST_KEPT = 5000
# Seconds after which a turn that goes on is told again; and after which its process is taken for dead.
TOLD_EVERY = 15.0
LOST_AFTER = 45.0


class TurnReportStore(Protocol):
    """Every method raises `FailureError` (`state_unavailable`) if it cannot be read or written."""

    async def write(self, reports: Sequence[TurnReport]) -> None:
        """Tell the others of these turns of this process, each in place of an older report of it."""
        ...

    async def recent(self, since: float, most: int) -> Sequence[TurnReport]:
        """Turns of all processes that were asked for since then (seconds since 1970), so many at most, the newest
        first. One that goes on, and was not told of for `LOST_AFTER` seconds, is lost."""
        ...

    async def find(self, turn_id: str) -> TurnReport | None:
        """None: there is none of that id, or not any more."""
        ...

    async def ask_to_stop(self, turn_id: str) -> None:
        """Whichever process has this turn is to stop it."""
        ...

    async def to_stop(self) -> Sequence[str]:
        """The ids of this process's turns that somebody wants stopped, and that go on."""
        ...
