"""What the operator decides about chats and answers. What is decided about turns: domain/model/turn_rules.py."""

from enum import StrEnum

import msgspec


class ToolCalls(StrEnum):
    """Whether clients see the agent's tool calls. `AUTO`: if the client can handle them."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
    STATUS = "status"


class BackgroundTasks(StrEnum):
    """Who answers a frontend's own questions about a chat: this service, or the agent in another conversation."""

    LOCAL = "local"
    AGENT = "agent"


class Portal(StrEnum):
    """What the page for people at /portal shows. `FULL`: also what was said in the last turns."""

    OFF = "off"
    METADATA = "metadata"
    FULL = "full"


class HeaderNames(msgspec.Struct, frozen=True):
    """Of the headers with which a frontend says what it is asking for; in lower case."""

    chat: str = "x-chat-id"
    """The id of the chat."""
    message: str = "x-message-id"
    """The id of the answer that the frontend waits for."""
    user_message: str = "x-user-message-id"
    """The id of the user's message."""
    task: str = "x-task"
    """What the frontend itself wants to know about the chat, such as its title."""


class ChatOptions(msgspec.Struct, frozen=True):
    """What the operator decides about chats and answers."""

    max_body_bytes: int = 50_000_000
    """Larger requests are refused."""
    tool_calls: ToolCalls = ToolCalls.AUTO
    """Whether clients see the agent's tool calls."""
    own_conversations: bool = True
    """Whether a chat with a key gets a conversation of its own."""
    trust_chat_headers: bool = True
    """Whether clients may say for which chat they speak."""
    header_names: HeaderNames = HeaderNames()
    background_tasks: BackgroundTasks = BackgroundTasks.LOCAL
    """Who answers a frontend's own tasks."""
    image_links: bool = False
    """Whether images may be on the web, from where the backend fetches them."""
    reasoning: bool = False
    """Whether clients see the agent's reasoning."""
    continue_at_last: bool = False
    """Whether a request that goes on from a response which is not the last one of its chat goes on at the last one."""
    usage: bool = False
    """Whether tokens are reported to every client."""
