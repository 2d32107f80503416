"""Who is shown the tool calls that an agent runs, and how such calls are told from a client's own."""

import hashlib
from enum import Enum, StrEnum, auto

# Ids of tool calls that the agent itself ran. A client that answers one of them has nothing to deliver.
TOOL_CALL_ID_PREFIX = "call_agent_"
# Some clients and providers refuse longer ones.
LONGEST_TOOL_CALL_ID = 40
# No tool has a longer name; language models make up names of any length.
LONGEST_TOOL_NAME = 200

# Clients that try to run every tool call they see, though they declared no tools: exceptions and re-sends (recorded).
_CLIENTS_THAT_RUN_WHAT_THEY_SEE = ("Agents/Python", "Agents/JavaScript", "pydantic-ai/", "ai-sdk")


class ToolCalls(StrEnum):
    """The operator's choice. `AUTO`: as the client can bear it."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
    STATUS = "status"


class ToolDisplay(Enum):
    """How a stream shows the agent's own tool calls. Whole answers never do."""

    HIDDEN = auto()
    CALLS = auto()
    STATUS = auto()


def shown_id(call_id: str) -> str:
    """The agent's own id behind the prefix, or, if that is too long, a digest of it."""
    shown = TOOL_CALL_ID_PREFIX + call_id
    if len(shown) <= LONGEST_TOOL_CALL_ID:
        return shown
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return (TOOL_CALL_ID_PREFIX + digest)[:LONGEST_TOOL_CALL_ID]


def tool_display(policy: ToolCalls, declares_tools: bool, user_agent: str, is_open_webui: bool) -> ToolDisplay:
    """Open WebUI runs every call it sees, whatever it declared, but has status lines of its own (recorded)."""
    match policy:
        case ToolCalls.ALWAYS:
            return ToolDisplay.CALLS
        case ToolCalls.NEVER:
            return ToolDisplay.HIDDEN
        case ToolCalls.STATUS:
            return ToolDisplay.STATUS
    if is_open_webui:
        return ToolDisplay.STATUS
    if declares_tools or any(client in user_agent for client in _CLIENTS_THAT_RUN_WHAT_THEY_SEE):
        return ToolDisplay.HIDDEN
    return ToolDisplay.CALLS
