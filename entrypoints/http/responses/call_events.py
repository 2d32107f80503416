"""The events of the agent's own tool calls: one call after the other, in the order in which they began."""

import msgspec

from domain.model.events import ToolCall, ToolResult
from entrypoints.http.responses import items
from entrypoints.http.responses.event_writer import EventWriter
from entrypoints.http.responses.form import Shows
from entrypoints.http.text_pieces import pieces

_NO_RESULT = "(The agent has not told what came of it.)"

_encode = msgspec.json.Encoder().encode


class _Call:
    """One that is not told to its end yet. `id`: of its item, if that was begun."""

    def __init__(self, call: ToolCall) -> None:
        self.call_id = call.call_id
        self.name = call.name
        self.pieces: list[str] = []
        self.result: ToolResult | None = None
        self.id: str | None = None

    @property
    def arguments(self) -> str:
        return "".join(self.pieces).strip() or "{}"


class CallEvents:
    """As calls of an MCP server, which begin at once; or as functions, which are told with their outputs."""

    def __init__(self, writer: EventWriter, shows: Shows) -> None:
        self._writer = writer
        self._shows = shows
        self._calls: dict[str, _Call] = {}

    def call(self, event: ToolCall) -> bytes:
        """A call begins, or has more arguments."""
        told = b""
        call = self._calls.get(event.call_id)
        if call is None:
            call = self._calls[event.call_id] = _Call(event)
            told = self._open(call)
        return told + b"".join([self._more(call, piece) for piece in pieces(event.arguments) if piece])

    def result(self, event: ToolResult) -> bytes:
        """What came of a call: it is told, if all before it were."""
        call = self._calls.get(event.call_id)
        if call is None:
            return b""
        call.result = event
        told = b""
        while self._calls and (first := next(iter(self._calls.values()))).result is not None:
            told += self._close(first)
        return told

    def close(self) -> bytes:
        """Whatever came of those that are left was not told."""
        told = b""
        while self._calls:
            told += self._close(next(iter(self._calls.values())))
        return told

    def _open(self, call: _Call) -> bytes:
        """If it is the first of those that are left."""
        if self._shows is not Shows.MCP_CALLS or next(iter(self._calls.values())) is not call:
            return b""
        call.id = self._writer.new_id("mcp")
        added = self._writer.added(items.mcp_call(call.id, call.name, "", "in_progress"))
        return added + self._writer.emit("response.mcp_call.in_progress", self._writer.at(call.id))

    def _more(self, call: _Call, piece: str) -> bytes:
        call.pieces.append(piece)
        return self._delta(call, piece)

    def _delta(self, call: _Call, piece: str) -> bytes:
        if call.id is None:
            return b""
        members = self._writer.at(call.id) + b',"delta":' + _encode(piece)
        return self._writer.emit("response.mcp_call_arguments.delta", members)

    def _close(self, call: _Call) -> bytes:
        told = self._close_function(call) if call.id is None else self._close_mcp_call(call, call.id)
        del self._calls[call.call_id]
        if self._calls:
            following = next(iter(self._calls.values()))
            told += self._open(following)
            told += b"".join([self._delta(following, piece) for piece in following.pieces])
        return told

    def _close_mcp_call(self, call: _Call, id_: str) -> bytes:
        writer, arguments, result = self._writer, call.arguments, call.result
        at = writer.at(id_)
        told = b"" if call.pieces else self._delta(call, arguments)
        told += writer.emit("response.mcp_call_arguments.done", at + b',"arguments":' + _encode(arguments))
        item = items.mcp_call(id_, call.name, arguments, "incomplete", result)
        if result is not None:
            told += writer.emit(f"response.mcp_call.{item['status']}", at)
        return told + writer.done(item)

    def _close_function(self, call: _Call) -> bytes:
        """Both at once: a connection that breaks between them would leave a function that Open WebUI runs itself."""
        writer, arguments = self._writer, call.arguments
        id_ = writer.new_id("fc")
        at = writer.at(id_)
        told = writer.added(items.function_call(id_, call.call_id, call.name, "", "in_progress"))
        for piece in pieces(arguments):
            told += writer.emit("response.function_call_arguments.delta", at + b',"delta":' + _encode(piece))
        whole = b',"name":' + _encode(call.name) + b',"arguments":' + _encode(arguments)
        told += writer.emit("response.function_call_arguments.done", at + whole)
        told += writer.done(items.function_call(id_, call.call_id, call.name, arguments, "completed"))
        text = call.result.text if call.result is not None else _NO_RESULT
        output = items.function_call_output(writer.new_id("fco"), call.call_id, text)
        return told + writer.added(output) + writer.done(output)
