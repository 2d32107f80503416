"""Turn events: what a turn yields, in order. Never Letta's or OpenAI's wire shape.

A turn is `Accepted`, then any number of the middle ones, then exactly one `Ended` or `Failed`. In the log of a turn
`Accepted` can come again: the backend took the message, refused it, and took it at a second try.

No event can be part of a cycle, so the garbage collector need not look at them: there is one for each token. They are
tagged so that a turn store can write them down."""

import msgspec

from domain.model.failures import Failure


class Accepted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The backend has taken the message."""

    run_id: str | None = None
    """The name of the run, where the backend has such names."""


class Text(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A piece of what the agent says to the user."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A piece of what the agent thinks."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A tool that the agent itself runs: first a piece with the name, then pieces of the JSON arguments."""

    call_id: str
    name: str = ""
    arguments: str = ""


class ToolResult(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What a tool gave back to the agent."""

    call_id: str
    text: str
    ok: bool = True


class ApprovalRequest(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The agent stops here, until somebody approves or denies this call of a tool. Comes right before `Ended`."""

    call_id: str
    name: str
    arguments: str = ""


class Usage(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Tokens of the whole turn, all steps together."""

    prompt_tokens: int
    completion_tokens: int


class Ended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The agent has finished its answer."""

    cut_off: bool = False
    """Its language model was not allowed to say more."""


class Failed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The turn ended without a whole answer."""

    failure: Failure


TurnEvent = Accepted | Text | Reasoning | ToolCall | ToolResult | ApprovalRequest | Usage | Ended | Failed
