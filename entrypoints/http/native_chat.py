"""POST /api/v1/chat, LettaBot's own endpoint: from a request to a turn. Its shapes are native_events.py's."""

from functools import partial
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from domain.model.api_key import Caller
from domain.model.failures import BackendError, FailureCode
from domain.model.roster import Model
from domain.model.turn import TurnRequest, UserMessage
from domain.services.rosters import Rosters
from domain.services.turns import Turns
from entrypoints.http.answer import Answer
from entrypoints.http.api_docs import NativeChatOperation
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.json_body import decode
from entrypoints.http.native_events import NativeEncoder, whole_answer
from entrypoints.http.request_trail import trail_of
from entrypoints.http.turn_identity import identity_of
from entrypoints.settings.chat_options import ChatOptions

# Of the other agents in an error message.
_NAMES = 20


class _Body(msgspec.Struct, frozen=True):
    message: msgspec.Raw = msgspec.Raw(b'""')
    agent: str | None = None


_body_decoder = msgspec.json.Decoder(_Body)
_message_decoder = msgspec.json.Decoder(str)


class NativeChat:
    """What these requests need. They wait in the same lanes as OpenAI's, and are retried by the same rules."""

    def __init__(self, rosters: Rosters, turns: Turns, options: ChatOptions) -> None:
        self._rosters = rosters
        self._turns = turns
        self._options = options
        self._intake = ChatIntake(options)

    async def answer(self, request: Request[Any, Any, Any]) -> Answer:
        """Begin the turn, or find it. Raises `ApiError` and `BackendError`."""
        options = self._options
        headers, (message, agent_name), digest = await self._intake.read(request, _read)
        caller = caller_of(request.scope)
        model = await self._resolve(agent_name, caller)
        streams = headers.wants_events
        trail = trail_of(request.scope)
        trail.agent, trail.stream = model.name, streams
        chat = headers.chat if options.own_conversations else None
        turn = TurnRequest(model.agent, UserMessage(message), chat, headers.user_message_id)
        reading = self._turns.begin(turn, identity_of(caller, turn, headers, digest))
        encoder = NativeEncoder(options.repeat_errors_for) if streams else None
        whole = partial(whole_answer, agent_name=model.name)
        return Answer.of(reading, whole, encoder, options.repeat_errors_for)

    async def _resolve(self, name: str | None, caller: Caller) -> Model:
        try:
            return await self._rosters.resolve(name, caller)
        except BackendError as error:
            if error.failure.code is not FailureCode.MODEL_NOT_FOUND:
                raise
            roster = self._rosters.current_or_none
            names = [model.name for model in roster.of(caller)] if roster else []
            available = ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
            raise ApiError(404, f"Agent not found: {name or '(the first)'}. Available: {available or 'none'}") from None


def native_chat_handler(chat: NativeChat) -> HTTPRouteHandler:
    # A function in a function, because Litestar makes deep copies of methods, collaborators included.
    @post("/chat", operation_class=NativeChatOperation, status_code=200)
    async def create_native_chat(request: Request[Any, Any, Any]) -> ASGIApp:
        return await chat.answer(request)

    return create_native_chat


def _read(body: bytes) -> tuple[str, str | None]:
    """The message, and the agent's name; raises `ApiError` 400."""
    asked = decode(body, _body_decoder)
    try:
        message = decode(asked.message, _message_decoder)
    except ApiError:
        message = ""
    if not message.strip():
        raise ApiError(400, "Missing required field: message", param="message")
    return message, asked.agent
