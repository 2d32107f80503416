"""What errors of a server with OpenAI's API mean, and what became of the message. Its words are never passed on."""

import httpx

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure

_BY_STATUS = {
    400: FailureCode.UNSUPPORTED_CONTENT,
    401: FailureCode.UPSTREAM_AUTHENTICATION,
    402: FailureCode.INSUFFICIENT_QUOTA,
    403: FailureCode.UPSTREAM_AUTHENTICATION,
    404: FailureCode.MODEL_NOT_FOUND,
    409: FailureCode.CONVERSATION_BUSY,
    413: FailureCode.UPSTREAM_TOO_LARGE,
    422: FailureCode.UNSUPPORTED_CONTENT,
    429: FailureCode.BACKEND_RATE_LIMIT,
    503: FailureCode.BACKEND_UNAVAILABLE,
}
# Seconds. Nobody waits longer because a header says so.
LONGEST_RETRY_AFTER = 600


def failure_of_status(response: httpx.Response) -> Failure:
    """Of an answer that is an error. Those that refuse a request have done nothing with it."""
    status = response.status_code
    cause = f"it answered {status}"
    if 300 <= status < 400:
        return Failure(FailureCode.UPSTREAM_REDIRECT, Delivery.NO, cause)
    code = _BY_STATUS.get(status)
    if code is None:
        # It may have told the model, or an agent, before it failed.
        code, fate = (
            (FailureCode.LLM_ERROR, Delivery.UNKNOWN) if status >= 500 else (FailureCode.AGENT_ERROR, Delivery.NO)
        )
        return Failure(code, fate, cause)
    after = response.headers.get("retry-after", "")
    retry_after = min(int(after), LONGEST_RETRY_AFTER) if after.isdecimal() and len(after) < 6 else None
    return Failure(code, Delivery.NO, cause, retry_after=retry_after)


def failure_of_connection(error: Exception, is_answered: bool) -> Failure:
    """Of a connection that could not be made, or that broke: before the first word of the answer, or after it."""
    cause = type(error).__name__
    if is_answered:
        return Failure(FailureCode.CONNECTION_LOST, Delivery.YES, cause)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        return Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, cause)
    return Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, cause)
