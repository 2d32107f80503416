"""What every request to LettaBot's own chat endpoints says: a message, an agent, and for jobs where to call back."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request

from domain.model.api_key import Caller
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from domain.model.identity import Identity
from domain.model.roster import Model
from domain.model.turn import TurnRequest, UserMessage
from domain.services.roster_cache import RosterCache
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.body.json_body import ObjectReader, decode
from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.request_log import request_log_of
from entrypoints.http.turn_identity import identity_of
from entrypoints.settings.chat_options import ChatOptions

# Of the other agents in an error message.
_NAMES = 20
_LONGEST_NAME = 100


T = TypeVar("T")


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    message: msgspec.Raw = msgspec.Raw(b'""')
    agent: str | None = None
    callback_url: str | None = None


class NativeRequest(msgspec.Struct, frozen=True):
    """Read, and understood."""

    turn: TurnRequest
    model: Model
    headers: ChatHeaders
    identity: Identity
    caller: Caller
    callback_url: str | None


_bodies = ObjectReader(_Body)
_message_decoder = msgspec.json.Decoder(str)


class NativeIntake:
    """Raises `ApiError` and `FailureError`."""

    def __init__(self, rosters: RosterCache, options: ChatOptions, intake: ChatIntake) -> None:
        self._rosters = rosters
        self._own_conversations = options.own_conversations
        self._intake = intake
        self.takes_chat_keys = options.own_conversations and options.trust_chat_headers
        """Whether chat keys lead anywhere."""

    async def read(self, request: Request[Any, Any, Any]) -> NativeRequest:
        headers, (message, body), digest = await self._intake.read(request, _read)
        caller = caller_of(request.scope)
        model = await self.resolve(body.agent, caller)
        request_log_of(request.scope).agent = model.name
        chat = caller.own(headers.chat) if self._own_conversations else None
        message_id = caller.own(headers.user_message_id)
        turn = TurnRequest(model.agent, UserMessage(message), chat, message_id, owner=caller.id)
        identity = identity_of(caller, turn, headers, digest)
        return NativeRequest(turn, model, headers, identity, caller, body.callback_url or None)

    async def read_body(self, request: Request[Any, Any, Any], decode: Callable[[bytes], T]) -> T:
        """Of a request that is no message."""
        _, body, _ = await self._intake.read(request, decode)
        return body

    async def resolve(self, name: str | None, caller: Caller) -> Model:
        """The agent of that name that this caller may ask; without one, the first."""
        try:
            return await self._rosters.resolve(name, caller)
        except FailureError as error:
            if error.failure.code is not FailureCode.MODEL_NOT_FOUND:
                raise
            roster = self._rosters.current_or_none
            names = [model.name for model in roster.of(caller)] if roster else []
            available = ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
            asked = name or "(the first)"
            shown = asked if len(asked) <= _LONGEST_NAME else f"{asked[:_LONGEST_NAME]}..."
            raise ApiError(404, f"Agent not found: {shown}. Available: {available or 'none'}") from None


def _read(body: bytes) -> tuple[str, _Body]:
    """The message, and all of the body; raises `ApiError` 400."""
    asked = _bodies.read(body)
    try:
        message = decode(asked.message, _message_decoder)
    except ApiError:
        message = ""
    if not message.strip():
        raise ApiError(400, "Missing required field: message", param="message")
    return message, asked
