"""Why a turn, or a question to the backend, came to nothing, and what became of the user's message; in words.

What all failures with one code have in common stands in `failure_table.py`."""

from enum import StrEnum

import msgspec

from domain.model.failure_table import FAILURES, FailureCode, FailureInfo


class Delivery(StrEnum):
    """Whether the agent may remember the user message."""

    NO = "not_delivered"
    UNKNOWN = "unknown"
    YES = "delivered"


class Failure(msgspec.Struct, frozen=True):
    """Why something came to nothing, and what became of the message."""

    code: FailureCode
    delivery: Delivery
    cause: str = ""
    """For the operator's log only. It never holds message text."""
    retry_after: int | None = None
    """In seconds."""
    repeated: bool = False
    """This request was not carried out: an earlier one like it failed, and this is that failure again."""
    detail: str = ""
    """A sentence for clients and operators that says more than the code does. It holds no secrets."""
    final: bool = False
    """Nobody can know what became of the message, and another look at the backend would not tell more."""
    waiting: tuple[str, ...] = ()
    """The ids of the tool calls that wait for approval, as the backend says; for people also their names."""

    @property
    def info(self) -> FailureInfo:
        """What is known of all failures with this code."""
        return FAILURES[self.code]

    @property
    def sentence(self) -> str:
        """What happened and what to do, in words for people; never the provider's own text."""
        return f"{self.what}{self._waiting} {_DELIVERY[self.delivery]}"

    @property
    def what(self) -> str:
        """The same, without what became of the message."""
        return self.detail or _WHAT[self.code]

    @property
    def _waiting(self) -> str:
        named = ", ".join(each[:_LONGEST_NAMED] for each in self.waiting[:_MOST_NAMED])
        more = len(self.waiting) - _MOST_NAMED
        return f" What waits: {named}{f' and {more} more' if more > 0 else ''}." if named else ""


def with_fate(failure: Failure, delivery: Delivery) -> Failure:
    """The same failure, now that it is known what became of the message. A rate limit is worth waiting for only if
    the message is to be sent again."""
    if failure.code is FailureCode.LLM_RATE_LIMIT and delivery is not Delivery.NO:
        return msgspec.structs.replace(failure, code=FailureCode.LLM_ERROR, delivery=delivery, retry_after=None)
    return msgspec.structs.replace(failure, delivery=delivery)


class FailureError(Exception):
    """Raised wherever something comes to nothing, mostly by gateways; carries the failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.cause}")
        self.failure = failure


# Of the tool calls that wait, as many are named, in as many characters each.
_MOST_NAMED = 5
_LONGEST_NAMED = 150

_DELIVERY = {
    Delivery.NO: "Nothing was delivered.",
    Delivery.UNKNOWN: "Your message may or may not have reached the agent; ask it before you send it again.",
    Delivery.YES: "Your message was delivered; do not send it again.",
}

# Clients look for words in these: tests/http/test_words_that_clients_match.py knows which.
_WHAT = {
    FailureCode.BACKEND_UNAVAILABLE: "The agent backend cannot be reached at the moment.",
    FailureCode.DELIVERY_UNKNOWN: "The connection to the agent backend broke before it answered.",
    FailureCode.CONNECTION_LOST: "The connection to the agent backend broke in the middle of the answer.",
    FailureCode.ANSWER_INCOMPLETE: "A part of the agent's answer could not be read.",
    FailureCode.UPSTREAM_AUTHENTICATION: (
        "The agent backend refuses this service's own credential; its operator has to correct it."
    ),
    FailureCode.BACKEND_RATE_LIMIT: "The agent backend limits how often it may be asked; wait a moment.",
    FailureCode.UPSTREAM_REDIRECT: (
        "The agent backend's address redirects elsewhere; this service's operator has to correct it."
    ),
    FailureCode.UPSTREAM_UNEXPECTED: (
        "What answers at the agent backend's address is something else; this service's operator has to correct the "
        "address."
    ),
    FailureCode.UPSTREAM_TOO_LARGE: (
        "This request is too large for what stands before the agent backend, a proxy perhaps; send less, or have its "
        "operator raise the limit."
    ),
    FailureCode.INSUFFICIENT_QUOTA: (
        "Insufficient credits: the account of the agent backend, or of its language model, is empty; its operator has "
        "to add some."
    ),
    FailureCode.MODEL_NOT_FOUND: "There is no such agent; GET /v1/models lists those that there are.",
    FailureCode.CONVERSATION_BUSY: "The agent is still busy with another message.",
    FailureCode.CONVERSATION_GONE: "The agent's conversation for this chat was deleted.",
    FailureCode.CONVERSATION_STUCK: (
        "The agent backend holds an interrupted answer in this conversation and takes no message there until it is "
        "restarted; restart it, or use a chat key: chats go on in a copy."
    ),
    FailureCode.UNSUPPORTED_CONTENT: "The agent backend cannot read a part of this message.",
    FailureCode.CHATS_NOT_SUPPORTED: (
        "This agent's backend has one history for everybody, and no conversations for single chats; leave the chat key "
        "out, or have this service's operator set server.api.conversations: shared."
    ),
    FailureCode.PREVIOUS_RESPONSE_NOT_LAST: (
        "Something was said in this conversation after that response, and an agent cannot forget it; go on from the "
        "last response, or have this service's operator set server.api.continueFrom: last."
    ),
    FailureCode.TURN_QUEUE_FULL: "Too many messages are waiting for this agent already; wait a moment.",
    FailureCode.TOO_MANY_JOBS: (
        "Too many jobs of this API key are open, or their messages are too large together "
        "(server.api.maxOpenJobs, maxOpenJobBytes); wait until some have ended, or cancel them."
    ),
    FailureCode.TURN_TIMEOUT: "The agent took too long, and was stopped.",
    FailureCode.CANCELLED: "The agent was stopped before its answer was whole.",
    FailureCode.KEY_REVOKED: "Incorrect API key provided: it was revoked, or has expired.",
    FailureCode.IDEMPOTENCY_KEY_CONFLICT: (
        "This idempotency key was used for another request; use a new key for each message."
    ),
    FailureCode.LLM_RATE_LIMIT: "The agent's language model is rate limited; wait a moment.",
    FailureCode.LLM_ERROR: "The agent's language model failed.",
    FailureCode.LLM_TIMEOUT: "The agent's language model did not answer in time.",
    FailureCode.LLM_AUTHENTICATION: (
        "The agent's language model refuses the backend's credential; the operator of the backend has to correct it."
    ),
    FailureCode.APPROVAL_PENDING: (
        "The agent is waiting for somebody to approve or deny a tool call, and takes no answer to that from here: "
        "approve or deny it where the agent runs, then send your message again."
    ),
    FailureCode.AGENT_ERROR: "The agent stopped with an error.",
    FailureCode.STATE_UNAVAILABLE: "This service cannot reach its own database at the moment.",
    FailureCode.SHUTTING_DOWN: "This service is shutting down; the agent goes on without it.",
    FailureCode.INTERNAL_ERROR: "This service made a mistake; its log says more under the request id.",
}
