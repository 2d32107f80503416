"""A job: a message that was accepted, to be delivered whenever that becomes possible, and what became of it."""

from enum import StrEnum

import msgspec

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.lane import name_of


class JobState(StrEnum):
    """Stable names, part of the API."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Seconds after which somebody who has too many open jobs may ask again.
_COME_BACK = 30
FINISHED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job. Times are in seconds since 1970. A step of its life is a method that returns the job after it."""

    id: str
    """Ids of jobs that were accepted later sort later."""
    owner: str
    """The id of the API key it came with."""
    agent: Agent
    model: str
    """The name by which the agent was asked for."""
    body: bytes
    """The digest of the request, as in `Identity`."""
    made_at: float
    size: int = 0
    """Bytes of the message. The message itself is kept apart: only an attempt needs it."""
    chat: str | None = None
    user_message_id: str | None = None
    key: str | None = None
    """What a retry of the request is recognised by, beside its body."""
    state: JobState = JobState.QUEUED
    attempts: int = 0
    tries: int = 0
    """Of the attempts, those that count: not the ones that failed because something was away."""
    began_at: float | None = None
    ended_at: float | None = None
    response: str | None = None
    failure: Failure | None = None
    asked_for_again: bool = False
    """A retry was told that the job is accepted."""
    cancelling: bool = False
    """Somebody has asked for an end of the job."""
    callback_url: str | None = None
    owes_callback: bool = False
    """`callback_url` has to be called (once more), when the job is finished."""
    calls: int = 0
    """How often `callback_url` was called."""
    response_id: str | None = None
    """Of the response that it makes. Its message is then kept as JSON of a `UserMessage`."""
    follows: str | None = None
    """As in `ResponseRequest`."""

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def open(self) -> bool:
        """Whether there is anything left to do."""
        return not self.finished or self.owes_callback

    @property
    def lane(self) -> str:
        """Jobs of one conversation are carried out in order."""
        return name_of((self.agent.key, self.chat))

    def after_retry(self) -> "Job":
        """A retry of its request was told that it is accepted."""
        return msgspec.structs.replace(self, asked_for_again=True)

    def not_accepted(self, now: float) -> "Job":
        """Its client was told that it is not accepted. No retry finds it from now on, unless one has found it."""
        if self.asked_for_again:
            return self
        return msgspec.structs.replace(self.cancelled(now), owes_callback=False, key=None, body=b"")

    def begun(self, now: float) -> "Job":
        """An attempt begins."""
        if self.finished:
            return self
        if self.cancelling and not self.attempts:
            return self.ended(JobState.CANCELLED, now)
        began_at = self.began_at or now
        return msgspec.structs.replace(self, state=JobState.RUNNING, attempts=self.attempts + 1, began_at=began_at)

    def put_back(self, failure: Failure, counts: bool, most_tries: int, now: float) -> "Job":
        """An attempt has failed, and another one follows, unless this was the last that may count."""
        if self.finished:
            return self
        tries = self.tries + counts
        if tries >= most_tries:
            return msgspec.structs.replace(self, tries=tries).ended(JobState.FAILED, now, failure)
        return msgspec.structs.replace(self, state=JobState.QUEUED, tries=tries, failure=failure)

    def cancelled(self, now: float) -> "Job":
        """Somebody asks for an end: at once, if the message surely has not reached the agent."""
        if self.finished:
            return self
        cancelling = msgspec.structs.replace(self, cancelling=True)
        is_undelivered = self.failure is None or self.failure.delivery is Delivery.NO
        if self.state is JobState.QUEUED and is_undelivered:
            return cancelling.ended(JobState.CANCELLED, now)
        return cancelling

    def ended(self, state: JobState, now: float, failure: Failure | None = None, response: str | None = None) -> "Job":
        """It is finished, and its callback is due."""
        if self.finished:
            return self
        return msgspec.structs.replace(
            self,
            state=state,
            ended_at=now,
            failure=failure,
            response=response,
            owes_callback=self.callback_url is not None,
        )

    def called_back(self, taken: bool, most_calls: int) -> "Job":
        """`callback_url` was called once more."""
        calls = self.calls + 1
        return msgspec.structs.replace(self, calls=calls, owes_callback=not taken and calls < most_calls)


def size_of(message: str) -> int:
    """In bytes."""
    return len(message) if message.isascii() else len(message.encode("utf-8", "surrogatepass"))


class OpenJob(msgspec.Struct, frozen=True):
    """What is needed to go on with an open job."""

    id: str
    owner: str
    lane: str
    finished: bool
    """Only its callback is left."""


class JobRules(msgspec.Struct, frozen=True):
    """What the operator decides about jobs."""

    tries: int = 5
    """After so many tries that count a job has failed."""
    max_open: int = 1000
    """Jobs of one owner that are open at a time."""
    max_open_bytes: int = 200_000_000
    """Bytes of the messages of these."""

    def check_room(self, size: int, open_jobs: int, open_bytes: int) -> None:
        """For a message of that many bytes, beside those that are open; raises `FailureError` (`too_many_jobs`)."""
        if open_jobs >= self.max_open or open_bytes + size > self.max_open_bytes:
            cause = f"{open_jobs} jobs of {open_bytes} bytes are open, and one of {size} bytes is to be added"
            raise FailureError(Failure(FailureCode.TOO_MANY_JOBS, Delivery.NO, cause, retry_after=_COME_BACK))
