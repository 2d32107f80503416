"""/v1/conversations: made without an agent; an id that is used as a chat key, with metadata and items."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Raw

from domain.model.client_conversation import ClientConversation, ConversationItem
from domain.services.client_conversations import ClientConversations
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.body.json_body import ObjectReader, decode, elements, is_absent
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.responses.answers import json_answer
from entrypoints.http.responses.api_docs import ConversationOperation, ItemsOperation, PagesOperation
from entrypoints.http.responses.conversation_items import all_items, as_listed, item_to_keep
from entrypoints.http.responses.pages import Listed, Page, page_of, page_wanted

# OpenAI's own limits.
_MOST_ITEMS = 20
_MOST_METADATA = 16
_LONGEST_KEY, _LONGEST_VALUE = 64, 512
# Bytes of one item.
_LONGEST_ITEM = 1_000_000


class _Body(msgspec.Struct, frozen=True):
    items: Raw = Raw(b"")
    metadata: Raw = Raw(b"")


class _Asked(msgspec.Struct, frozen=True):
    items: tuple[ConversationItem, ...]
    metadata: dict[str, str] | None


_bodies = ObjectReader(_Body)
_item_decoder = msgspec.json.Decoder(dict[str, Any])
_metadata_decoder = msgspec.json.Decoder(dict[str, str])


class ConversationObjects:
    """What handlers need. Raises `ApiError` and `FailureError`."""

    def __init__(self, conversations: ClientConversations, intake: ChatIntake) -> None:
        self.conversations = conversations
        self._intake = intake

    async def find(self, conversation_id: str, owner: str) -> ClientConversation:
        """One that this API key has made, and not deleted."""
        found = await self.conversations.find(conversation_id, owner)
        if found is None:
            raise ApiError(
                404,
                f"Conversation with id {conversation_id[:100]!r} not found: make one with POST /v1/conversations. It "
                "belongs to the API key that has made it.",
                param="conversation",
                code="conversation_not_found",
            )
        return found

    async def read(self, request: Request[Any, Any, Any]) -> _Asked:
        """The body of a request, if it has one."""
        headers = dict(request.scope["headers"])
        if b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0":
            return _Asked((), None)
        _, asked, _ = await self._intake.read(request, _read)
        return asked

    async def put(self, conversation: ClientConversation, asked: _Asked) -> None:
        """Put its items into the conversation."""
        if not await self.conversations.add(conversation, asked.items):
            raise ApiError(400, "items: the conversation is full; make another one.", param="items")


def conversation_handlers(objects: ConversationObjects) -> list[HTTPRouteHandler]:
    # Functions in a function, because Litestar makes deep copies of methods, collaborators included.
    conversations = objects.conversations

    async def found(request: Request[Any, Any, Any], conversation_id: str) -> ClientConversation:
        return await objects.find(conversation_id, caller_of(request.scope).id)

    @post(
        "/v1/conversations",
        operation_class=ConversationOperation,
        status_code=200,
        summary="Make a conversation",
        tags=["Responses"],
    )
    async def create_conversation(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Its id goes into `conversation` of a request for a response, or into the header `X-Letta-Chat-Key`. `items`
        are kept, and told to no agent."""
        asked = await objects.read(request)
        conversation = await conversations.make(caller_of(request.scope).id, asked.metadata or {})
        await objects.put(conversation, asked)
        return json_answer(_object(conversation))

    @get("/v1/conversations/{conversation_id:str}", summary="A conversation", tags=["Responses"])
    async def retrieve_conversation(request: Request[Any, Any, Any], conversation_id: FromPath[str]) -> Response[bytes]:
        """Its metadata."""
        return json_answer(_object(await found(request, conversation_id)))

    @post(
        "/v1/conversations/{conversation_id:str}",
        operation_class=ConversationOperation,
        status_code=200,
        summary="Change its metadata",
        tags=["Responses"],
    )
    async def update_conversation(request: Request[Any, Any, Any], conversation_id: FromPath[str]) -> Response[bytes]:
        """All of it is replaced."""
        conversation = await found(request, conversation_id)
        metadata = (await objects.read(request)).metadata
        if metadata is None:
            raise ApiError(400, "metadata: this is required.", param="metadata")
        return json_answer(_object(await conversations.describe(conversation, metadata)))

    @delete(
        "/v1/conversations/{conversation_id:str}", status_code=200, summary="Forget a conversation", tags=["Responses"]
    )
    async def delete_conversation(request: Request[Any, Any, Any], conversation_id: FromPath[str]) -> Response[bytes]:
        """It is forgotten here; agents remember what was said to them."""
        conversation = await found(request, conversation_id)
        await conversations.delete(conversation)
        return json_answer(
            msgspec.json.encode({"id": conversation.id, "object": "conversation.deleted", "deleted": True})
        )

    @get(
        "/v1/conversations/{conversation_id:str}/items",
        operation_class=PagesOperation,
        summary="What is in a conversation",
        tags=["Responses"],
    )
    async def list_items(request: Request[Any, Any, Any], conversation_id: FromPath[str]) -> Response[bytes]:
        """Pages of items, the newest first (`limit`, `after`, `order`): what was put into it, and what was said to
        agents, as far as their backends list it."""
        wanted = page_wanted(request.query_params)
        conversation = await found(request, conversation_id)
        return json_answer(page_of(await _all(request, conversation), wanted))

    @post(
        "/v1/conversations/{conversation_id:str}/items",
        operation_class=ItemsOperation,
        status_code=200,
        summary="Put items into a conversation; no agent is told",
        tags=["Responses"],
    )
    async def create_items(request: Request[Any, Any, Any], conversation_id: FromPath[str]) -> Response[bytes]:
        """20 at most at a time. They are kept and listed, and never delivered."""
        conversation = await found(request, conversation_id)
        asked = await objects.read(request)
        if not asked.items:
            raise ApiError(400, "items: this is required: a list of items.", param="items")
        await objects.put(conversation, asked)
        return json_answer(page_of([as_listed(item) for item in asked.items], Page(newest_first=False)))

    @get(
        "/v1/conversations/{conversation_id:str}/items/{item_id:str}",
        summary="One item of a conversation",
        tags=["Responses"],
    )
    async def retrieve_item(
        request: Request[Any, Any, Any], conversation_id: FromPath[str], item_id: FromPath[str]
    ) -> Response[bytes]:
        """As it is in the list."""
        conversation = await found(request, conversation_id)
        for item in await _all(request, conversation):
            if item.id == item_id:
                return json_answer(msgspec.json.encode(item.content))
        raise ApiError(404, f"There is no item {item_id[:100]!r} in this conversation.", param="item_id")

    @delete(
        "/v1/conversations/{conversation_id:str}/items/{item_id:str}",
        status_code=200,
        summary="Take an item out of a conversation",
        tags=["Responses"],
    )
    async def delete_item(
        request: Request[Any, Any, Any], conversation_id: FromPath[str], item_id: FromPath[str]
    ) -> Response[bytes]:
        """Only what a client has put into it: an agent does not forget."""
        conversation = await found(request, conversation_id)
        if item_id not in {item.id for item in await conversations.items(conversation)}:
            raise ApiError(
                404,
                f"No client has put an item {item_id[:100]!r} into this conversation; what was said to an agent cannot "
                "be taken back.",
                param="item_id",
            )
        await conversations.remove(conversation, item_id)
        return json_answer(_object(conversation))

    async def _all(request: Request[Any, Any, Any], conversation: ClientConversation) -> Sequence[Listed]:
        histories = await conversations.histories(conversation, caller_of(request.scope))
        return all_items(await conversations.items(conversation), histories)

    return [
        create_conversation,
        retrieve_conversation,
        update_conversation,
        delete_conversation,
        list_items,
        create_items,
        retrieve_item,
        delete_item,
    ]


