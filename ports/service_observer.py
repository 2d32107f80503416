"""Who is told of requests, of the state and of the process: metrics. Nothing that is told here can change anything."""

from typing import Protocol

from ports.turn_observer import TurnObserver


class ServiceObserver(TurnObserver, Protocol):
    """No method raises, waits, or takes longer than some microseconds. Times are in seconds."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request has its answer. `route`: a pattern, never a path that a client chose."""
        ...

    def asked_state(self, seconds: float, is_well: bool) -> None:
        """The state was read or written; or could not be."""
        ...

    def sampled(self, lag: float, connections: int, answers: int) -> None:
        """Once a second: how late the event loop was, and what is open."""
        ...

    def measured(self, memory: int, files: int) -> None:
        """Now and then: bytes of memory, and open files."""
        ...
