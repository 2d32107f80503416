"""Where the message of a request goes: to which agent, and into which of its conversations."""

import msgspec

from domain.model.api_key import Caller
from domain.model.response import ResponseRecord
from domain.model.roster import Model
from domain.services.responses import Responses
from domain.services.roster_cache import RosterCache
from entrypoints.http.api_errors import ApiError
from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.responses.conversations import ConversationObjects
from entrypoints.http.responses.request import ResponsesRequest
from entrypoints.settings.chat_options import ChatOptions


class Place(msgspec.Struct, frozen=True):
    """One conversation."""

    chat: str | None
    """The chat key, as `Caller.own` makes it. None: the agent's default history."""
    conversation: str | None = None
    """As the client named it."""
    previous: ResponseRecord | None = None
    """The response that the request goes on from."""


class Places:
    """Given once, as `ResponseCreation` is."""

    def __init__(
        self, rosters: RosterCache, responses: Responses, conversations: ConversationObjects, options: ChatOptions
    ) -> None:
        self._rosters = rosters
        self._responses = responses
        self._conversations = conversations
        self._options = options

    async def find(self, asked: ResponsesRequest, headers: ChatHeaders, caller: Caller) -> Place:
        """Raises `ApiError` 404."""
        if asked.previous_response_id is not None:
            previous = await self._responses.find(asked.previous_response_id, caller.id)
            if previous is None:
                raise ApiError(
                    404,
                    f"Previous response with id {asked.previous_response_id[:100]!r} not found: there is none, or not "
                    "any more, or it was not stored, or it belongs to another API key.",
                    param="previous_response_id",
                    code="previous_response_not_found",
                )
            return Place(previous.chat, previous.conversation, previous)
        if asked.conversation is not None:
            await self._conversations.find(asked.conversation, caller.id)
            own = caller.own(asked.conversation) if self._options.own_conversations else None
            return Place(own, asked.conversation)
        return Place(caller.own(headers.chat) if self._options.own_conversations else None)

    async def model(self, asked: ResponsesRequest, place: Place, caller: Caller) -> Model:
        """Without a name, that of the previous response. Raises `ApiError` and `FailureError`."""
        name = asked.model
        if not name and place.previous is not None:
            name = place.previous.model
        model = await self._rosters.resolve(name, caller)
        if place.previous is not None and place.previous.agent.key != model.agent.key:
            raise ApiError(
                400,
                f"previous_response_id: that response is of the agent {place.previous.model!r}, and {model.name!r} "
                "knows nothing of it. Use the same model for the whole conversation.",
                param="previous_response_id",
            )
        return model
