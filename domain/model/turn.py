"""One turn: what is asked of an agent. What it yields is in events.py."""

import msgspec

from domain.model.agent import Agent


class UserMessage(msgspec.Struct, frozen=True):
    """What the user says; `text` is never blank."""

    text: str


class Turn(msgspec.Struct, frozen=True):
    """One user message given to one agent, until the agent stops."""

    agent: Agent
    message: UserMessage
