"""What a lane is known by: the queue before one conversation."""

DEFAULT_CHAT = "\n"
"""What a store of conversations calls the chat of messages without a chat key. No client can send it."""

LaneKey = tuple[str, str | None]
"""An agent's id, and a chat key or None for the agent's default history."""

LocalLaneKey = tuple[str, str | int | None]
"""The same in one process, or an agent's id and a number: the lane of one turn in passing. No chat key is a number."""


def chat_of(chat: str) -> str | None:
    """As requests have it, of what a store calls a chat."""
    return None if chat == DEFAULT_CHAT else chat


def name_of(lane: LaneKey) -> str:
    """As one word, for whoever keeps lanes elsewhere."""
    agent_id, chat = lane
    return f"{agent_id.replace('%', '%25').replace(' ', '%20')} {chat or ''}"


def lane_of(name: str) -> LaneKey:
    """What `name_of` was given."""
    agent_id, _, chat = name.partition(" ")
    return agent_id.replace("%20", " ").replace("%25", "%"), chat or None
