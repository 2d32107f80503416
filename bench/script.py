"""What a stand-in says to a message, which says it itself: so one process can play every row of the table."""

import msgspec


class Script(msgspec.Struct, frozen=True):
    """`chunks` of text, with `delay` seconds before each."""

    chunks: int
    delay: float = 0.0

    @staticmethod
    def of(message: str) -> "Script":
        """Read from a message that `message` has made."""
        _, chunks, delay, *_ = message.split()
        return Script(int(chunks), float(delay))

    def message(self, number: int) -> str:
        """No two numbers give the same message: the service takes equal requests for retries."""
        return f"say {self.chunks} {self.delay} {number}"


def word(index: int, now: float) -> str:
    """One chunk: which it is, and when it was said (seconds of the machine's monotonic clock)."""
    return f"w{index}@{now:.6f} "
