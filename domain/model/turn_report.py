"""What is told to operators of one turn: when it was asked for, how far it has come, how it ended. No texts, unless the
operator wants them."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Failure

# Characters of a text, and different tools, in one report.
LONGEST_TEXT = 4000
MOST_TOOLS = 50


class TurnStage(StrEnum):
    """How far a turn has come. Stable names, part of the API."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    """Its process has died; a retry finds out what became of it."""


class TurnOutcome(StrEnum):
    """How a turn has ended. Stable names, part of the API."""

    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"
    REPLAYED = "replayed"
    """Its request got what an earlier one had led to."""


class TurnReport(msgspec.Struct, frozen=True, kw_only=True):
    """One turn as it is now. Times are in seconds since 1970; None: not yet, or never."""

    id: str
    """Ids of turns that were asked for later sort later."""
    agent: Agent
    owner: str
    """The id of the API key that it came with. Empty: the main key."""
    chat: str | None
    """The chat key, as `Caller.own` makes it. None: the agent's default history."""
    asked_at: float
    stage: TurnStage
    place: int = 0
    """Of a turn that waits: how many of this process are before it in its lane."""
    sent_at: float | None = None
    """When its message was first sent to the agent: its waiting ended then."""
    accepted_at: float | None = None
    """When the backend took the message."""
    first_word_at: float | None = None
    ended_at: float | None = None
    failure: Failure | None = None
    """How it ended; None: well, or not yet."""
    is_replay: bool = False
    """Nothing was delivered: another process had delivered the message already."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tools: Mapping[str, int] = {}
    """How often the agent has called each tool."""
    retries: int = 0
    """Requests that asked for it again, and got this turn instead of a second delivery."""
    recovered_from: str | None = None
    """The code of the failure after which its answer was finished from the backend's records."""
    job: str | None = None
    """The id of the job that it is an attempt of."""
    response: str | None = None
    """The id of the response that it makes."""
    question: str | None = None
    answer: str | None = None
    """Both only where the operator wants texts in reports; the answer when the turn has ended."""

    @property
    def outcome(self) -> TurnOutcome | None:
        """None: it has not ended."""
        if self.stage is not TurnStage.ENDED:
            return None
        if self.failure is not None:
            is_stop = self.failure.code in (FailureCode.CANCELLED, FailureCode.KEY_REVOKED)
            return TurnOutcome.STOPPED if is_stop else TurnOutcome.FAILED
        return TurnOutcome.REPLAYED if self.is_replay else TurnOutcome.ANSWERED
