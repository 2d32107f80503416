"""What a client still lacks of an answer, when a backend's record of the turn is compared with what was streamed."""

from collections.abc import Iterable, Sequence

from domain.model.events import Reasoning, Text, ToolCall, ToolResult, TurnEvent


class ContradictionError(Exception):
    """The record does not begin with what was streamed."""


def remainder(streamed: Iterable[TurnEvent], recorded: Iterable[TurnEvent]) -> Sequence[TurnEvent]:
    """The recorded events without what was streamed already; raises `ContradictionError`.

    Recorded texts are whole, streamed ones come in pieces. Blanks do not count: a record may be trimmed."""
    said = _Said(streamed)
    rest: list[TurnEvent] = []
    for event in recorded:
        match event:
            case Text(text=text):
                if left := said.text.without_what_was_said(text):
                    rest.append(Text(left))
            case Reasoning(text=text):
                if left := said.reasoning.without_what_was_said(text):
                    rest.append(Reasoning(left))
            case ToolCall():
                rest += said.call(event)
            case ToolResult(call_id=call_id):
                if call_id not in said.results:
                    rest.append(event)
            case _:
                rest.append(event)
    return rest


class _Said:
    """What was streamed, by kind."""

    def __init__(self, streamed: Iterable[TurnEvent]) -> None:
        events = list(streamed)
        self.text = _Stream("".join(event.text for event in events if isinstance(event, Text)))
        self.reasoning = _Stream("".join(event.text for event in events if isinstance(event, Reasoning)))
        self.results = {event.call_id for event in events if isinstance(event, ToolResult)}
        self._arguments: dict[str, str] = {}
        for event in events:
            if isinstance(event, ToolCall):
                self._arguments[event.call_id] = self._arguments.get(event.call_id, "") + event.arguments

    def call(self, call: ToolCall) -> Sequence[ToolCall]:
        known = self._arguments.get(call.call_id)
        if known is None:
            return [call]
        if not call.arguments.startswith(known):
            # A backend may write the same arguments in another way; the client has all or most of them.
            return []
        left = call.arguments[len(known) :]
        return [ToolCall(call.call_id, arguments=left)] if left else []


class _Stream:
    """The characters that were streamed, of which recorded texts use up one after the other."""

    def __init__(self, said: str) -> None:
        self._left = said

    def without_what_was_said(self, recorded: str) -> str:
        """What of the recorded text is new."""
        said, at, position = self._left, 0, 0
        while True:
            while at < len(said) and said[at].isspace():
                at += 1
            if at == len(said):
                # All that was streamed is accounted for. The blanks after it were streamed as well.
                blanks = len(said) - len(said.rstrip())
                self._left = ""
                rest = recorded[position:]
                return rest.lstrip() if blanks else rest
            while position < len(recorded) and recorded[position].isspace():
                position += 1
            if position == len(recorded):
                self._left = said[at:]
                return ""
            if said[at] != recorded[position]:
                raise ContradictionError
            at, position = at + 1, position + 1
