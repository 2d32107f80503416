"""What the tests ask Letta itself, over plain REST: the other side of the gateway, seen without it."""

import json
import urllib.request
from typing import Any

MODEL = "openai-proxy/gpt-4o-mini"
EMBEDDING = "openai/text-embedding-3-small"

LIST_TODOS = '''
def list_todos(list_name: str) -> str:
    """List the open todos of one list.

    Args:
        list_name (str): The list to read, such as work or home.

    Returns:
        str: One todo a line.
    """
    return f"1. water the plants ({list_name})\\n2. call the bank ({list_name})"
'''
DELETE_TODO = '''
def delete_todo(number: int) -> str:
    """Delete one todo for good.

    Args:
        number (int): The number of the todo.

    Returns:
        str: What was deleted.
    """
    return f"deleted todo {number}"
'''


class LettaAdmin:
    """A client of its own, so that what the product does to Letta is judged by something else than the product."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        self._base_url = base_url
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._tools: list[str] = []

    def create_agent(self, name: str, tools: bool = True, parallel_tool_calls: bool = False) -> str:
        """The id of a new agent, which has a tool that lists todos, and one that deletes them after approval."""
        body: dict[str, Any] = {
            "name": name,
            "agent_type": "letta_v1_agent",
            "model": MODEL,
            "embedding": EMBEDDING,
            "tool_ids": self._tool_ids() if tools else [],
            "include_base_tools": False,
            "memory_blocks": [{"label": "human", "value": "A person who tests things."}],
        }
        agent_id = self._call("POST", "/v1/agents/", body)["id"]
        assert isinstance(agent_id, str)
        if parallel_tool_calls:
            settings = {"model_settings": {"provider_type": "openai", "parallel_tool_calls": True}}
            self._call("PATCH", f"/v1/agents/{agent_id}", settings)
        return agent_id

    def delete_agent(self, agent_id: str) -> None:
        self._call("DELETE", f"/v1/agents/{agent_id}")

    def messages(self, agent_id: str) -> list[dict[str, Any]]:
        """All messages that the agent keeps, oldest first."""
        found = self._call("GET", f"/v1/agents/{agent_id}/messages?limit=1000&order=asc")
        assert isinstance(found, list)
        return found

    def user_messages(self, agent_id: str) -> list[str]:
        """What users have said to the agent, oldest first, without the notices that Letta itself slips in."""
        texts: list[str] = []
        for message in self.messages(agent_id):
            if message["message_type"] == "user_message":
                content = message["content"]
                text = content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
                if '"type": "system_alert"' not in text:
                    texts.append(text)
        return texts

    def runs(self, agent_id: str) -> list[str]:
        """The statuses of the agent's runs, newest first."""
        return [run["status"] for run in self._call("GET", f"/v1/runs/?agent_id={agent_id}&limit=100")]

    def conversations(self, agent_id: str) -> list[str]:
        return [each["id"] for each in self._call("GET", f"/v1/conversations/?agent_id={agent_id}&limit=100")]

    def delete_conversation(self, conversation_id: str) -> None:
        self._call("DELETE", f"/v1/conversations/{conversation_id}")

    def say(self, agent_id: str, text: str) -> None:
        """Say something to the agent without the service, as another client of Letta would."""
        body = {"agent_id": agent_id, "messages": [{"role": "user", "content": text}], "streaming": False}
        self._call("POST", "/v1/conversations/default/messages", body)

    def _tool_ids(self) -> list[str]:
        if not self._tools:
            for source, approval in ((LIST_TODOS, False), (DELETE_TODO, True)):
                body = {"source_code": source, "source_type": "python", "default_requires_approval": approval}
                self._tools.append(self._call("PUT", "/v1/tools/", body)["id"])
        return self._tools

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base_url + path, data, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read() or b"null")
