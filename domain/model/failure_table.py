"""Why a turn, or a question to the backend, came to nothing: every code, and one table of what is known of each.

How an error looks on the wire is decided in `entrypoints`; what happened to one message stands in `failures.py`."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class FailureCode(StrEnum):
    """Stable names, part of the API: clients see them as `error.code`."""

    BACKEND_UNAVAILABLE = "backend_unavailable"
    DELIVERY_UNKNOWN = "delivery_unknown"
    CONNECTION_LOST = "connection_lost"
    BACKEND_RATE_LIMIT = "backend_rate_limit"
    ANSWER_INCOMPLETE = "answer_incomplete"
    UPSTREAM_AUTHENTICATION = "upstream_authentication"
    UPSTREAM_REDIRECT = "upstream_redirect"
    # Its name is older than the second backend.
    UPSTREAM_UNEXPECTED = "upstream_not_letta"
    UPSTREAM_TOO_LARGE = "upstream_too_large"
    INSUFFICIENT_QUOTA = "insufficient_quota"
    MODEL_NOT_FOUND = "model_not_found"
    CONVERSATION_BUSY = "conversation_busy"
    CONVERSATION_GONE = "conversation_gone"
    CONVERSATION_STUCK = "conversation_stuck"
    CHATS_NOT_SUPPORTED = "chats_not_supported"
    PREVIOUS_RESPONSE_NOT_LAST = "previous_response_not_last"
    UNSUPPORTED_CONTENT = "unsupported_content"
    TURN_QUEUE_FULL = "turn_queue_full"
    TOO_MANY_JOBS = "too_many_jobs"
    TURN_TIMEOUT = "turn_timeout"
    CANCELLED = "cancelled"
    KEY_REVOKED = "key_revoked"
    IDEMPOTENCY_KEY_CONFLICT = "idempotency_key_conflict"
    LLM_RATE_LIMIT = "llm_rate_limit"
    LLM_ERROR = "llm_error"
    LLM_TIMEOUT = "llm_timeout"
    LLM_AUTHENTICATION = "llm_authentication"
    APPROVAL_PENDING = "approval_pending"
    AGENT_ERROR = "agent_error"
    STATE_UNAVAILABLE = "state_unavailable"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL_ERROR = "internal_error"


class FailureKind(StrEnum):
    """Whose failure it is."""

    REQUEST = "request"
    """The request cannot be carried out as it is."""
    AGENT = "agent"
    """The agent ended without a whole answer."""
    MODEL = "model"
    """The agent's language model failed."""
    CONNECTION = "connection"
    """The connection to the backend broke. The run may go on there."""
    UNAVAILABLE = "unavailable"
    """The backend, the conversation or the state is away or full, and comes back: nobody has made a mistake."""
    OURS = "ours"
    """This service made a mistake."""


class FailureInfo(msgspec.Struct, frozen=True):
    """What is known of all failures that have the same code."""

    kind: FailureKind
    http_status: int
    is_retryable: bool
    """Whether a client may send the message again at once, if nothing was delivered."""
    is_fate_open: bool
    """Whether the backend can tell later what became of the message, if that is unknown now."""


# Of each code: its kind, its HTTP status, whether it is worth a retry, whether the fate of the message is still open.
FAILURES: Mapping[FailureCode, FailureInfo] = {
    FailureCode.BACKEND_UNAVAILABLE: FailureInfo(FailureKind.UNAVAILABLE, 503, True, True),
    FailureCode.DELIVERY_UNKNOWN: FailureInfo(FailureKind.CONNECTION, 502, False, True),
    FailureCode.CONNECTION_LOST: FailureInfo(FailureKind.CONNECTION, 502, True, True),
    FailureCode.BACKEND_RATE_LIMIT: FailureInfo(FailureKind.UNAVAILABLE, 429, True, True),
    FailureCode.ANSWER_INCOMPLETE: FailureInfo(FailureKind.AGENT, 502, False, True),
    FailureCode.UPSTREAM_AUTHENTICATION: FailureInfo(FailureKind.UNAVAILABLE, 502, False, True),
    FailureCode.UPSTREAM_REDIRECT: FailureInfo(FailureKind.UNAVAILABLE, 502, False, True),
    FailureCode.UPSTREAM_UNEXPECTED: FailureInfo(FailureKind.UNAVAILABLE, 502, False, True),
    FailureCode.UPSTREAM_TOO_LARGE: FailureInfo(FailureKind.REQUEST, 413, False, False),
    FailureCode.INSUFFICIENT_QUOTA: FailureInfo(FailureKind.UNAVAILABLE, 402, False, True),
    FailureCode.MODEL_NOT_FOUND: FailureInfo(FailureKind.REQUEST, 404, False, False),
    FailureCode.CONVERSATION_BUSY: FailureInfo(FailureKind.UNAVAILABLE, 429, True, True),
    FailureCode.CONVERSATION_GONE: FailureInfo(FailureKind.REQUEST, 409, False, False),
    FailureCode.CONVERSATION_STUCK: FailureInfo(FailureKind.REQUEST, 409, False, False),
    FailureCode.UNSUPPORTED_CONTENT: FailureInfo(FailureKind.REQUEST, 400, False, False),
    FailureCode.CHATS_NOT_SUPPORTED: FailureInfo(FailureKind.REQUEST, 400, False, False),
    FailureCode.PREVIOUS_RESPONSE_NOT_LAST: FailureInfo(FailureKind.REQUEST, 400, False, False),
    FailureCode.TURN_QUEUE_FULL: FailureInfo(FailureKind.UNAVAILABLE, 429, True, True),
    FailureCode.TOO_MANY_JOBS: FailureInfo(FailureKind.REQUEST, 429, True, False),
    FailureCode.TURN_TIMEOUT: FailureInfo(FailureKind.AGENT, 504, False, False),
    FailureCode.CANCELLED: FailureInfo(FailureKind.REQUEST, 409, False, False),
    FailureCode.KEY_REVOKED: FailureInfo(FailureKind.REQUEST, 401, False, False),
    FailureCode.IDEMPOTENCY_KEY_CONFLICT: FailureInfo(FailureKind.REQUEST, 409, False, False),
    FailureCode.LLM_RATE_LIMIT: FailureInfo(FailureKind.MODEL, 429, True, True),
    FailureCode.LLM_ERROR: FailureInfo(FailureKind.MODEL, 502, False, True),
    FailureCode.LLM_TIMEOUT: FailureInfo(FailureKind.MODEL, 502, False, True),
    FailureCode.LLM_AUTHENTICATION: FailureInfo(FailureKind.MODEL, 502, False, True),
    FailureCode.APPROVAL_PENDING: FailureInfo(FailureKind.AGENT, 409, False, True),
    FailureCode.AGENT_ERROR: FailureInfo(FailureKind.AGENT, 502, False, True),
    FailureCode.STATE_UNAVAILABLE: FailureInfo(FailureKind.UNAVAILABLE, 503, True, True),
    FailureCode.SHUTTING_DOWN: FailureInfo(FailureKind.UNAVAILABLE, 503, True, True),
    FailureCode.INTERNAL_ERROR: FailureInfo(FailureKind.OURS, 500, False, False),
}
