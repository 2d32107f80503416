"""What Letta's errors mean: which failure, and what became of the message. Rules from recorded Letta behaviour."""

import re

import aiohttp
import httpx
import msgspec
from letta_client import APIError, APIStatusError, LettaError

from adapters.letta.foreign_responses import failure_of_foreign_response, knows_no_agent, lacks_credits, not_letta
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure

# Everything that letta-client and its transport raise when the network or Letta fails. On a stream that has begun
# they are bare transport errors.
LETTA_ERRORS = (LettaError, httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError)

# Seconds; a rate limit of an LLM provider counts by the minute, a busy conversation or a restart is over sooner.
_RATE_LIMIT_RETRY = 20
_SOON = 5

_PROXY_ERRORS = (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)
_PROXY_FAILS = (
    "The proxy on the way to the agent backend (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of this service) cannot be "
    "reached, or refuses."
)

_ERROR_TYPES = {
    "llm_rate_limit": FailureCode.LLM_RATE_LIMIT,
    "llm_authentication": FailureCode.LLM_AUTHENTICATION,
    "llm_timeout": FailureCode.LLM_TIMEOUT,
    "llm_error": FailureCode.LLM_ERROR,
}


# What Letta says when it does not take a message, or a verdict, because of tool calls that wait for approval.
_REFUSALS = ("waiting for approval", "Invalid tool call IDs", "No tool call is currently awaiting approval")
_EXPECTED_IDS = re.compile(r"Expected(.*?)(?:but received|$)", re.DOTALL)
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
_PLAIN = re.compile(r"[^\s,'\"\[\](){}]+")
_MOST_IDS = 100
# What a person has to do who can open Letta.
APPROVE_THERE = (
    "The agent is waiting for somebody to approve or deny a tool call, and takes no answer to that from here: "
    "open the agent in Letta, approve or deny it there, then send your message again."
)


def refusal_in(said: str) -> Failure | None:
    """What Letta refuses before the first step is nowhere at all."""
    if not any(words in said for words in _REFUSALS):
        return None
    waiting = _ids_in(said)
    return Failure(FailureCode.APPROVAL_PENDING, Delivery.NO, "Letta refuses it", detail=APPROVE_THERE, waiting=waiting)


def failure_of_error_event(error_type: str, words: str, stop_reason: str, delivery: Delivery) -> Failure:
    """An `error_message` in a stream, with its words. Letta calls everything after the first step `internal_error`.

    It keeps nothing of a turn that fails in its first step, and the first steps of one that fails in a later one: only
    the run's record tells which of them it was."""
    cause = f"Letta: {error_type[:80] or 'no error type'}, stop reason {stop_reason[:80] or 'none'}"
    code = FailureCode.INSUFFICIENT_QUOTA if lacks_credits(words) else _ERROR_TYPES.get(error_type)
    if code is None:
        code = FailureCode.LLM_ERROR if stop_reason == "llm_api_error" else FailureCode.AGENT_ERROR
    if code is FailureCode.LLM_RATE_LIMIT:
        return Failure(code, delivery, cause, retry_after=_RATE_LIMIT_RETRY)
    return Failure(code, delivery, cause)


def failure_of_stop_reason(stop_reason: str) -> Failure:
    """A run that came to no good end, and said no more about it than this."""
    cause = f"stop reason {stop_reason[:80] or 'none'}"
    match stop_reason:
        case "cancelled":
            # In its first step, a run that is cancelled leaves nothing behind.
            return Failure(FailureCode.CANCELLED, Delivery.UNKNOWN, cause)
        case "requires_approval":
            return Failure(FailureCode.APPROVAL_PENDING, Delivery.UNKNOWN, cause, detail=APPROVE_THERE)
        case "llm_api_error":
            return Failure(FailureCode.LLM_ERROR, Delivery.UNKNOWN, cause)
        case "insufficient_credits":
            return Failure(FailureCode.INSUFFICIENT_QUOTA, Delivery.UNKNOWN, cause)
    return Failure(FailureCode.AGENT_ERROR, Delivery.UNKNOWN, cause)


def failure_of_send(error: BaseException, accepted: bool) -> Failure:
    """An exception while a message was sent or its answer streamed; `accepted` when an event has come already."""
    if isinstance(error, APIStatusError):
        return _failure_of_status(error)
    if _never_connected(error):
        return _unavailable(error)
    if accepted:
        return Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN, _chain(error))
    return Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, _chain(error))


def failure_of_question(error: BaseException) -> Failure:
    """An exception while something was looked up: nothing was to be delivered."""
    if isinstance(error, APIStatusError) and (failure := failure_of_foreign_response(error)):
        return msgspec.structs.replace(failure, delivery=Delivery.NO)
    if isinstance(error, msgspec.DecodeError) or _is_no_http(error):
        return not_letta(_chain(error))
    return _unavailable(error)


def failure_of_list(error: BaseException) -> Failure:
    """An exception while agents were listed. Every Letta can do that: a refusal is not Letta's."""
    if isinstance(error, APIStatusError) and error.status_code in (400, 404, 405, 406, 410):
        return failure_of_foreign_response(error) or not_letta(_chain(error))
    return failure_of_question(error)


def failure_of_opening(error: BaseException) -> Failure:
    """An exception while a conversation was opened."""
    if isinstance(error, APIStatusError) and error.status_code in (404, 405, 422) and "detail" in _body(error):
        if "Agent not found" in str(_body(error).get("detail")):
            return Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, _chain(error))
        cause = "this Letta server has no conversations: update it, or set server.api.conversations to shared"
        return Failure(FailureCode.AGENT_ERROR, Delivery.NO, cause)
    return failure_of_question(error)


