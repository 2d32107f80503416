"""From the body of a chat request to what it asks of an agent. OpenAI's request shape, and the rules on messages."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from domain.model.turn import UserMessage
from entrypoints.http.api_errors import ApiError
from entrypoints.http.body.json_body import ObjectReader, decode, elements, is_filled
from entrypoints.http.message_content import read_content
from entrypoints.http.tool_call_ids import TOOL_CALL_ID_PREFIX

_NOTHING = Raw(b"")
_FEW = 2
# Messages among which user messages that are left out are looked for.
_LOOKED_BACK = 20
_OWN_CALL = f'"{TOOL_CALL_ID_PREFIX}'.encode()


class ChatRequest(msgspec.Struct, frozen=True):
    """What a request asks."""

    model: str | None
    message: UserMessage | None
    """None: the client only answers tool calls that the agent itself ran."""
    stream: bool
    declares_tools: bool
    wants_usage: bool
    ends_with_answer: bool
    roles: tuple[str, ...]
    """Those of the messages, if there are not more than two."""
    opening: str
    """The text of the first message, if there are not more than two."""
    left_out: int = 0
    """How many user messages stand right before `message`, which nobody has answered."""
    instruction_at_end: str = ""
    """The text of a system message that is the last one."""


class _Body(msgspec.Struct, frozen=True):
    """The parts of OpenAI's request that mean something here; everything else is skipped, whatever it is."""

    messages: Raw
    model: str | None = None
    stream: bool | None = None
    stream_options: Raw = _NOTHING
    tools: Raw = _NOTHING
    functions: Raw = _NOTHING


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: Raw = _NOTHING
    tool_call_id: Raw = _NOTHING


_bodies = ObjectReader(_Body)
_messages = ObjectReader(_Message)
_options = ObjectReader(_StreamOptions)
_text_decoder = msgspec.json.Decoder(str)


def read_chat_request(body: bytes, image_links: bool = False) -> ChatRequest:
    """Raises `ApiError` 400 that names the part which is wrong. `image_links`: images may be somewhere on the web."""
    asked = _bodies.read(body)
    messages = elements(asked.messages, ".messages")
    message = _user_message(messages, image_links)
    # A long history is not looked at.
    few = len(messages) <= _FEW
    heads = [_head(each) for each in (messages if few else messages[-1:])]
    return ChatRequest(
        model=asked.model,
        message=message,
        stream=bool(asked.stream),
        declares_tools=is_filled(asked.tools) or is_filled(asked.functions),
        wants_usage=_wants_usage(asked.stream_options),
        ends_with_answer=_role(heads[-1]) == "assistant",
        roles=tuple([_role(head) for head in heads]) if few else (),
        opening=_plain_text(heads[0].content) if few else "",
        left_out=_left_out(messages[:-1], heads[-1]),
        instruction_at_end=_plain_text(heads[-1].content) if _role(heads[-1]) == "system" else "",
    )


def _user_message(messages: Sequence[Raw], image_links: bool) -> UserMessage | None:
    """The last message with role `user`, and never an older one; Letta keeps the history itself.

    Only the messages after it are looked at. If one of them answers a tool call that this service showed, the user
    message was delivered already, and there is nothing to deliver."""
    answers_agent = False
    for index in range(len(messages) - 1, -1, -1):
        at = f".messages[{index}]"
        message = _messages.read(messages[index], at)
        role = _role(message)
        if role == "user":
            return None if answers_agent else read_content(message.content, f"{at}.content", image_links)
        if role in ("tool", "function"):
            answers_agent |= bytes(memoryview(message.tool_call_id)[: len(_OWN_CALL)]) == _OWN_CALL
    raise ApiError(400, "messages: there is no message with the role 'user'.", param="messages")


def _left_out(before: Sequence[Raw], last: _Message) -> int:
    """How many user messages nobody has answered, and nobody will; only the nearest ones are counted."""
    users = 1 if _role(last) == "user" else 0
    for message in before[: -_LOOKED_BACK - 1 : -1]:
        role = _role(_head(message))
        if role == "user":
            users += 1
        elif users and role not in ("system", "developer"):
            break
    return max(users - 1, 0)


def _role(message: _Message) -> str:
    """Some clients write it in capitals."""
    return message.role.strip().lower()


def _head(message: Raw) -> _Message:
    try:
        return _messages.read(message)
    except ApiError:
        # What is in the history cannot be wrong either.
        return _Message("")


def _plain_text(content: Raw) -> str:
    try:
        return decode(content or Raw(b'""'), _text_decoder)
    except ApiError:
        return ""


def _wants_usage(options: Raw) -> bool:
    try:
        return bool(options) and _options.read(options).include_usage
    except ApiError:
        # Like every parameter that is ignored, it cannot be wrong.
        return False
