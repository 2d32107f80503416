"""How the items of a response are named: always in the same way, in streams and in whole answers."""

from entrypoints.http.tool_call_ids import TOOL_CALL_ID_PREFIX, shown_id

_APPROVAL_PREFIX = "mcpr_"


def item_id(prefix: str, response_id: str, index: int) -> str:
    """Of the item at that place in the output (or, with another prefix, in the input)."""
    return f"{prefix}_{response_id.partition('_')[2]}{index:04x}"


def approval_id(call_id: str) -> str:
    """Of the item that asks for an approval of this call."""
    return _APPROVAL_PREFIX + shown_id(call_id)


def is_own_approval(approval_request_id: str) -> bool:
    """Whether this service has asked for it."""
    return approval_request_id.startswith(_APPROVAL_PREFIX + TOOL_CALL_ID_PREFIX)


def is_own_call(call_id: str) -> bool:
    """Whether this service has shown that call."""
    return call_id.startswith(TOOL_CALL_ID_PREFIX)
