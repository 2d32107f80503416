"""Who reads one turn, and who has got its whole answer. `Turns` keeps it; others only look."""

from collections.abc import Callable


class Audience:
    """The clients of one turn. Times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self.readers = 0
        self.is_answered = False
        """Some client got the whole answer."""
        self.highest_retry_answered = -1
        """The highest retry count of a request that got the whole answer; -1: there is none."""
        self.highest_retry_count = -1
        """The highest retry count of a request that reads the turn, or has read it."""
        self.left_at = 0.0
        """When the last client left, or the turn ended."""
        self.must_finish = False
        """A client left without the whole answer that asks again when it has timed out."""
        self._on_unanswered: Callable[[], None] | None = None

    @property
    def is_watched(self) -> bool:
        """Whether some client reads the turn now."""
        return self.readers > 0

    def join(self, retry_count: int) -> None:
        """A client begins to read."""
        self.readers += 1
        self.highest_retry_count = max(self.highest_retry_count, retry_count)

    def leave(self, retry_count: int, got_whole_answer: bool, will_ask_again: bool, now: float) -> None:
        """A client reads no longer."""
        self.readers -= 1
        self.left_at = now
        if got_whole_answer:
            self.is_answered = True
            self.highest_retry_answered = max(self.highest_retry_answered, retry_count)
        else:
            self.must_finish |= will_ask_again

    def tell_if_unanswered(self, callback: Callable[[], None]) -> None:
        """The callback is called when a client leaves an ended turn, and nobody has got the whole answer."""
        self._on_unanswered = callback

    def left_unanswered(self) -> None:
        """A client has left the turn, which has ended, without the whole answer."""
        if self._on_unanswered is not None and not self.is_answered:
            self._on_unanswered()

    def turn_ended(self, now: float) -> None:
        """From now on, only those who read it now can still miss its end."""
        self.left_at = now
        if not self.readers:
            self._on_unanswered = None
