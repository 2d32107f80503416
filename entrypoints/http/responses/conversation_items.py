"""The items of a conversation: those that clients have put into it, and what was said to agents."""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.model.client_conversation import ConversationItem, new_item_id
from domain.model.events import Text, ToolCall, ToolResult
from domain.model.history import HistoryEntry
from entrypoints.http.responses import items
from entrypoints.http.responses.kept_input import normal_item
from entrypoints.http.responses.pages import Listed

_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def item_to_keep(sent: dict[str, Any], now: float) -> ConversationItem:
    """An item that a client puts into a conversation. It gets an id of our own, as OpenAI gives it one."""
    kind = sent.get("type")
    id_ = new_item_id(_PREFIXES.get(kind if isinstance(kind, str) else "message", "item"))
    return ConversationItem(id_, now, msgspec.json.encode(normal_item({**sent, "id": id_}, id_)))


def as_listed(kept: ConversationItem) -> Listed:
    """As it was put in."""
    return Listed(kept.id, msgspec.Raw(kept.content))


def all_items(kept: Sequence[ConversationItem], histories: Sequence[Sequence[HistoryEntry]]) -> Sequence[Listed]:
    """Of a conversation, oldest first."""
    dated = [(item.made_at, as_listed(item)) for item in kept]
    for history in histories:
        dated += [(at, Listed(item["id"], item)) for at, item in _of_history(history)]
    # Stable: what has no time stays where its backend has it.
    return [item for _, item in sorted(dated, key=lambda each: each[0])]


def _of_history(history: Sequence[HistoryEntry]) -> list[tuple[float, dict[str, Any]]]:
    told: list[tuple[float, dict[str, Any]]] = []
    calls: dict[str, dict[str, Any]] = {}
    for entry in history:
        if entry.user is not None:
            content = [{"type": "input_text", "text": entry.user}]
            message = {"id": f"msg_{entry.id}", "type": "message", "role": "user", "status": "completed"}
            told.append((entry.at, {**message, "content": content}))
        for number, event in enumerate(entry.events):
            match event:
                case Text(text=text):
                    told.append((entry.at, items.message(f"msg_{entry.id}{number or ''}", text, "completed")))
                case ToolCall(call_id=call_id, name=name, arguments=arguments) if call_id in calls and not name:
                    calls[call_id]["arguments"] += arguments
                case ToolCall(call_id=call_id, name=name, arguments=arguments):
                    calls[call_id] = items.mcp_call(f"mcp_{entry.id}{number or ''}", name, arguments, "incomplete")
                    told.append((entry.at, calls[call_id]))
                case ToolResult(call_id=call_id) if call_id in calls:
                    call = calls.pop(call_id)
                    arguments = call["arguments"].strip() or "{}"
                    call.update(items.mcp_call(call["id"], call["name"], arguments, call["status"], event))
    return told
