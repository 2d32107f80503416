"""How the agent's own tool calls are named to clients, so that they are told from a client's own calls."""

import hashlib

# Ids of tool calls that the agent itself ran. A client that answers one of them has nothing to deliver.
TOOL_CALL_ID_PREFIX = "call_agent_"
# Some clients and providers refuse longer ones.
LONGEST_TOOL_CALL_ID = 40
# No tool has a longer name; language models make up names of any length.
LONGEST_TOOL_NAME = 200


def shown_id(call_id: str) -> str:
    """The agent's own id behind the prefix, or, if that is too long, a digest of it."""
    shown = TOOL_CALL_ID_PREFIX + call_id
    if len(shown) <= LONGEST_TOOL_CALL_ID:
        return shown
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return (TOOL_CALL_ID_PREFIX + digest)[:LONGEST_TOOL_CALL_ID]
