"""From the body of a chat request to what it asks of an agent. OpenAI's request shape, and the rules on messages."""

import msgspec
from msgspec import Raw

from domain.model.tool_calls import TOOL_CALL_ID_PREFIX
from domain.model.turn import UserMessage
from entrypoints.http.api_errors import ApiError
from entrypoints.http.json_body import decode

_NOTHING = Raw(b"")


class ChatRequest(msgspec.Struct, frozen=True):
    """What a request asks: `message` is None when the client only answers tool calls that the agent itself ran."""

    model: str | None
    message: UserMessage | None
    stream: bool
    declares_tools: bool


class _Body(msgspec.Struct, frozen=True):
    """The parts of OpenAI's request that mean something here; everything else is skipped, whatever it is."""

    messages: list[Raw]
    model: str | None = None
    stream: bool | None = None
    tools: Raw = _NOTHING
    functions: Raw = _NOTHING


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: Raw = _NOTHING
    tool_call_id: Raw = _NOTHING


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


_body_decoder = msgspec.json.Decoder(_Body)
_message_decoder = msgspec.json.Decoder(_Message)
_content_decoder: msgspec.json.Decoder[str | list[_Part] | None] = msgspec.json.Decoder(str | list[_Part] | None)


def read_chat_request(body: bytes) -> ChatRequest:
    """Raises `ApiError` 400 that names the part which is wrong."""
    asked = decode(body, _body_decoder)
    return ChatRequest(
        model=asked.model,
        message=_user_message(asked.messages),
        stream=bool(asked.stream),
        declares_tools=_is_filled(asked.tools) or _is_filled(asked.functions),
    )


def _user_message(messages: list[Raw]) -> UserMessage | None:
    """The last message with role `user`, and never an older one; Letta keeps the history itself.

    Only the messages after it are looked at. If one of them answers a tool call that this service showed, the user
    message was delivered already, and there is nothing to deliver."""
    answers_agent = False
    for index in range(len(messages) - 1, -1, -1):
        at = f".messages[{index}]"
        message = decode(messages[index], _message_decoder, at)
        if message.role == "user":
            return None if answers_agent else UserMessage(_text(message.content, f"{at}.content"))
        if message.role in ("tool", "function"):
            answers_agent |= bytes(message.tool_call_id).startswith(f'"{TOOL_CALL_ID_PREFIX}'.encode())
    raise ApiError(400, "messages: there is no message with the role 'user'.", param="messages")


def _text(content: Raw, at: str) -> str:
    param = at.lstrip(".")
    parts = decode(content or Raw(b"null"), _content_decoder, at)
    if isinstance(parts, list):
        for index, part in enumerate(parts):
            if part.type not in ("text", "input_text"):
                raise ApiError(
                    400,
                    f"{param}[{index}]: parts of type {part.type!r} are not supported yet; send text parts only.",
                    param=f"{param}[{index}]",
                    code="unsupported_content",
                )
        parts = "\n".join(part.text or "" for part in parts)
    if not parts or not parts.strip():
        raise ApiError(400, f"{param}: the last user message is blank.", param=param)
    return parts


def _is_filled(array: Raw) -> bool:
    data = bytes(array).strip()
    return data.startswith(b"[") and not data[1:].lstrip().startswith(b"]")
