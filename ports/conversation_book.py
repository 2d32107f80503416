"""Which conversation belongs to which chat. tests/contract states what every book must do."""

from typing import Protocol


class ConversationBook(Protocol):
    """Chat keys are the clients', conversations the backend's; both are opaque."""

    async def find(self, agent_id: str, chat: str) -> str | None:
        """The conversation of that chat with that agent, or None if it has none yet."""
        ...

    async def keep(self, agent_id: str, chat: str, conversation: str) -> None:
        """Remember it, in place of an older one."""
        ...

    async def forget(self, agent_id: str, chat: str) -> None:
        """Remember it no longer; nothing happens if it was not known."""
        ...
