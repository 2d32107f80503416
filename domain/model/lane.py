"""What a lane is known by: the queue before one conversation."""

LaneKey = tuple[str, str | None]
"""An agent's id, and a chat key or None for the agent's default history."""

LocalLaneKey = tuple[str, str | int | None]
"""The same in one process, or an agent's id and a number: the lane of one turn in passing. No chat key is a number."""


def name_of(lane: LaneKey) -> str:
    """As one word, for whoever keeps lanes elsewhere."""
    agent_id, chat = lane
    return f"{agent_id.replace('%', '%25').replace(' ', '%20')} {chat or ''}"


def lane_of(name: str) -> LaneKey:
    """What `name_of` was given."""
    agent_id, _, chat = name.partition(" ")
    return agent_id.replace("%20", " ").replace("%25", "%"), chat or None
