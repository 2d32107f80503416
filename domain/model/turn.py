"""What is asked of an agent: by a client (`TurnRequest`), of the gateway (`Turn`). What it yields is in events.py."""

from enum import StrEnum

import msgspec

from domain.model.agent import Agent
from domain.model.lane import LaneKey


class Image(msgspec.Struct, frozen=True):
    """A picture that came with the message: `data` is base64, as it was sent."""

    media_type: str
    data: str


class ImageLink(msgspec.Struct, frozen=True):
    """A picture that whoever runs the agents has to fetch."""

    url: str


class UserMessage(msgspec.Struct, frozen=True):
    """What the user says; `text` is blank only if there are images."""

    text: str
    images: tuple[Image | ImageLink, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The answer to tool calls that wait for approval: all of them at once."""

    call_ids: tuple[str, ...]
    approve: bool
    reason: str = ""


class Turn(msgspec.Struct, frozen=True):
    """One delivery to one agent. `conversation` None is the agent's default history.

    There is a message, or a verdict, or a verdict and then a message. `delivery_id` names this delivery, so that its
    run can be found later, whatever became of the connection. `deduplicated`: the backend has to recognise a turn with
    a delivery id that it has seen, and to answer with the run that it led to. `attempt`: how often the backend has
    refused this delivery before; a refusal is not what it is to answer with again."""

    agent: Agent
    message: UserMessage | None
    conversation: str | None = None
    verdict: Verdict | None = None
    delivery_id: str | None = None
    deduplicated: bool = False
    attempt: int = 0


class Continues(StrEnum):
    """Whether a request asks the agent to go on with its last answer. `PERHAPS`: if it was the last thing said here."""

    NO = "no"
    PERHAPS = "perhaps"
    YES = "yes"


class TurnRequest(msgspec.Struct, frozen=True):
    """What a client asks for. `chat` is the chat key; without one, the agent's default history is meant.

    `owner`: the id of the API key it came with; the main key has none. `user_message_id` is a client's own id of the
    user message, the same when it is asked again (Open WebUI). That and `chat` are as `Caller.own` makes them.
    `passing`: in a conversation of its own that nobody will need again. `deduplicated`: to be delivered once even if
    this service is killed while it delivers, as far as the backend can help with that, and though it takes longer."""

    agent: Agent
    message: UserMessage
    chat: str | None = None
    user_message_id: str | None = None
    continues: Continues = Continues.NO
    ephemeral: bool = False
    deduplicated: bool = False
    owner: str = ""

    @property
    def lane(self) -> LaneKey:
        """Where it waits for its turn, unless it is in passing."""
        return self.agent.id, self.chat
