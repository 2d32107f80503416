"""When one turn came how far, for those who watch. Nothing is decided by it."""

import time
from collections.abc import Callable

from domain.model.failures import Failure


class Milestones:
    """Times are in seconds since 1970; None: not yet. `TurnProgress` sets them, each once."""

    def __init__(self) -> None:
        self.sent_at: float | None = None
        """When the message was first sent."""
        self.accepted_at: float | None = None
        """When the backend first took it."""
        self.recovered_from: str | None = None
        """The code of the failure after which the answer was finished from the backend's records."""
        self._on_acceptance: Callable[[], None] | None = None

    def sent(self) -> None:
        self.sent_at = self.sent_at or time.time()

    def accepted(self) -> None:
        if self.accepted_at is None:
            self.accepted_at = time.time()
            if self._on_acceptance is not None:
                self._on_acceptance()

    def recovered(self, lost: Failure) -> None:
        self.recovered_from = str(lost.code)

    def tell_acceptance(self, callback: Callable[[], None]) -> None:
        """The callback is called when the backend has taken the message."""
        self._on_acceptance = callback
