"""POST /api/v1/chat, LettaBot's own endpoint: from a request to a turn. Its shapes are native_events.py's."""

from functools import partial
from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from domain.services.turns import Turns
from entrypoints.http.answer import Answer
from entrypoints.http.api_errors import of_failure
from entrypoints.http.native.api_docs import NativeChatOperation
from entrypoints.http.native.events import NativeEncoder, whole_answer
from entrypoints.http.native.intake import NativeIntake
from entrypoints.http.request_log import request_log_of


def native_chat_handler(intake: NativeIntake, turns: Turns, repeat_errors_for: float) -> HTTPRouteHandler:
    """They wait in the same lanes as OpenAI's, and are retried by the same rules."""

    @post("/chat", operation_class=NativeChatOperation, status_code=200)
    async def create_native_chat(request: Request[Any, Any, Any]) -> ASGIApp:
        asked = await intake.read(request)
        streams = asked.headers.wants_events
        request_log_of(request.scope).stream = streams
        reading = turns.begin(asked.turn, asked.identity)
        repeated_for = asked.headers.repeated_for(repeat_errors_for)
        encoder = NativeEncoder(repeated_for) if streams else None
        error_of = partial(of_failure, repeated_for=repeated_for)
        return Answer.of(reading, partial(whole_answer, agent_name=asked.model.name), encoder, error_of)

    return create_native_chat
