"""What one message says, as turn events; the same whether it is streamed or stored."""

import json
from collections.abc import Sequence

from adapters.letta_code.frames import Delta, StoredMessage, text_of
from domain.model.events import Reasoning, Text, ToolCall, ToolResult, TurnEvent


def events_in(message: Delta | StoredMessage) -> Sequence[TurnEvent]:
    """None for messages that are not of the answer."""
    match message.message_type:
        case "assistant_message":
            return [Text(text)] if (text := text_of(message.content)) else []
        case "reasoning_message":
            return [Reasoning(message.reasoning)] if message.reasoning else []
        case "approval_request_message" if (call := message.tool_call) is not None:
            name, arguments = ToolCall(call.tool_call_id, name=call.name), call.arguments
            return [name, ToolCall(call.tool_call_id, arguments=arguments)] if arguments else [name]
        case "tool_return_message" if message.tool_call_id:
            text = message.tool_return if isinstance(message.tool_return, str) else json.dumps(message.tool_return)
            return [ToolResult(message.tool_call_id, text, message.status != "error")]
        case _:
            return []
