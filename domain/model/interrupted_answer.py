"""The answer of a turn that was stopped: what the agent remembers of it, and a line that says so."""

from collections.abc import Sequence

from domain.model.answer_text import BLANK_LINE
from domain.model.events import Accepted, Ended, Text, TurnEvent

_INTERRUPTED = "(This answer was interrupted here.)"


def interrupted_answer(run_id: str | None, remembered: Sequence[TurnEvent]) -> tuple[TurnEvent, ...]:
    """The events of that answer, `Ended` included."""
    gap = BLANK_LINE if remembered and isinstance(remembered[-1], Text) else ""
    return (Accepted(run_id), *remembered, Text(gap + _INTERRUPTED), Ended())
