"""What the App Server's errors mean. Its words hold those of model providers, so they are looked at and never told."""

import re

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError, with_fate

# "401: {...}", alone or inside of JSON.
_STATUS = re.compile(r'(?:^|")([45]\d\d): ')
_NO_AGENT = re.compile(r"Agent \S+ not found")
# Which may be any text that a client has named.
_NO_CONVERSATION = re.compile(r"Conversation .+ not found", re.DOTALL)
_STUCK = "already has an active run"
_IMAGE = "Failed to prepare image"

UNFINISHED = (
    "The connection to Letta Code broke in the middle of the answer, and it does not say whether what it has stored of "
    "it is whole."
)


def failure_of_turn(error: str, is_begun: bool) -> Failure:
    """Of a turn that ended with this error. `is_begun`: it had a run, so the message is stored."""
    fate = Delivery.YES if is_begun else Delivery.UNKNOWN
    if not is_begun and (missing := _missing(error)) is not None:
        return missing
    if not is_begun and _STUCK in error:
        return Failure(FailureCode.CONVERSATION_STUCK, Delivery.NO, "an old run is not over for Letta Code")
    if _IMAGE in error:
        return Failure(
            FailureCode.UNSUPPORTED_CONTENT, fate, "an image", detail="Letta Code cannot read one of the images."
        )
    if _STATUS.search(error) is not None or "llm_error" in error or "llm_api_error" in error:
        return with_fate(failure_of_model(error), fate)
    return Failure(FailureCode.AGENT_ERROR, fate, "the turn ended with an error")


def failure_of_model(error: str) -> Failure:
    """Of a turn whose language model failed; the message is stored."""
    if (status := _STATUS.search(error)) is None:
        return Failure(FailureCode.LLM_ERROR, Delivery.YES, "the language model failed")
    code = FailureCode.LLM_AUTHENTICATION if status[1] in ("401", "403") else FailureCode.LLM_ERROR
    return Failure(code, Delivery.YES, f"the language model answered {status[1]}")


def refused(error: str | None) -> Failure:
    """Of an input that was not accepted: nothing of it is stored."""
    words = error or ""
    if "no longer pending" in words:
        return Failure(FailureCode.APPROVAL_PENDING, Delivery.NO, "the approval is no longer pending")
    if "rejected by the queue" in words:
        return Failure(FailureCode.UPSTREAM_TOO_LARGE, Delivery.NO, "Letta Code's queue takes no input of this size")
    return _missing(words) or Failure(
        FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "Letta Code did not accept the message"
    )


def _missing(error: str) -> Failure | None:
    """Of an error that says so of the agent, or of the conversation."""
    if _NO_AGENT.search(error):
        return Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, "Letta Code knows no such agent")
    return gone() if _NO_CONVERSATION.search(error) else None


def gone() -> Failure:
    """Of a conversation that is not there, or is somebody else's."""
    return Failure(FailureCode.CONVERSATION_GONE, Delivery.NO, "Letta Code knows no such conversation")


def unavailable(cause: str) -> FailureError:
    """Of a question that got no answer, or that it refused."""
    return FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, cause))
