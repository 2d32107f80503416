"""Who is shown the tool calls that an agent runs, and how such calls are told from a client's own."""

from enum import StrEnum

# Ids of tool calls that the agent itself ran. A client that answers one of them has nothing to deliver.
TOOL_CALL_ID_PREFIX = "call_agent_"

# Clients that try to run every tool call they see, though they declared no tools: exceptions and re-sends (recorded).
_CLIENTS_THAT_RUN_WHAT_THEY_SEE = ("Agents/Python", "Agents/JavaScript", "pydantic-ai/", "ai-sdk")


class ToolCalls(StrEnum):
    """The operator's choice. `AUTO`: shown, except to clients that would try to run what they see."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def shows_tool_calls(policy: ToolCalls, declares_tools: bool, user_agent: str) -> bool:
    """Whether a stream carries the agent's own tool calls. Whole answers never do."""
    if policy is not ToolCalls.AUTO:
        return policy is ToolCalls.ALWAYS
    return not declares_tools and not any(client in user_agent for client in _CLIENTS_THAT_RUN_WHAT_THEY_SEE)
