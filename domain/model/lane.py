"""What a lane is known by: the queue before one conversation."""

LaneKey = tuple[str, str | None]
"""An agent's id, and a chat key or None for the agent's default history."""


def name_of(lane: LaneKey) -> str:
    """As one word, for whoever keeps lanes elsewhere."""
    agent_id, chat = lane
    return f"{agent_id} {chat or ''}"


def lane_of(name: str) -> LaneKey:
    """What `name_of` was given."""
    agent_id, _, chat = name.partition(" ")
    return agent_id, chat or None
