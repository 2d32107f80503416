"""The items of a response's output, as OpenAI writes them."""

from typing import Any

from domain.model.events import ApprovalRequest, ToolResult
from entrypoints.http.responses.item_ids import approval_id
from entrypoints.http.tool_call_ids import LONGEST_TOOL_NAME, shown_id

LETTA = "letta"


def text_part(text: str) -> dict[str, Any]:
    """A part of a message's content."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message(id_: str, text: str | None, status: str) -> dict[str, Any]:
    """`text` is None as long as nothing was said in it."""
    content = [] if text is None else [text_part(text)]
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": content}


def reasoning(id_: str, text: str | None, status: str) -> dict[str, Any]:
    """What the agent thinks, as a summary: the only form that clients show."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": id_, "type": "reasoning", "status": status, "summary": summary}


def mcp_call(id_: str, name: str, arguments: str, status: str, result: ToolResult | None = None) -> dict[str, Any]:
    """A tool that the agent has run. `status`: as long as there is no result."""
    output = failure = None
    if result is not None:
        status = "completed" if result.ok else "failed"
        if result.ok:
            output = result.text
        else:
            failure = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": result.text}]}
    return {
        "id": id_,
        "type": "mcp_call",
        "server_label": LETTA,
        "name": name[:LONGEST_TOOL_NAME],
        "arguments": arguments,
        "output": output,
        "error": failure,
        "approval_request_id": None,
        "status": status,
    }


def function_call(id_: str, call_id: str, name: str, arguments: str, status: str) -> dict[str, Any]:
    """The same for Open WebUI; it needs the output beside it, or it tries to run the function."""
    return {
        "id": id_,
        "type": "function_call",
        "call_id": shown_id(call_id),
        "name": name[:LONGEST_TOOL_NAME],
        "arguments": arguments,
        "status": status,
    }


def function_call_output(id_: str, call_id: str, output: str) -> dict[str, Any]:
    """Open WebUI shows only outputs that are lists."""
    return {
        "id": id_,
        "type": "function_call_output",
        "call_id": shown_id(call_id),
        "output": [{"type": "input_text", "text": output}],
        "status": "completed",
    }


def approval_request(asked: ApprovalRequest) -> dict[str, Any]:
    """The agent waits for an `mcp_approval_response` with this id."""
    return {
        "id": approval_id(asked.call_id),
        "type": "mcp_approval_request",
        "server_label": LETTA,
        "name": asked.name[:LONGEST_TOOL_NAME],
        "arguments": asked.arguments.strip() or "{}",
    }
