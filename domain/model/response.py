"""A response: the answer of a turn that has an id, by which clients ask for it again, stop it, or go on from it.

How it looks to clients is decided in entrypoints/http/responses."""

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from domain.model.agent import Agent
from domain.model.events import Ended, Failed, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.ids import id_of_time, new_id, time_of
from domain.model.lane import LaneKey

_KIND = "resp"
_ID = re.compile(f"{_KIND}_[0-9a-f]{{20,60}}")


class ResponseStatus(StrEnum):
    """Stable names, part of the API."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (ResponseStatus.QUEUED, ResponseStatus.IN_PROGRESS)


class ResponseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a response for as long as it can be asked for. What was said is kept apart."""

    id: str
    owner: str
    """The id of the API key that it belongs to. Empty: the main key."""
    agent: Agent
    model: str
    """The name by which the agent was asked for."""
    chat: str | None = None
    """The chat key, as `Caller.own` makes it. None: the agent's default history."""
    conversation: str | None = None
    """The conversation that the client named."""
    previous: str | None = None
    """The id of the response that it goes on from."""
    background: bool = False
    """Whether it is made by a job."""
    status: ResponseStatus = ResponseStatus.IN_PROGRESS
    ended_at: float | None = None
    run_id: str | None = None
    failure: Failure | None = None
    parameters: bytes = b""
    """What the client asked with, as JSON, if it is anything special. Neither this nor `shows` means anything here."""
    shows: frozenset[str] = frozenset()
    """What of its events the client sees, and how."""
    same_point_as: str | None = None
    """The response after which it stands: nothing was said in it. None: it has a turn of its own."""

    @property
    def lane(self) -> LaneKey:
        """The conversation that it belongs to."""
        return self.agent.key, self.chat

    @property
    def point(self) -> str | None:
        """The response that has to be the last one of the chat, for whoever goes on from this one."""
        return self.id if self.same_point_as is None else self.same_point_as or None

    @property
    def created_at(self) -> float:
        """Seconds since 1970."""
        return created_at(self.id)

    @property
    def last_event(self) -> TurnEvent:
        """With which its events end, now that it has ended."""
        match self.status:
            case ResponseStatus.COMPLETED:
                return Ended()
            case ResponseStatus.INCOMPLETE:
                return Ended(cut_off=True)
        return Failed(self.failure or Failure(FailureCode.CANCELLED, Delivery.UNKNOWN))

    def ended(self, last: TurnEvent, now: float, run_id: str | None = None) -> "ResponseRecord":
        """Its turn has ended with that event."""
        failure = last.failure if isinstance(last, Failed) else None
        return msgspec.structs.replace(
            self, status=status_after(last), ended_at=now, failure=failure, run_id=run_id or self.run_id
        )


class ResponseRequest(msgspec.Struct, frozen=True):
    """What the answer of a turn is to be kept as."""

    record: ResponseRecord
    input: bytes = b"[]"
    """The items that were sent, as JSON."""
    is_stored: bool = True
    """Whether it can be asked for later."""
    follows: str | None = None
    """The id of the response that has to be the last one of its chat. None: that is not looked at."""


class KeptResponse(msgspec.Struct, frozen=True):
    """What is written down of a response."""

    record: ResponseRecord
    input: bytes = b"[]"
    """The items that were sent, as JSON."""
    events: Sequence[TurnEvent] = ()
    """What was said, if that is all there."""


def new_response_id() -> str:
    """It tells when it was made."""
    return new_id(_KIND, random_bytes=12)


def is_response_id(text: str) -> bool:
    """No other text is an id; and databases do not take every text."""
    return _ID.fullmatch(text) is not None


def first_id_at(seconds: float) -> str:
    """All responses that were made before that time have ids that sort before it (seconds since 1970)."""
    return id_of_time(_KIND, seconds)


def created_at(response_id: str) -> float:
    """Seconds since 1970."""
    return time_of(_KIND, response_id)


def job_of(response_id: str) -> str:
    """The id of the job that makes a background response."""
    return f"job_{response_id.removeprefix(f'{_KIND}_')}"


def status_after(last: TurnEvent) -> ResponseStatus:
    """Of a response whose turn has ended with that event."""
    match last:
        case Failed(failure=failure) if failure.code is FailureCode.CANCELLED:
            return ResponseStatus.CANCELLED
        case Failed():
            return ResponseStatus.FAILED
        case Ended(cut_off=True):
            return ResponseStatus.INCOMPLETE
    return ResponseStatus.COMPLETED
