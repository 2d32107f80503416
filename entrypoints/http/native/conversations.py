"""/api/v1/conversations and /api/v1/conversation: which conversations agents have, and which chat key goes where."""

import re
from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from domain.model.conversation_listing import Refusal, RefusedError
from domain.model.roster import Model
from domain.services.conversation_catalog import ConversationCatalog
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.body.json_body import ObjectReader
from entrypoints.http.native.conversation_docs import (
    AssignOperation,
    ConversationsOperation,
    DeleteConversationOperation,
    MakeConversationOperation,
    MessagesOperation,
    RenameOperation,
)
from entrypoints.http.native.conversation_shapes import (
    Assigned,
    ConversationPage,
    ConversationShape,
    Deleted,
    MessagePage,
    conversation_shape,
    message_shapes,
)
from entrypoints.http.native.error_handlers import CODED_ERROR_HANDLERS, on_coded_error
from entrypoints.http.native.intake import NativeIntake

_LIMIT = re.compile("[0-9]{1,4}")
_DEFAULT, _MOST = 50, 500
_LONGEST_SUMMARY, _LONGEST_KEY = 500, 500
# Status and message.
_REFUSALS = {
    Refusal.NOT_SUPPORTED: (400, "The agent's backend cannot do that."),
    Refusal.NOT_FOUND: (404, "There is no such conversation of this agent. GET /api/v1/conversations lists them."),
    Refusal.UNKNOWN_ID: (400, "after, before: expected an id of what is in the list."),
    Refusal.BUSY: (409, "A turn is running or waiting in this conversation or chat; try again when it has ended."),
    Refusal.ADMIN_REQUIRED: (403, "Without a chat key (`key`) only an admin key may do that."),
    Refusal.NO_CHATS: (400, "key: this API key may not name chats."),
}


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    agent: str | None = None
    conversation_id: str | None = None
    key: str | None = None
    summary: str | None = None
    fork_of: str | None = None


_bodies = ObjectReader(_Body)


def conversation_catalog_handlers(
    intake: NativeIntake, catalog: ConversationCatalog, show_reasoning: bool
) -> list[HTTPRouteHandler]:
    # Functions in a function, because Litestar makes deep copies of methods, collaborators included.
    handlers = {**CODED_ERROR_HANDLERS, RefusedError: _on_refused}

    @get("/conversations", operation_class=ConversationsOperation, exception_handlers=handlers)
    async def list_conversations(request: Request[Any, Any, Any]) -> ConversationPage:
        """The newest first, each with the chat keys that go there. A key that is no admin's sees those of its own
        chats."""
        limit, model = _limit(request), await _asked(request)
        after = request.query_params.get("after") or None
        found, has_more = await catalog.page(caller_of(request.scope), model.agent, limit, after)
        return ConversationPage([conversation_shape(each) for each in found], has_more)

    @get("/conversations/{id_:str}/messages", operation_class=MessagesOperation, exception_handlers=handlers)
    async def list_messages(request: Request[Any, Any, Any], id_: FromPath[str]) -> MessagePage:
        """The newest ones, oldest first; `before` turns to older ones. `default` is the agent's default history."""
        limit, model = _limit(request), await _asked(request)
        before = request.query_params.get("before") or None
        entries, has_more = await catalog.messages(caller_of(request.scope), model.agent, id_, limit, before)
        return MessagePage(message_shapes(entries, show_reasoning), has_more)

    @post("/conversations", operation_class=MakeConversationOperation, status_code=201, exception_handlers=handlers)
    async def make_conversation(request: Request[Any, Any, Any]) -> ConversationShape:
        """A new one, or a copy of another (`forkOf`). With `key`, that chat goes there from now on."""
        body = await _read(request)
        model = await intake.resolve(body.agent, caller_of(request.scope))
        caller, key = caller_of(request.scope), _key(body)
        summary = None if body.summary is None else _summary(body)
        made = await catalog.make(caller, model.agent, summary, body.fork_of or None, key)
        return conversation_shape(made)

    @patch("/conversations/{id_:str}", operation_class=RenameOperation, exception_handlers=handlers)
    async def rename_conversation(request: Request[Any, Any, Any], id_: FromPath[str]) -> ConversationShape:
        """Its `summary` is what it is about, in words."""
        body = await _read(request)
        model = await intake.resolve(body.agent, caller_of(request.scope))
        return conversation_shape(await catalog.rename(caller_of(request.scope), model.agent, id_, _summary(body)))

    @delete(
        "/conversations/{id_:str}",
        operation_class=DeleteConversationOperation,
        status_code=200,
        exception_handlers=handlers,
    )
    async def delete_conversation(request: Request[Any, Any, Any], id_: FromPath[str]) -> Deleted:
        """With all that was said in it. Its chat gets a new one with its next message."""
        model = await _asked(request)
        await catalog.delete(caller_of(request.scope), model.agent, id_)
        return Deleted(id_)

    @post("/conversation", operation_class=AssignOperation, status_code=200, exception_handlers=handlers)
    async def assign_conversation(request: Request[Any, Any, Any]) -> Assigned:
        """From now on this chat key, or, without one, messages without a chat key, go to that conversation. The chat
        that had it gets a new one with its next message. `default`: messages without a chat key go to the agent's
        default history again."""
        body = await _read(request)
        if not body.conversation_id:
            raise ApiError(400, "Missing required field: conversationId", param="conversationId")
        model = await intake.resolve(body.agent, caller_of(request.scope))
        key = _key(body)
        await catalog.assign(caller_of(request.scope), model.agent, body.conversation_id, key)
        return Assigned(model.name, key, body.conversation_id)

    async def _asked(request: Request[Any, Any, Any]) -> Model:
        return await intake.resolve(request.query_params.get("agent") or None, caller_of(request.scope))

    async def _read(request: Request[Any, Any, Any]) -> _Body:
        return await intake.read_body(request, _bodies.read)

    def _key(body: _Body) -> str | None:
        """As it can stand in a header."""
        if (key := body.key) is None:
            return None
        if not intake.takes_chat_keys:
            raise ApiError(400, "key: chat keys have no effect here (see server.api.conversations).", param="key")
        if not 1 <= len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()) or key != key.strip():
            raise ApiError(400, f"key: expected 1 to {_LONGEST_KEY} printable ASCII characters.", param="key")
        return key

    return [
        list_conversations,
        list_messages,
        make_conversation,
        rename_conversation,
        delete_conversation,
        assign_conversation,
    ]


def _summary(body: _Body) -> str:
    summary = (body.summary or "").strip()
    if not summary or len(summary) > _LONGEST_SUMMARY or not summary.isprintable():
        raise ApiError(400, f"summary: expected 1 to {_LONGEST_SUMMARY} characters, in one line.", param="summary")
    return summary


def _limit(request: Request[Any, Any, Any]) -> int:
    limit = request.query_params.get("limit")
    if limit is not None and not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= _MOST):
        raise ApiError(400, f"limit: expected a number between 1 and {_MOST}.", param="limit")
    return _DEFAULT if limit is None else int(limit)


def _on_refused(request: Request[Any, Any, Any], refused: Exception) -> Any:
    assert isinstance(refused, RefusedError)  # noqa: S101
    status, message = _REFUSALS[refused.refusal]
    return on_coded_error(request, ApiError(status, refused.lacks or message, code=refused.refusal))
