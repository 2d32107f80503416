"""The steps of a job's life, as a table."""

from collections.abc import Callable

import msgspec
import pytest

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.job import Job, JobState
from tests.fakes.gateway import ANNA

NOW = 2000.0
NOT_DELIVERED = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
IN_DOUBT = Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN)

QUEUED = Job(id="job_1", owner="", agent=ANNA, model="anna", body=b"body", made_at=1000.0, callback_url="http://back")
RUNNING = msgspec.structs.replace(QUEUED, state=JobState.RUNNING, attempts=1, began_at=1500.0)
PUT_BACK = msgspec.structs.replace(RUNNING, state=JobState.QUEUED, failure=NOT_DELIVERED)
PUT_BACK_IN_DOUBT = msgspec.structs.replace(PUT_BACK, failure=IN_DOUBT)
CANCELLING = msgspec.structs.replace(QUEUED, cancelling=True)
ENDED = [
    msgspec.structs.replace(QUEUED, state=state, ended_at=1900.0)
    for state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
]
CANCELLED = msgspec.structs.replace(CANCELLING, state=JobState.CANCELLED, ended_at=NOW, owes_callback=True)

STEPS: list[Callable[[Job], Job]] = [
    lambda job: job.begun(NOW),
    lambda job: job.cancelled(NOW),
    lambda job: job.put_back(IN_DOUBT, counts=True, most_tries=1, now=NOW),
    lambda job: job.ended(JobState.COMPLETED, NOW, response="hello"),
]


@pytest.mark.parametrize("job", ENDED)
@pytest.mark.parametrize("step", STEPS)
def test_what_has_ended_has_ended(job: Job, step: Callable[[Job], Job]) -> None:
    assert step(job) == job


@pytest.mark.parametrize(
    ("job", "after"),
    [
        (QUEUED, CANCELLED),
        (PUT_BACK, msgspec.structs.replace(CANCELLED, attempts=1, began_at=1500.0, failure=None)),
        (PUT_BACK_IN_DOUBT, msgspec.structs.replace(PUT_BACK_IN_DOUBT, cancelling=True)),
        (RUNNING, msgspec.structs.replace(RUNNING, cancelling=True)),
    ],
)
def test_a_job_is_cancelled_at_once_only_if_its_message_has_not_reached_the_agent(job: Job, after: Job) -> None:
    assert job.cancelled(NOW) == after


def test_an_attempt_begins() -> None:
    first = QUEUED.begun(NOW)
    assert (first.state, first.attempts, first.began_at) == (JobState.RUNNING, 1, NOW)
    second = PUT_BACK.begun(NOW)
    assert (second.state, second.attempts, second.began_at) == (JobState.RUNNING, 2, 1500.0)
    assert CANCELLING.begun(NOW) == CANCELLED
    # An earlier attempt may have reached the agent: it has to be found before it can be stopped.
    assert msgspec.structs.replace(PUT_BACK_IN_DOUBT, cancelling=True).begun(NOW).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("tries", "counts", "state", "tries_after"),
    [
        (0, True, JobState.QUEUED, 1),
        (0, False, JobState.QUEUED, 0),
        (2, True, JobState.FAILED, 3),
        (2, False, JobState.QUEUED, 2),
    ],
)
def test_a_job_fails_when_as_many_tries_have_failed(
    tries: int, counts: bool, state: JobState, tries_after: int
) -> None:
    job = msgspec.structs.replace(RUNNING, tries=tries).put_back(IN_DOUBT, counts, most_tries=3, now=NOW)
    assert (job.state, job.tries, job.failure) == (state, tries_after, IN_DOUBT)
    assert job.owes_callback == (state is JobState.FAILED)


def test_what_was_not_accepted_is_found_by_no_retry() -> None:
    undone = QUEUED.not_accepted(NOW)
    assert (undone.state, undone.body, undone.key, undone.owes_callback) == (JobState.CANCELLED, b"", None, False)
    found = QUEUED.after_retry()
    assert found.not_accepted(NOW) == found


def test_a_callback_is_owed_until_it_is_taken_or_was_tried_often_enough() -> None:
    job = QUEUED.ended(JobState.COMPLETED, NOW)
    assert job.owes_callback
    assert job.called_back(taken=False, most_calls=2).owes_callback
    assert not job.called_back(taken=True, most_calls=2).owes_callback
    assert not job.called_back(taken=False, most_calls=2).called_back(taken=False, most_calls=2).owes_callback
    assert not msgspec.structs.replace(QUEUED, callback_url=None).ended(JobState.FAILED, NOW).owes_callback
