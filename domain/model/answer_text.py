"""Which text an answer shows for the events of a turn. The same for whole answers and for streams."""

from collections.abc import Iterable

from domain.model.approvals import question
from domain.model.events import ApprovalRequest, Reasoning, Text, ToolCall, ToolResult, TurnEvent

# Between two runs of text that something else separated: Letta sends no separator of its own.
BLANK_LINE = "\n\n"


class AnswerText:
    """Remembers what has been said so far."""

    def __init__(self) -> None:
        self._said = False
        self._interrupted = False

    def of(self, event: TurnEvent) -> str:
        """What this event adds to the text; empty for most kinds."""
        if isinstance(event, Text):
            return self._next(event.text) if self._interrupted or not self._said else event.text
        if isinstance(event, ApprovalRequest):
            self._interrupted = self._said
            return self._next(question(event))
        if isinstance(event, (ToolCall, ToolResult)):
            self._interrupted = self._said
        return ""

    def _next(self, text: str) -> str:
        gap = BLANK_LINE if self._interrupted else ""
        self._said, self._interrupted = True, False
        return gap + text


class ReasoningText:
    """The same of what the agent thinks: each time it thinks again, a paragraph of its own."""

    def __init__(self) -> None:
        self._thought = False
        self._interrupted = False

    def of(self, event: TurnEvent) -> str:
        """What this event adds to the reasoning; empty for most kinds."""
        if not isinstance(event, Reasoning):
            self._interrupted = self._thought
            return ""
        gap = BLANK_LINE if self._interrupted else ""
        self._thought, self._interrupted = True, False
        return gap + event.text


def whole_text(events: Iterable[TurnEvent]) -> str:
    """All that the agent said in a turn."""
    answer = AnswerText()
    return "".join([answer.of(event) for event in events])


def whole_reasoning(events: Iterable[TurnEvent]) -> str:
    """All that the agent thought in a turn."""
    reasoning = ReasoningText()
    return "".join([reasoning.of(event) for event in events])
