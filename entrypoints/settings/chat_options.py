"""What the operator decides about chats and answers. What is decided about turns: domain/model/turn_rules.py."""

from enum import StrEnum

import msgspec


class ToolCalls(StrEnum):
    """The operator's choice. `AUTO`: as the client can bear it."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
    STATUS = "status"


class BackgroundTasks(StrEnum):
    """Who answers a frontend's own questions about a chat: this service at once, or the agent, aside from the chat."""

    LOCAL = "local"
    AGENT = "agent"


class HeaderNames(msgspec.Struct, frozen=True):
    """Of the headers with which a frontend says what it is asking for; in lower case."""

    chat: str = "x-chat-id"
    message: str = "x-message-id"
    user_message: str = "x-user-message-id"
    task: str = "x-task"


class ChatOptions(msgspec.Struct, frozen=True):
    """The limit is in bytes, `repeat_errors_for` in seconds.

    `own_conversations`: a chat with a key gets a conversation of its own. `trust_chat_headers`: clients may say for
    which chat they speak. `image_links`: images may be on the web, from where the backend fetches them."""

    max_body_bytes: int = 50_000_000
    tool_calls: ToolCalls = ToolCalls.AUTO
    own_conversations: bool = True
    trust_chat_headers: bool = True
    header_names: HeaderNames = HeaderNames()
    background_tasks: BackgroundTasks = BackgroundTasks.LOCAL
    image_links: bool = False
    reasoning: bool = False
    usage: bool = False
    repeat_errors_for: float = 30.0
