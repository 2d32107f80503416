"""How a turn becomes the input that the App Server is sent."""

import uuid
from typing import Any

from adapters.letta_code.conversation import OURS
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Image, Turn, UserMessage, Verdict

# Bytes. Larger inputs are refused by the server's queue, or close the connection.
LARGEST_INPUT = 20_000_000


def message_name_of(turn: Turn) -> str:
    """What the id begins with under which the server recognises the message, and stores it."""
    again = f"-{turn.attempt}" if turn.attempt else ""
    return f"{OURS}{turn.delivery_id or uuid.uuid4()}{again}"


def message_content(message: UserMessage) -> str | list[dict[str, Any]]:
    """Raises `FailureError` if the server would lose a part of it in silence, or take none of it."""
    size = len(message.text.encode("utf-8", "surrogatepass"))
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text.strip() else []
    for image in message.images:
        if not isinstance(image, Image):
            # It would drop the link, and answer without it (recorded).
            raise _unsupported("Letta Code fetches no images from the web; send the image itself, as a data: URL.")
        size += len(image.data)
        source = {"type": "base64", "media_type": image.media_type, "data": image.data}
        parts.append({"type": "image", "source": source})
    if not parts:
        raise _unsupported("The message is empty.")
    if size > LARGEST_INPUT:
        cause = f"{size} bytes, of {LARGEST_INPUT}"
        raise FailureError(Failure(FailureCode.UPSTREAM_TOO_LARGE, Delivery.NO, cause))
    return parts if message.images else message.text


def message_payload(content: str | list[dict[str, Any]], message_id: str) -> dict[str, Any]:
    """The input that delivers it."""
    sent = {"role": "user", "content": content, "client_message_id": message_id}
    return {"kind": "create_message", "messages": [sent]}


def verdict_payloads(verdict: Verdict, approval_ids: dict[str, str]) -> list[dict[str, Any]]:
    """One for each call. A call that no longer waits is answered all the same: the server then says so."""
    decision: dict[str, Any] = {"behavior": "allow"}
    if not verdict.approve:
        decision = {"behavior": "deny", "message": verdict.reason or "Denied."}
    return [
        {
            "kind": "approval_response",
            "request_id": approval_ids.get(call_id, f"perm-{call_id}"),
            "decision": decision,
        }
        for call_id in verdict.call_ids
    ]


def _unsupported(detail: str) -> FailureError:
    return FailureError(Failure(FailureCode.UNSUPPORTED_CONTENT, Delivery.NO, detail=detail))
