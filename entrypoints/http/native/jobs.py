"""/api/v1/chat/async: jobs. Accepted means kept; what becomes of a job is told when it is asked for, or called back."""

import re
import time
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from domain.model.failure_table import FailureCode
from domain.model.job import Job, JobState, size_of
from domain.services.api_keys import ApiKeys
from domain.services.jobs import Jobs, new_job_id
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.auth import caller_of
from entrypoints.http.native.api_docs import JobOperation
from entrypoints.http.native.error_handlers import CODED_ERROR_HANDLERS
from entrypoints.http.native.intake import NativeIntake
from entrypoints.http.native.wire import limit_in, when
from entrypoints.settings.job_options import JobOptions

_JOB_ID = re.compile("job_[0-9a-f]+")
# Others have to be written in this way: what clients and servers make of them differs.
_URL = re.compile(r"https?://[!-~]{1,1990}")


class AcceptedJob(msgspec.Struct, frozen=True, rename="camel"):
    """As LettaBot answers, and the job's id."""

    status: JobState
    agent_name: str
    job_id: str
    success: bool = True


class JobReport(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What has become of a job. Times are in UTC, ISO 8601."""

    success: bool
    """False if nothing will come of it."""
    job_id: str
    status: JobState
    agent_name: str
    attempts: int
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    response: str | None = None
    error: str | None = None
    code: str | None = None


class ListedJob(msgspec.Struct, frozen=True, rename="camel"):
    """A job in the list; what was answered is told by its report. Times are in UTC, ISO 8601."""

    job_id: str
    status: JobState
    agent_name: str
    key_name: str | None
    """Of the API key; empty: the one without a name; null: it was revoked."""
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    code: str | None
    """Of the last failure."""


class JobList(msgspec.Struct, frozen=True, rename="camel"):
    """The newest first."""

    jobs: list[ListedJob]
    has_more: bool


def report(job: Job) -> JobReport:
    """Of a job that will be attempted again, `error` says why it was not answered yet."""
    error = None if job.failure is None else of_failure(job.failure).body.error
    message = None if error is None else error.message
    return JobReport(
        job.state not in (JobState.FAILED, JobState.CANCELLED),
        job.id,
        job.state,
        job.model,
        job.attempts,
        when(job.made_at) or "",
        when(job.began_at),
        when(job.ended_at),
        job.response,
        "The job was cancelled." if job.state is JobState.CANCELLED else message,
        None if error is None else error.code,
    )


def encoded_report(job: Job) -> bytes:
    """As callbacks get it."""
    return msgspec.json.encode(report(job))


def job_handlers(intake: NativeIntake, jobs: Jobs, options: JobOptions) -> list[HTTPRouteHandler]:
    # Functions in a function, because Litestar makes deep copies of methods, collaborators included.
    async def _find(request: Request[Any, Any, Any], job_id: str) -> Job | None:
        # No other text is an id, and databases do not take every text.
        return await jobs.find(job_id, caller_of(request.scope)) if _JOB_ID.fullmatch(job_id) else None

    @post("/chat/async", operation_class=JobOperation, status_code=202, exception_handlers=CODED_ERROR_HANDLERS)
    async def create_job(request: Request[Any, Any, Any]) -> AcceptedJob:
        asked = await intake.read(request)
        message = asked.turn.message.text
        job = Job(
            id=new_job_id(),
            owner=asked.caller.id,
            agent=asked.turn.agent,
            model=asked.model.name,
            body=asked.identity.body,
            made_at=time.time(),
            size=size_of(message),
            chat=asked.turn.chat,
            user_message_id=asked.turn.user_message_id,
            key=None if asked.identity.idempotency_key is None else asked.identity.state_key,
            callback_url=None if asked.callback_url is None else _checked(asked.callback_url, options),
        )
        if job.size > jobs.longest:
            raise _too_long(jobs.longest)
        kept = await jobs.accept(job, message, is_retry=asked.identity.retry_count > 0)
        return AcceptedJob(JobState.QUEUED, kept.model, kept.id)

    @get("/chat/async/{job_id:str}", summary="What has become of a job", tags=["LettaBot"])
    async def retrieve_job(request: Request[Any, Any, Any], job_id: FromPath[str]) -> JobReport:
        """Its state (queued, running, completed, failed, cancelled), attempts, times, and the response or the error."""
        return report(_found(await _find(request, job_id)))

    @delete("/chat/async/{job_id:str}", status_code=200, summary="Cancel a job", tags=["LettaBot"])
    async def cancel_job(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[JobReport]:
        """A job that waits is cancelled at once. One that runs is stopped as soon as that is possible (202)."""
        before = _found(await _find(request, job_id))
        job = _found(await jobs.cancel(before.id, caller_of(request.scope)))
        if job.state in (JobState.COMPLETED, JobState.FAILED):
            raise ApiError(409, f"The job has ended already: {job.state}.")
        return Response(report(job), status_code=200 if job.finished else 202)

    return [create_job, retrieve_job, cancel_job]


def job_list_handler(jobs: Jobs, keys: ApiKeys) -> HTTPRouteHandler:
    @get("/jobs", summary="The jobs", tags=["LettaBot"])
    async def list_jobs(request: Request[Any, Any, Any]) -> JobList:
        """The newest first: `limit` (500 at most, 50 without it), `after` (a job's id: only older ones), `state`. Other
        keys' jobs are for admins only."""
        query, limit = request.query_params, limit_in(request.query_params)
        after = query.get("after")
        if after is not None and not _JOB_ID.fullmatch(after):
            raise ApiError(400, "after: expected the id of a job.", param="after")
        found = await jobs.recent(caller_of(request.scope), limit + 1, _state_in(query.get("state")), after)
        names = await keys.names()
        return JobList([_listed(job, names.get(job.owner)) for job in found[:limit]], len(found) > limit)

    return list_jobs


def _state_in(text: str | None) -> JobState | None:
    if text is not None and text not in list(JobState):
        raise ApiError(400, f"state: expected one of {', '.join(JobState)}.", param="state")
    return None if text is None else JobState(text)


def _listed(job: Job, key_name: str | None) -> ListedJob:
    return ListedJob(
        job.id,
        job.state,
        job.model,
        key_name,
        job.attempts,
        when(job.made_at) or "",
        when(job.began_at),
        when(job.ended_at),
        None if job.failure is None else str(job.failure.code),
    )


def _found(job: Job | None) -> Job:
    if job is None:
        raise ApiError(404, "There is no such job. Jobs are kept for a day after they have ended.")
    return job


def _too_long(limit: int) -> ApiError:
    """It will never be accepted, however long somebody waits."""
    error = ApiError(
        429,
        f"The message is longer than the messages of all open jobs of one API key may be together: {limit} bytes "
        "(server.api.maxOpenJobBytes). Nothing was delivered.",
        type_="rate_limit_error",
        param="message",
        code=FailureCode.TOO_MANY_JOBS,
    )
    error.headers["x-should-retry"] = "false"
    return error


def _checked(url: str, options: JobOptions) -> str:
    """What can be said without looking the host up; that is done before each call."""
    try:
        parts = urlsplit(url)
        # Asking for the port checks it.
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or not _URL.fullmatch(url) or "@" in parts.netloc:
        raise ApiError(400, "callbackUrl: expected a URL such as https://example.org/hook.", param="callbackUrl")
    if parts.scheme == "http" and not options.allow_http_callbacks:
        raise ApiError(400, "callbackUrl: only https is allowed here.", param="callbackUrl")
    if not options.allow_private_callbacks and _is_private(host):
        raise ApiError(400, "callbackUrl: private addresses are not allowed here.", param="callbackUrl")
    return url


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