def failure_of_conversation(error: BaseException) -> Failure:
    """An exception while a conversation, or a message in it, was looked up or changed."""
    if isinstance(error, APIStatusError) and error.status_code in (404, 422):
        detail = str(_body(error).get("detail"))
        if any(words in detail for words in ("Conversation not found", "No message found", "conversation_id")):
            return Failure(FailureCode.CONVERSATION_GONE, Delivery.NO, _chain(error))
    return failure_of_question(error)


def lacks_default_conversation(error: APIStatusError) -> bool:
    """Whether this answer comes from a server too old to know `conversations/default`: nothing was delivered then."""
    if error.status_code in (405, 422):
        return "detail" in _body(error) and refusal_in(_words(_body(error))) is None
    detail = _body(error).get("detail")
    return error.status_code == 404 and (detail == "Not Found" or "Conversation not found" in str(detail))


def lacks_redis(error: BaseException) -> bool:
    """Whether this server has no background mode, and so forgets which messages it has seen; nothing was delivered."""
    return (
        isinstance(error, APIStatusError)
        and error.status_code == 503
        and "Background streaming requires Redis" in str(_body(error).get("detail"))
    )


def run_that_holds_the_lock(error: APIStatusError) -> str | None:
    """For whose sake Letta says that a conversation is busy, if it says so."""
    run_id = _body(error).get("run_id") if error.status_code == 409 else None
    return run_id if isinstance(run_id, str) else None


def _failure_of_status(error: APIStatusError) -> Failure:
    body, status, cause = _body(error), error.status_code, _chain(error)
    # A bad LLM key on Letta's side and a bad Letta key have the same status: only the body tells.
    inner = body.get("error")
    if isinstance(inner, dict) and inner.get("type") in _ERROR_TYPES:
        words = f"{inner.get('message')} {inner.get('detail')}"
        return failure_of_error_event(str(inner["type"]), words, "", Delivery.UNKNOWN)
    if status == 404 and "Conversation not found" in str(body.get("detail")):
        return Failure(FailureCode.CONVERSATION_GONE, Delivery.NO, cause)
    if status == 404 and knows_no_agent(error):
        return Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, cause)
    if foreign := failure_of_foreign_response(error):
        return foreign
    if status == 409:
        detail = body.get("detail")
        if "PENDING_APPROVAL" in str(detail):
            # Letta takes the id of the message that asks for the approval of a call for that of the call.
            asks = detail.get("pending_request_id") if isinstance(detail, dict) else None
            waiting = (asks,) if isinstance(asks, str) else ()
            return Failure(FailureCode.APPROVAL_PENDING, Delivery.NO, cause, detail=APPROVE_THERE, waiting=waiting)
    if refusal := refusal_in(_words(body)):
        return refusal
    if status == 409:
        return Failure(FailureCode.CONVERSATION_BUSY, Delivery.NO, cause, retry_after=_SOON)
    if status >= 500 or status == 408:
        # A server or a proxy that fails without saying whose fault it is may have delivered before it did.
        detail = f"The agent backend, or a proxy before it, answered with an error ({status})."
        return Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, cause, detail=detail)
    return Failure(FailureCode.AGENT_ERROR, Delivery.NO, cause)


def _words(body: dict[str, object]) -> str:
    """What an error says, wherever Letta puts it."""
    parts = [body.get(name) for name in ("detail", "error", "message")]
    said = [each for part in parts for each in (part.values() if isinstance(part, dict) else [part])]
    return " ".join(each for each in said if isinstance(each, str))


def _ids_in(refusal: str) -> tuple[str, ...]:
    """The ids of tool calls that Letta expects a verdict on."""
    expected = _EXPECTED_IDS.search(refusal)
    listed = re.search(r"[\[({](.*)[\])}]", expected[1], re.DOTALL) if expected else None
    if listed is None:
        return ()
    found = [single or double for single, double in _QUOTED.findall(listed[1])] or _PLAIN.findall(listed[1])
    return tuple(found[:_MOST_IDS])


def _unavailable(error: BaseException) -> Failure:
    detail = ""
    if isinstance(error, APIStatusError) and error.status_code >= 500:
        detail = f"The agent backend, or a proxy before it, answers with an error ({error.status_code})."
    elif any(isinstance(cause, _PROXY_ERRORS) or _seeks_other_host(cause, error) for cause in _causes(error)):
        detail = _PROXY_FAILS
    return Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, _chain(error), retry_after=_SOON, detail=detail)


def _seeks_other_host(cause: BaseException, error: BaseException) -> bool:
    """Whether it is a name that cannot be found, and not that of Letta."""
    if not isinstance(cause, aiohttp.ClientConnectorDNSError) or not isinstance(error, APIError):
        return False
    return cause.host.rstrip(".") != error.request.url.host.rstrip(".")


def _is_no_http(error: BaseException) -> bool:
    return any(type(cause) is aiohttp.ClientResponseError for cause in _causes(error))


def _never_connected(error: BaseException) -> bool:
    # On the aiohttp transport a refused connection and one cut after the send both surface as APITimeoutError: only
    # the root cause tells them apart. These are raised while connecting, before a byte of the request is sent.
    return any(
        isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError)
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _chain(error: BaseException) -> str:
    names = " <- ".join(type(cause).__name__ for cause in _causes(error))
    return f"{error.status_code} {names}" if isinstance(error, APIStatusError) else names


def _body(error: APIError) -> dict[str, object]:
    return error.body if isinstance(error.body, dict) else {}
