"""A job: a message that was accepted, to be delivered whenever that becomes possible, and what became of it."""

from enum import StrEnum

import msgspec

from domain.model.agent import Agent
from domain.model.failures import Failure
from domain.model.lane import name_of


class JobState(StrEnum):
    """Stable names, part of the API."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds since 1970. Ids sort by the time at which jobs were accepted.

    `owner`: the id of the API key it came with; `body` and `key`: what a retry of the request is recognised by.
    `model`: the name by which the agent was asked for. `text` is empty once it is of no more use.
    `tries`: of the `attempts`, those that count: not the ones that failed because something was away.
    `cancelling`: somebody has asked for an end of it. `calls`: how often `callback_url` was called;
    `owes_callback`: it has to be called once more, when the job is finished."""

    id: str
    owner: str
    agent: Agent
    model: str
    text: str
    body: bytes
    made_at: float
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


class JobRules(msgspec.Struct, frozen=True):
    """What the operator decides about jobs. `tries`: after so many a job has failed."""

    tries: int = 5
