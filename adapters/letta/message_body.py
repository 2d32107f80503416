"""How a turn becomes the request that Letta is sent."""

from typing import Any

from domain.model.turn import Image, Turn, UserMessage, Verdict


def body_of(turn: Turn) -> dict[str, Any]:
    """A request for a stream of tokens, with pings in silence, the first of them at once.

    Letta recognises otids that it has seen in the background only, which costs 100 ms on the first word (recorded)."""
    body = {"messages": _messages(turn), "streaming": True, "stream_tokens": True, "include_pings": True}
    return {**body, "background": True} if turn.deduplicated else body


def _messages(turn: Turn) -> list[dict[str, Any]]:
    """A verdict on waiting tool calls, then the user message. Both in one request: the agent is never left waiting."""
    messages: list[dict[str, Any]] = []
    if turn.verdict is not None:
        messages.append({**_verdict(turn.verdict), **_otid(turn, "verdict")})
    if turn.message is not None:
        messages.append({"role": "user", "content": _content(turn.message), **_otid(turn, "message")})
    return messages


def _otid(turn: Turn, of: str) -> dict[str, str]:
    """Each message needs one of its own; Letta tells requests apart by all of theirs."""
    again = f"-{turn.attempt}" if turn.attempt else ""
    return {} if turn.delivery_id is None else {"otid": f"{turn.delivery_id}-{of}{again}"}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "type": "approval",
        "approvals": [
            {"type": "approval", "tool_call_id": call_id, "approve": verdict.approve, "reason": verdict.reason or None}
            for call_id in verdict.call_ids
        ],
    }


def _content(message: UserMessage) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text.strip() else []
    for image in message.images:
        source = (
            {"type": "base64", "media_type": image.media_type, "data": image.data}
            if isinstance(image, Image)
            else {"type": "url", "url": image.url}
        )
        parts.append({"type": "image", "source": source})
    return parts
