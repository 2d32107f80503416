"""How a response looks to one client, whatever is in it: which of the agent's events are shown, and as what."""

from enum import StrEnum

import msgspec

from domain.model.events import TurnEvent, Usage
from domain.model.response import ResponseRecord, ResponseStatus, status_after
from entrypoints.settings.chat_options import ToolCalls

# They raise an exception on a response that is incomplete, and the user never sees its text (recorded).
_CLIENTS_THAT_WANT_IT_COMPLETE = ("Agents/Python", "Agents/JavaScript")


class Shows(StrEnum):
    """What a client sees. Kept with the response, so that it looks the same when it is asked for again."""

    MCP_CALLS = "mcp_calls"
    """The agent's own tool calls, as calls of an MCP server: the one form that no client runs itself."""
    FUNCTION_CALLS = "function_calls"
    """The same as functions with their outputs: only for Open WebUI."""
    REASONING = "reasoning"
    APPROVALS = "approvals"
    """Questions for approval as items that the client answers."""
    USAGE = "usage"
    USAGE_OR_ZEROS = "usage_or_zeros"
    """Numbers also where nobody counted."""
    CUT_OFF_AS_COMPLETED = "cut_off_as_completed"
    FINAL_FOR_CODEX = "final_for_codex"
    """Failures under a code after which Codex does not send again."""
    UNSTORED = "unstored"


class ResponseForm(msgspec.Struct, frozen=True):
    """Of one response."""

    record: ResponseRecord

    @property
    def usage_unknown(self) -> Usage | None:
        """What is reported where nobody counted."""
        return Usage(0, 0) if self.shows(Shows.USAGE_OR_ZEROS) else None

    def shows(self, what: Shows) -> bool:
        return what in self.record.shows

    def status_after(self, end: TurnEvent) -> ResponseStatus:
        """Of a response whose turn has ended with that event, as this client is told it."""
        status = status_after(end)
        if status is ResponseStatus.INCOMPLETE and self.shows(Shows.CUT_OFF_AS_COMPLETED):
            return ResponseStatus.COMPLETED
        return status


def tools_shown(policy: ToolCalls, is_open_webui: bool) -> Shows | None:
    """How the agent's own tool calls are shown; None: not at all."""
    if policy is ToolCalls.NEVER:
        return None
    return Shows.FUNCTION_CALLS if is_open_webui else Shows.MCP_CALLS


def wants_it_complete(user_agent: str) -> bool:
    """Whether an answer that was cut off is better told as a whole one."""
    return any(client in user_agent for client in _CLIENTS_THAT_WANT_IT_COMPLETE)
