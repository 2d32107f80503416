"""Which text an answer shows for the events of a turn. The same for whole answers and for streams."""

from collections.abc import Iterable

from domain.model.events import Text, ToolCall, ToolResult, TurnEvent

# Between two runs of text that a tool call separated: Letta sends no separator of its own.
BLANK_LINE = "\n\n"


class AnswerText:
    """Remembers what has been said so far."""

    def __init__(self) -> None:
        self._said = False
        self._interrupted = False

    def of(self, event: TurnEvent) -> str:
        """What this event adds to the text; empty for most kinds."""
        if isinstance(event, Text):
            gap = BLANK_LINE if self._interrupted else ""
            self._said, self._interrupted = True, False
            return gap + event.text
        if isinstance(event, ToolCall | ToolResult):
            self._interrupted = self._said
        return ""


def whole_text(events: Iterable[TurnEvent]) -> str:
    """All that the agent said in a turn."""
    answer = AnswerText()
    return "".join(answer.of(event) for event in events)
