"""What is asked of an agent: by a client (`TurnRequest`), of the gateway (`Turn`). What it yields is in events.py."""

from enum import StrEnum

import msgspec

from domain.model.agent import Agent
from domain.model.lane import LaneKey
from domain.model.response import ResponseRequest


class Image(msgspec.Struct, frozen=True, tag=True):
    """A picture that came with the message."""

    media_type: str
    data: str
    """In base64, as it was sent."""


class ImageLink(msgspec.Struct, frozen=True, tag=True):
    """A picture that whoever runs the agents has to fetch."""

    url: str


class UserMessage(msgspec.Struct, frozen=True):
    """What the user says."""

    text: str
    """Blank only if there are images."""
    images: tuple[Image | ImageLink, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The answer to tool calls that wait for approval: all of them at once."""

    call_ids: tuple[str, ...]
    approve: bool
    reason: str = ""


class Turn(msgspec.Struct, frozen=True):
    """One delivery to one agent: a message, or a verdict, or a verdict and then a message."""

    agent: Agent
    message: UserMessage | None
    conversation: str | None = None
    """None: the agent's default history."""
    verdict: Verdict | None = None
    delivery_id: str | None = None
    """Names this delivery, so that its run can be found later, whatever became of the connection."""
    deduplicated: bool = False
    """Whether the backend has to recognise a delivery id that it has seen, and to answer with its run."""
    attempt: int = 0
    """How often the backend has refused this delivery before. It must not answer with such a refusal again."""


class Continues(StrEnum):
    """Whether a request asks the agent to go on with its last answer. `PERHAPS`: if it was the last thing said here."""

    NO = "no"
    PERHAPS = "perhaps"
    YES = "yes"


class TurnRequest(msgspec.Struct, frozen=True):
    """What a client asks for."""

    agent: Agent
    message: UserMessage
    chat: str | None = None
    """The chat key, as `Caller.own` makes it. None: the agent's default history."""
    user_message_id: str | None = None
    """A client's own id of the user message, the same when it is asked again (Open WebUI). As `Caller.own` makes it."""
    continues: Continues = Continues.NO
    ephemeral: bool = False
    """Whether it goes to a conversation of its own that nobody needs afterwards."""
    deduplicated: bool = False
    """Whether it is to be delivered once even if this service is killed meanwhile, as far as the backend can help with
    that, and though it takes longer."""
    owner: str = ""
    """The id of the API key that it came with. Empty: the main key."""
    response: ResponseRequest | None = None
    """What its answer is to be kept as. None: nobody asks for it by an id."""

    @property
    def lane(self) -> LaneKey:
        """Where it waits for its turn, unless it is in passing."""
        return self.agent.key, self.chat
