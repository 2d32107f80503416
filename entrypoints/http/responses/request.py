"""From the body of a request for a response to what it asks of an agent. OpenAI's request shape, and the rules on
input items."""

import hashlib
import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from domain.model.turn import UserMessage
from entrypoints.http.api_errors import ApiError
from entrypoints.http.body.json_body import ObjectReader, begins_with, decode, elements, is_absent, is_filled
from entrypoints.http.message_content import read_content
from entrypoints.http.responses.item_ids import is_own_approval, is_own_call
from entrypoints.http.responses.kept_input import kept_input
from entrypoints.http.responses.parameters import Parameters, told_again

_NOTHING = Raw(b"")
_FEW = 2
# Characters of an id that is looked at.
_LONGEST_ID = 500
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
_LETTA_SERVER = re.compile(rb'"server_label"\s{0,9}:\s{0,9}"letta"')


class CodexTurn(msgspec.Struct, frozen=True):
    """What Codex calls the turn that a request belongs to: the same in all its retries, whose bytes differ."""

    turn_id: str = ""
    request_kind: str = ""


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks."""

    model: str | None
    message: UserMessage | None
    """None: the client only answers tool calls that the agent itself ran."""
    stream: bool
    background: bool
    store: bool
    previous_response_id: str | None
    conversation: str | None
    ends_with_answer: bool
    declares_tools: bool
    declares_letta: bool
    """Whether it declares an MCP server named `letta`: it knows how to approve."""
    item_id: str
    """The id of the item with the user message, if it has one."""
    codex: CodexTurn | None
    roles: tuple[str, ...]
    """Those of the items, if there are not more than two, and all of them are messages."""
    opening: str
    """The text of the first item, if there are not more than two."""
    input: bytes
    """What is kept of the input, as JSON."""
    parameters: bytes
    """A JSON object, or empty: what is told again."""


class _Body(Parameters, frozen=True):
    input: Raw = _NOTHING
    model: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Raw = _NOTHING
    client_metadata: Raw = _NOTHING


class _Item(msgspec.Struct, frozen=True):
    """Nothing in an item that is ignored can be wrong."""

    type: Raw = _NOTHING
    role: Raw = _NOTHING
    content: Raw = _NOTHING
    id: Raw = _NOTHING
    call_id: Raw = _NOTHING
    approval_request_id: Raw = _NOTHING
    approve: Raw = _NOTHING
    reason: Raw = _NOTHING


class _Conversation(msgspec.Struct, frozen=True):
    id: str


class _Found(msgspec.Struct, frozen=True):
    message: UserMessage | None
    item_id: str = ""
    ends_with_answer: bool = False
    roles: tuple[str, ...] = ()
    opening: str = ""


_bodies = ObjectReader(_Body)
_items = ObjectReader(_Item)
_conversations = ObjectReader(_Conversation)
_codex_turns = ObjectReader(CodexTurn)
_text_decoder = msgspec.json.Decoder(str)
_input_decoder: msgspec.json.Decoder[str | list[Raw]] = msgspec.json.Decoder(str | list[Raw])


def read_responses_request(body: bytes, image_links: bool = False) -> ResponsesRequest:
    """Raises `ApiError` 400 that names the part which is wrong. `image_links`: images may be somewhere on the web."""
    asked = _bodies.read(body)
    found = _read_input(asked.input, image_links)
    conversation = _conversation(asked.conversation)
    if conversation is not None and asked.previous_response_id is not None:
        raise ApiError(
            400,
            "previous_response_id and conversation cannot be used together: each says which conversation goes on.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    store = asked.store is not False
    if asked.background and not store:
        raise ApiError(
            400,
            "background: a response that is not stored could never be asked for; leave out store: false.",
            param="background",
        )
    return ResponsesRequest(
        model=asked.model,
        message=found.message,
        stream=bool(asked.stream),
        background=bool(asked.background),
        store=store,
        previous_response_id=asked.previous_response_id,
        conversation=conversation,
        ends_with_answer=found.ends_with_answer,
        declares_tools=is_filled(asked.tools),
        declares_letta=_LETTA_SERVER.search(asked.tools) is not None,
        item_id=found.item_id,
        codex=_codex(asked.client_metadata),
        roles=found.roles,
        opening=found.opening,
        input=kept_input(asked.input) if store else b"[]",
        parameters=told_again(asked),
    )


def codex_turn(asked: ResponsesRequest, header: bytes) -> CodexTurn | None:
    """The turn that Codex names in its header, or in the request itself; None: it is not Codex that asks."""
    return _codex(Raw(header)) or asked.codex


def message_id_of(asked: ResponsesRequest, codex: CodexTurn | None) -> str | None:
    """What the user message is known by when it is sent again: the turn's id, if the client names turns, the item's id
    and the words. None: only the bytes are known."""
    codex = codex or CodexTurn()
    if asked.message is None or not (asked.item_id or codex.turn_id):
        return None
    # Some clients give each new message the same id.
    words = hashlib.sha256(asked.message.text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"item {codex.turn_id} {codex.request_kind} {asked.item_id} {words}"


def _read_input(sent: Raw, image_links: bool) -> _Found:
    if is_absent(sent):
        raise ApiError(400, "input: this is required: a text, or a list of items.", param="input")
    if not begins_with(b"[", sent):
        text = decode(sent, _input_decoder, ".input")
        assert isinstance(text, str)  # noqa: S101
        if not text.strip():
            raise ApiError(400, "input: the message is blank.", param="input")
        return _Found(UserMessage(text), roles=("user",), opening=text)
    return _read_items(elements(sent, ".input"), image_links)


def _read_items(items: Sequence[Raw], image_links: bool) -> _Found:
    """The last item of a user is the message. Only the items after it are looked at: some of them answer what the agent
    has done itself, and then there is nothing to deliver."""
    answers_agent = False
    verdicts: list[tuple[bool, str]] = []
    ends_with_answer = False
    for index in range(len(items) - 1, -1, -1):
        item = _head(items[index])
        kind, role = _word(item.type), _word(item.role)
        if kind in ("", "message"):
            if role == "user":
                if verdicts:
                    return _Found(_verdict(verdicts))
                if answers_agent:
                    return _Found(None)
                message = read_content(item.content, f".input[{index}].content", image_links)
                return _Found(message, _id(item.id), ends_with_answer, *_opening(items))
            ends_with_answer |= index == len(items) - 1 and role == "assistant"
        elif kind in _OUTPUTS:
            answers_agent |= is_own_call(_text(item.call_id))
        elif kind == "mcp_approval_response" and is_own_approval(_text(item.approval_request_id)):
            verdicts.append((bytes(memoryview(item.approve)[:4]) == b"true", _text(item.reason)))
    if verdicts:
        return _Found(_verdict(verdicts))
    if answers_agent:
        return _Found(None)
    raise ApiError(400, "input: there is no item with the role 'user'.", param="input")


def _verdict(verdicts: Sequence[tuple[bool, str]]) -> UserMessage:
    """As a user would write it. All calls that wait are approved, or none."""
    if all(approve for approve, _ in verdicts):
        return UserMessage("/approve")
    reason = next((reason for approve, reason in verdicts if not approve and reason), "")
    return UserMessage(f"/deny {reason}".rstrip())


def _opening(items: Sequence[Raw]) -> tuple[tuple[str, ...], str]:
    """The roles of all items and the text of the first, if there are not more than two, and all are messages."""
    if len(items) > _FEW:
        return (), ""
    heads = [_head(item) for item in items]
    if any(_word(head.type) not in ("", "message") for head in heads):
        return (), ""
    return tuple(_word(head.role) for head in heads), _plain_text(heads[0].content)


def _plain_text(content: Raw) -> str:
    try:
        return read_content(content, "").text
    except ApiError:
        return ""


def _conversation(sent: Raw) -> str | None:
    if is_absent(sent):
        return None
    if begins_with(b"{", sent):
        return _conversations.read(sent, ".conversation").id
    return decode(sent, _text_decoder, ".conversation")


def _codex(sent: Raw) -> CodexTurn | None:
    try:
        found = _codex_turns.read(sent) if sent else None
    except ApiError:
        return None
    return found if found is not None and 0 < len(found.turn_id) <= _LONGEST_ID else None


def _head(item: Raw) -> _Item:
    try:
        return _items.read(item)
    except ApiError:
        return _Item()


def _word(value: Raw) -> str:
    return _text(value).strip().lower()


def _id(value: Raw) -> str:
    id_ = _text(value)
    return id_ if len(id_) <= _LONGEST_ID else ""


def _text(value: Raw) -> str:
    try:
        return decode(value, _text_decoder) if value else ""
    except ApiError:
        return ""
