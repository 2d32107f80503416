"""Who is told what happens to turns: metrics and traces. Nothing that an observer does can change a turn."""

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from domain.model.agent import Agent
from domain.model.turn_report import TurnReport


class PreventionRule(StrEnum):
    """By what a request was known that would have been a second delivery."""

    IDEMPOTENCY_KEY = "idempotency_key"
    MESSAGE_ID = "message_id"
    BODY = "body"
    JOB = "job"
    TOOL_RESULT = "tool_result"
    """The client answered a tool call that the agent had carried out itself."""


class TurnObserver(Protocol):
    """Of one process. No method raises, waits, or takes longer than some microseconds: turns call them."""

    def began(self, turn: TurnReport) -> AbstractContextManager[None]:
        """The turn was asked for. What carries it out is started within this context."""
        ...

    def accepted(self, agent: Agent) -> None:
        """A backend has taken a message for this agent: this is the delivery."""
        ...

    def ended(self, turn: TurnReport) -> None:
        """The turn has ended, well or not."""
        ...

    def prevented(self, rule: PreventionRule, turn_id: str) -> None:
        """A request got the turn with that id, or (an empty id) nothing, instead of a second delivery."""
        ...
