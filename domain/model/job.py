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
    """Times are in seconds since 1970. Ids sort by the time at which jobs were accepted.

    `owner`: the id of the API key it came with; `body` and `key`: what a retry of the request is recognised by.
    `model`: the name by which the agent was asked for. `size`: bytes of the message, which is not in here: only an
    attempt needs it. `tries`: of the `attempts`, those that count: not the ones that failed because something was away.
    `asked_for_again`: by a retry, which was told that it is accepted. `cancelling`: somebody has asked for an end of
    it. `calls`: how often `callback_url` was called;
    `owes_callback`: it has to be called once more, when the job is finished."""

    id: str
    owner: str
    agent: Agent
    model: str
    body: bytes
    made_at: float
    size: int = 0
    chat: str | None = None
    user_message_id: str | None = None
    key: str | None = None
    state: JobState = JobState.QUEUED
    attempts: int = 0
    tries: int = 0
    began_at: float | None = None
    ended_at: float | None = None
    response: str | None = None
    failure: Failure | None = None
    asked_for_again: bool = False
    cancelling: bool = False
    callback_url: str | None = None
    owes_callback: bool = False
    calls: int = 0

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
        return name_of((self.agent.id, self.chat))


def size_of(message: str) -> int:
    """In bytes."""
    return len(message) if message.isascii() else len(message.encode("utf-8", "surrogatepass"))


class OpenJob(msgspec.Struct, frozen=True):
    """What is needed to go on with an open job. `finished`: only its callback is left."""

    id: str
    owner: str
    lane: str
    finished: bool


class JobRules(msgspec.Struct, frozen=True):
    """What the operator decides about jobs. `tries`: after so many a job has failed. `max_open`: jobs of one owner that
    are open at a time, and `max_open_bytes`: of their messages."""

    tries: int = 5
    max_open: int = 1000
    max_open_bytes: int = 200_000_000

    def check_room(self, size: int, open_jobs: int, open_bytes: int) -> None:
        """For a message of that many bytes, beside those that are open; raises `FailureError` (`too_many_jobs`)."""
        if open_jobs >= self.max_open or open_bytes + size > self.max_open_bytes:
            cause = f"{open_jobs} jobs of {open_bytes} bytes are open, and one of {size} bytes is to be added"
            raise FailureError(Failure(FailureCode.TOO_MANY_JOBS, Delivery.NO, cause, retry_after=_COME_BACK))
