"""POST /v1/chat/completions: from a request to a turn, and from the turn's log to an answer."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.response import Stream

from domain.model.answer_text import whole_text
from domain.model.events import Accepted, Ended, Failed, TurnEvent
from domain.model.tool_calls import ToolCalls, shows_tool_calls
from domain.model.turn import Turn
from domain.model.turn_log import TurnLog, TurnReader
from domain.services.rosters import Rosters
from domain.services.turns import Turns
from entrypoints.http.api_docs import ChatOperation
from entrypoints.http.api_errors import internal_error, of_failure
from entrypoints.http.body import read_body
from entrypoints.http.chat_chunks import KEEP_ALIVE, ChunkEncoder
from entrypoints.http.chat_completion import AssistantMessage, ChatCompletion, Choice
from entrypoints.http.chat_request import read_chat_request
from entrypoints.http.request_trail import trail_of

# Seconds. Until the backend has accepted the turn, or for this long, a stream can still become an HTTP error.
STATUS_WITHIN = 10.0
# Seconds without a byte after which a stream sends a comment: proxies and clients take longer silence for death.
KEEP_ALIVE_EVERY = 15.0
# Bytes from which a body is decoded in a thread.
LARGE = 1_000_000

_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

logger = structlog.stdlib.get_logger(__name__)


class ChatOptions(msgspec.Struct, frozen=True):
    """What the operator decides about chats. The limit is in bytes."""

    max_body_bytes: int = 50_000_000
    tool_calls: ToolCalls = ToolCalls.AUTO


@post("/v1/chat/completions", operation_class=ChatOperation, status_code=200)
async def create_chat_completion(
    request: Request[Any, Any, Any],
    rosters: NamedDependency[Rosters],
    turns: NamedDependency[Turns],
    chat_options: NamedDependency[ChatOptions],
) -> Response[Any]:
    body = await read_body(request, chat_options.max_body_bytes)
    asked = await asyncio.to_thread(read_chat_request, body) if len(body) > LARGE else read_chat_request(body)
    model = await rosters.resolve(asked.model)
    trail = trail_of(request.scope)
    trail.agent, trail.stream = model.name, asked.stream
    # The answer to a tool call that the agent ran itself delivers nothing: its log has ended before it began.
    log = turns.start(Turn(model.agent, asked.message)) if asked.message else _nothing_to_say()
    reader = log.reader()
    answer_id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
    if not asked.stream:
        return await _whole_answer(reader, answer_id, created, model.name)
    if isinstance(first := await reader.peek(STATUS_WITHIN), Failed):
        raise of_failure(first.failure)
    shown = shows_tool_calls(chat_options.tool_calls, asked.declares_tools, request.headers.get("user-agent", ""))
    encoder = ChunkEncoder(answer_id, created, model.name, shown)
    return Stream(_stream(reader, encoder), media_type="text/event-stream", headers=_STREAM_HEADERS)


async def _whole_answer(reader: TurnReader, answer_id: str, created: int, model: str) -> Response[bytes]:
    events: list[TurnEvent] = []
    while not reader.finished:
        events += await reader.take()
    if isinstance(last := events[-1], Failed):
        raise of_failure(last.failure)
    choice = Choice(message=AssistantMessage(content=whole_text(events)))
    completion = ChatCompletion(id=answer_id, created=created, model=model, choices=(choice,))
    return Response(msgspec.json.encode(completion), media_type=MediaType.JSON)


async def _stream(reader: TurnReader, encoder: ChunkEncoder) -> AsyncIterator[bytes]:
    now = asyncio.get_running_loop().time
    try:
        yield encoder.opening()
        quiet_until = now() + KEEP_ALIVE_EVERY
        while not reader.finished:
            # Reasoning and hidden tool calls show nothing: what counts is when the client last got a byte.
            encoded = encoder.encode(await reader.take(max(quiet_until - now(), 0.0)))
            if not encoded and now() >= quiet_until:
                encoded = KEEP_ALIVE
            if encoded:
                yield encoded
                quiet_until = now() + KEEP_ALIVE_EVERY
    except Exception:
        logger.exception("a stream failed by a mistake of this service")
        yield encoder.failure(internal_error())


def _nothing_to_say() -> TurnLog:
    log = TurnLog()
    log.append(Accepted())
    log.append(Ended())
    return log
