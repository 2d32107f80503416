"""POST /v1/chat/completions: from a request to a turn. The answer itself is answer.py's."""

import asyncio
import hashlib
import secrets
import time
from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Text
from domain.model.identity import Identity
from domain.model.tool_calls import tool_display
from domain.model.turn import Continues, TurnRequest, UserMessage
from domain.model.turn_log import TurnLog
from domain.services.rosters import Rosters
from domain.services.turns import RepeatedFailureError, Turns
from entrypoints.http.answer import Answer
from entrypoints.http.api_docs import ChatOperation
from entrypoints.http.api_errors import of_failure
from entrypoints.http.body import read_body
from entrypoints.http.chat_chunks import ChunkEncoder
from entrypoints.http.chat_completion import AnswerForm
from entrypoints.http.chat_headers import ChatHeaderReader, ChatHeaders
from entrypoints.http.chat_request import ChatRequest, read_chat_request
from entrypoints.http.open_webui_tasks import Task, local_answer, task_of
from entrypoints.http.request_trail import trail_of
from entrypoints.settings.chat_options import BackgroundTasks, ChatOptions

# Bytes from which a body is decoded in a thread.
LARGE = 1_000_000


class Chat:
    """What chat requests need: given once, because Litestar would resolve it each time, in a task group."""

    def __init__(self, rosters: Rosters, turns: Turns, options: ChatOptions) -> None:
        self._rosters = rosters
        self._turns = turns
        self._options = options
        self._headers = ChatHeaderReader(options.header_names, options.trust_chat_headers)

    async def answer(self, request: Request[Any, Any, Any]) -> Answer:
        """Begin the turn, or find it. Raises `ApiError` and `BackendError`."""
        options = self._options
        sent = dict(request.scope["headers"])
        headers = self._headers.read(sent)
        body = await read_body(sent, request.receive, options.max_body_bytes)
        small = len(body) <= LARGE
        asked, digest = _read(body, options) if small else await asyncio.to_thread(_read, body, options)
        model = await self._rosters.resolve(asked.model)
        trail = trail_of(request.scope)
        trail.agent, trail.stream = model.name, asked.stream
        form = AnswerForm(
            f"chatcmpl-{secrets.token_hex(16)}",
            int(time.time()),
            model.name,
            options.reasoning,
            options.usage and (asked.wants_usage or not asked.stream),
            options.repeat_errors_for,
        )
        tools = tool_display(options.tool_calls, asked.declares_tools, headers.user_agent, headers.is_open_webui)
        encoder = ChunkEncoder(form, tools) if asked.stream else None
        task = _task(asked, headers)
        if asked.message is None or (task is not None and options.background_tasks is BackgroundTasks.LOCAL):
            # Nothing is delivered: the log has ended before it began.
            text = local_answer(task, asked.message.text) if task and asked.message else ""
            return Answer(_told(text).reader(), form, encoder, {}, _nothing)
        turn = _turn_request(model.agent, asked, asked.message, headers, options, is_task=task is not None)
        try:
            reading = self._turns.begin(turn, _identity(asked, headers, turn, digest))
        except RepeatedFailureError as error:
            raise of_failure(error.failure, options.repeat_errors_for, repeated=True) from None

        # SDKs ask again when a plain request times out; who stops a stream wants it to stop.
        will_ask_again = not asked.stream

        def leave(whole: bool) -> None:
            reading.leave(whole, will_ask_again)

        replayed = {"Idempotency-Replayed": "true"} if reading.replayed else {}
        return Answer(reading.reader, form, encoder, replayed, leave)


def chat_handler(chat: Chat) -> HTTPRouteHandler:
    # A function in a function, because Litestar makes deep copies of methods, collaborators included.
    @post("/v1/chat/completions", operation_class=ChatOperation, status_code=200)
    async def create_chat_completion(request: Request[Any, Any, Any]) -> ASGIApp:
        return await chat.answer(request)

    return create_chat_completion


def _turn_request(
    agent: Agent, asked: ChatRequest, message: UserMessage, headers: ChatHeaders, options: ChatOptions, is_task: bool
) -> TurnRequest:
    continues = Continues.NO
    if asked.ends_with_answer:
        # Open WebUI ends with the assistant's words only if the user has asked it to continue.
        continues = Continues.YES if headers.message_id else Continues.PERHAPS
    if is_task:
        return TurnRequest(agent, message, passing=True)
    chat = headers.chat if options.own_conversations else None
    return TurnRequest(agent, message, chat, headers.user_message_id, continues)


def _identity(asked: ChatRequest, headers: ChatHeaders, turn: TurnRequest, digest: bytes) -> Identity:
    body = b"\0".join([digest, turn.agent.id.encode(), (turn.chat or "").encode()])
    message_id = None
    if headers.message_id is not None and not turn.passing:
        # What continues an answer has the message id of that answer.
        going_on = body.hex() if asked.ends_with_answer else ""
        message_id = "\0".join([turn.agent.id, turn.chat or "", headers.message_id, going_on])
    return Identity(body, headers.idempotency_key, message_id, headers.retry_count)


def _task(asked: ChatRequest, headers: ChatHeaders) -> Task | None:
    if asked.message is None:
        return None
    return task_of(
        headers.task or "", asked.stream, asked.declares_tools, asked.roles, asked.opening, asked.message.text
    )


def _read(body: bytes, options: ChatOptions) -> tuple[ChatRequest, bytes]:
    return read_chat_request(body, options.image_links), hashlib.sha256(body).digest()


def _told(text: str) -> TurnLog:
    return TurnLog([Accepted(), Text(text), Ended()])


def _nothing(_: bool) -> None:
    """Nobody needs to know."""
