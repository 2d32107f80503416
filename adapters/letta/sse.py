"""Cuts a stream of bytes into Server-Sent Events, however the network has split it. Knows nothing of Letta."""


class SseDecoder:
    """Feed it bytes as they come; it returns the `data` of each event that is complete.

    Comments, event names and ids carry nothing that Letta's data does not say again, and are dropped."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        if not self._line and not self._data and _is_one_event(received):
            return [received[5:].strip()]
        if b"\n" not in received:
            self._line.append(received)
            return []
        lines = b"".join([*self._line, received]).split(b"\n")
        rest = lines.pop()
        self._line = [rest] if rest else []
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
            elif self._data and not line.rstrip(b"\r"):
                events.append(b"\n".join(self._data))
                self._data.clear()
        return events


def _is_one_event(received: bytes) -> bool:
    """Nearly always, this is what the network brings when tokens come one by one."""
    return received[:5] == b"data:" and received[-2:] == b"\n\n" and received.count(b"\n") == 2
