"""Cuts a stream of bytes into Server-Sent Events, however the network has split it. Knows nothing of Letta."""

# Bytes of an event; what is longer comes out as data that nobody can read.
LONGEST = 16_000_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UNREADABLE = b"\0"
_TOO_LONG = b"data:" + _UNREADABLE


class SseDecoder:
    """Feed it bytes as they come; it returns the `data` of each event that is complete.

    Comments, event names and ids carry nothing that Letta's data does not say again, and are dropped."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._line: list[bytes] = []
        self._size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._begun = False
        self._after_carriage_return = False

    def feed(self, received: bytes) -> list[bytes]:
        if not self._line and not self._data and _is_one_event(received):
            self._begun, self._after_carriage_return = True, False
            return [received[5:].strip()]
        if received and (self._after_carriage_return or b"\r" in received):
            received = self._with_plain_line_ends(received)
        if b"\n" not in received:
            if received:
                self._keep(received)
            return []
        lines = b"".join([*self._line, received]).split(b"\n")
        rest = lines.pop()
        self._line, self._size = [], 0
        if rest:
            self._keep(rest)
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[bytes]:
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data_size += len(line)
                if self._data_size > self._longest:
                    self._data.clear()
                    line = _TOO_LONG
                self._data.append(line[5:].strip())
            elif b'"message_type"' in line and not line.startswith(b":"):
                # A field that no standard knows, with something of Letta's in it: what it says must not be missed.
                events.append(_UNREADABLE)
            elif self._data and not line:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._data_size = 0
        return events

    def _keep(self, received: bytes) -> None:
        """The beginning of a line. Of one that is too long, only its length is kept."""
        self._size += len(received)
        if self._size <= self._longest:
            self._line.append(received)
        elif self._line != [_TOO_LONG]:
            is_data = b"".join([*self._line, received[:5]]).removeprefix(_BYTE_ORDER_MARK).startswith(b"data:")
            self._line = [_TOO_LONG if is_data else b":"]

    def _with_plain_line_ends(self, received: bytes) -> bytes:
        if self._after_carriage_return:
            received = received.removeprefix(b"\n")
        self._after_carriage_return = received.endswith(b"\r")
        return received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _is_one_event(received: bytes) -> bool:
    """Nearly always, this is what the network brings when tokens come one by one."""
    return (
        received[:5] == b"data:" and received[-2:] == b"\n\n" and received.count(b"\n") == 2 and b"\r" not in received
    )
