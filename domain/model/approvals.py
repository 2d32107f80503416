"""Tool calls that wait for somebody's approval: what the user is told, and how the user answers."""

import re
from collections.abc import Sequence

from domain.model.events import ApprovalRequest
from domain.model.turn import UserMessage, Verdict

# As in Letta's own channels; `disapprove` as well, because that is what people type.
_COMMAND = re.compile(r"\s*/(approve|deny|disapprove)(?:\s+(.*))?\s*", re.DOTALL | re.IGNORECASE)

_DENIED = "The user did not approve this."
_DENIED_BY_ANOTHER = "Somebody else was asked to approve this, and has not done so."
_DENIED_UNSEEN = "The user was not asked about this."
_DENIED_BY_MESSAGE = "The user did not approve this, but sent another message instead."


def question(request: ApprovalRequest) -> str:
    """What the user reads instead of the rest of the answer."""
    arguments = f" with {request.arguments}" if request.arguments.strip() not in ("", "{}") else ""
    return (
        f"The agent wants to use its tool {request.name}{arguments}, and waits for your approval. "
        "Answer /approve, or /deny and why; any other message denies it."
    )


def refusal_of(waiting: Sequence[ApprovalRequest]) -> Verdict:
    """What becomes of the calls that wait if somebody approves them who was not asked."""
    return Verdict(tuple(request.call_id for request in waiting), approve=False, reason=_DENIED_BY_ANOTHER)


def denial_of(message: UserMessage, call_ids: Sequence[str]) -> tuple[Verdict, UserMessage | None]:
    """The same for calls that the user was not asked about: whatever the message says, they are denied."""
    is_command = not message.images and _COMMAND.fullmatch(message.text) is not None
    reason = _DENIED_UNSEEN if is_command else _DENIED_BY_MESSAGE
    return Verdict(tuple(call_ids), approve=False, reason=reason), None if is_command else message


def verdict_of(message: UserMessage, waiting: Sequence[ApprovalRequest]) -> tuple[Verdict, UserMessage | None]:
    """What this message means for the calls that wait, and what is left of it to be delivered."""
    call_ids = tuple(request.call_id for request in waiting)
    command = None if message.images else _COMMAND.fullmatch(message.text)
    if command is None:
        return Verdict(call_ids, approve=False, reason=_DENIED_BY_MESSAGE), message
    approve = command[1].lower() == "approve"
    reason = (command[2] or "").strip()
    return Verdict(call_ids, approve, reason or ("" if approve else _DENIED)), None
