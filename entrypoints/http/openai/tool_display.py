"""Which clients are shown the tool calls that an agent runs, and how."""

from enum import Enum, auto

from entrypoints.settings.chat_options import ToolCalls

# Clients that try to run every tool call they see, though they declared no tools: exceptions and re-sends (recorded).
_CLIENTS_THAT_RUN_WHAT_THEY_SEE = ("Agents/Python", "Agents/JavaScript", "pydantic-ai/", "ai-sdk")


class ToolDisplay(Enum):
    """How a stream shows the agent's own tool calls. Whole answers never do."""

    HIDDEN = auto()
    CALLS = auto()
    STATUS = auto()


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
