"""Numbers the events of one response and writes them down, and keeps the items that are done."""

from typing import Any

import msgspec

from entrypoints.http.responses.item_ids import item_id

_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Events up to the number `after` are counted, and left out. Members are JSON without the braces around it."""

    def __init__(self, response_id: str, after: int) -> None:
        self.response_id = response_id
        self.output: list[bytes] = []
        """The items that are done, encoded."""
        self._after = after
        self._number = 0

    @property
    def is_left_out(self) -> bool:
        """Whether the next event is."""
        return self._number <= self._after

    def new_id(self, prefix: str) -> str:
        """Of the item that comes next."""
        return item_id(prefix, self.response_id, len(self.output))

    def at(self, id_: str) -> bytes:
        """The members that say which item an event belongs to."""
        return b'"item_id":%b,"output_index":%d' % (_encode(id_), len(self.output))

    def emit(self, type_: str, members: bytes) -> bytes:
        """The next event."""
        number = self._number
        self._number = number + 1
        if number <= self._after:
            return b""
        name = type_.encode()
        return b"event: %b\ndata: {%b}\n\n" % (name, b'"type":"%b","sequence_number":%d,%b' % (name, number, members))

    def emit_text(self, before_number: bytes, after_number: bytes, text: str) -> bytes:
        """The same for a piece of text, of which there are many: all but the number and the text is made already."""
        number = self._number
        self._number = number + 1
        if number <= self._after:
            return b""
        return before_number + b"%d" % number + after_number + _encode(text) + b"}\n\n"

    def added(self, item: dict[str, Any]) -> bytes:
        """An item begins."""
        return self.emit("response.output_item.added", b'"output_index":%d,"item":' % len(self.output) + _encode(item))

    def done(self, item: dict[str, Any]) -> bytes:
        """It is whole. The next one comes behind it."""
        encoded = _encode(item)
        told = self.emit("response.output_item.done", b'"output_index":%d,"item":' % len(self.output) + encoded)
        self.output.append(encoded)
        return told


def delta_head(type_: str, members: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the number in each piece of one text."""
    name = type_.encode()
    before = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name)
    return before, b"," + members + b',"delta":'