def _object(conversation: ClientConversation) -> bytes:
    return msgspec.json.encode(
        {
            "id": conversation.id,
            "object": "conversation",
            "created_at": int(conversation.made_at),
            "metadata": conversation.metadata,
        }
    )


def _read(body: bytes) -> _Asked:
    asked = _bodies.read(body) if body.strip() else _Body()
    return _Asked(_items(asked.items), _metadata(asked.metadata))


def _items(sent: Raw) -> tuple[ConversationItem, ...]:
    if not sent or bytes(sent) == b"null":
        return ()
    listed = elements(sent, ".items")
    if len(listed) > _MOST_ITEMS:
        raise ApiError(400, f"items: {_MOST_ITEMS} at most at a time.", param="items")
    now, found = time.time(), []
    for index, each in enumerate(listed):
        if memoryview(each).nbytes > _LONGEST_ITEM:
            raise ApiError(400, f"items[{index}]: an item has {_LONGEST_ITEM} bytes at most.", param=f"items[{index}]")
        try:
            found.append(item_to_keep(decode(each, _item_decoder, f".items[{index}]"), now))
        except RecursionError:
            raise ApiError(400, f"items[{index}]: this is nested too deep.", param=f"items[{index}]") from None
    return tuple(found)


def _metadata(sent: Raw) -> dict[str, str] | None:
    if is_absent(sent):
        return None
    metadata = decode(sent, _metadata_decoder, ".metadata")
    too_long = any(len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE for key, value in metadata.items())
    if len(metadata) > _MOST_METADATA or too_long:
        raise ApiError(
            400,
            f"metadata: {_MOST_METADATA} entries at most, with keys of {_LONGEST_KEY} and values of {_LONGEST_VALUE} "
            "characters.",
            param="metadata",
        )
    return metadata
