"""Which conversation belongs to which chat. tests/contract states what every store must do."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class ConversationStore(Protocol):
    """Chat keys are the clients', conversations the backend's; both are opaque.

    Every method raises `FailureError` (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def find(self, agent_id: str, chat: str) -> str | None:
        """The conversation of that chat with that agent, or None if it has none yet."""
        ...

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        """Remember it, unless the chat has one already; return the one that it has now."""
        ...

    async def of_chat(self, chat: str) -> Mapping[str, str]:
        """By the key of each agent with which this chat has a conversation: that conversation."""
        ...

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        """Remember it no longer; nothing happens if the chat has none, or another one by now."""
        ...

    async def assign(self, agent_id: str, chat: str, conversation: str | None) -> None:
        """From now on this chat has that conversation (None: none), and no other chat of the agent has it. Return when
        every process goes by that."""
        ...

    async def was_assigned(self, agent_id: str, chat: str, since: float) -> bool:
        """Whether `assign` has given a conversation to this chat, or taken one from it, after that time, in seconds
        since 1970."""
        ...

    async def chats_of(self, agent_id: str, conversations: Sequence[str]) -> Mapping[str, str]:
        """By conversation, of those that belong to a chat: that chat."""
        ...

    async def of_owner(self, agent_id: str, owner: str) -> Mapping[str, str]:
        """By conversation: the chats of the API key with that id (as `Caller.own` calls them; empty: the main key's,
        those without a chat key not among them)."""
        ...
