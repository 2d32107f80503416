"""The conversations of one App Server: opened, listed, named, forked, read and archived. No message is sent here."""

from collections.abc import Awaitable, Callable, Sequence

from adapters.letta_code.default_histories import DEFAULT
from adapters.letta_code.failures import gone, unavailable
from adapters.letta_code.frames import Entity, Frame, StoredMessage
from adapters.letta_code.history import entries_of, stored
from domain.model.agent import Agent
from domain.model.failures import FailureError
from domain.model.history import ConversationSummary, HistoryEntry, seconds_at

# One request for all of them: the server's order, by the last message, moves while pages are read (recorded).
_MOST_CONVERSATIONS = 10_000
# Messages that are asked for at once, and how often.
_PAGE = 1_000
_MOST_PAGES = 10

Ask = Callable[..., Awaitable[Frame]]
"""The answer to a question that delivers nothing, by its kind and its fields. Raises `FailureError`."""


class LettaCodeConversations:
    """All methods as in `ports.abilities`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def open(self, agent: Agent) -> str:
        return _named(await self._ask("conversation_create", body={"agent_id": agent.id})).id

    async def archive(self, conversation: str) -> None:
        """The protocol deletes none; people's own lists show archived ones apart."""
        await self._ask("conversation_update", conversation_id=conversation, body={"archived": True})

    async def fork(self, agent: Agent, conversation: str) -> str:
        await self._check(agent, conversation)
        body = {"agent_id": agent.id}
        return _named(await self._ask("conversation_fork", conversation_id=conversation, body=body)).id

    async def rename(self, agent: Agent, conversation: str, summary: str) -> None:
        await self._check(agent, conversation)
        await self._ask("conversation_update", conversation_id=conversation, body={"summary": summary})

    async def list(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        query = {"agent_id": agent.id, "limit": _MOST_CONVERSATIONS}
        answer = await self._ask("conversation_list", query=query)
        kept = [_summary(each) for each in answer.conversations if not each.archived and each.id != DEFAULT]
        newest_first = sorted(kept, key=lambda each: (each.created_at, len(each.id), each.id), reverse=True)
        if after is not None:
            ids = [each.id for each in newest_first]
            newest_first = newest_first[ids.index(after) + 1 :] if after in ids else []
        return newest_first[:most]

    async def read(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        if conversation is not None:
            await self._check(agent, conversation)
        messages: list[StoredMessage] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page, cursor = await self._page(agent, conversation or DEFAULT, cursor)
            messages += page
            wanted = _entries_before(entries_of(messages), before)
            if cursor is None or len(wanted) >= most:
                break
        return wanted[-most:]

    async def _page(
        self, agent: Agent, conversation: str, before: str | None
    ) -> tuple[Sequence[StoredMessage], str | None]:
        """Messages, the newest first, and before which one there are more, if there are."""
        query = {"agent_id": agent.id, "limit": _PAGE, **({"before": before} if before else {})}
        answer = await self._ask("conversation_messages_list", conversation_id=conversation, query=query)
        page = stored(answer.messages)
        if not answer.has_more or not page:
            return page, None
        # Several messages may have one id: they are not torn apart.
        last = page[-1].id
        whole = [message for message in page if message.id != last]
        return (whole, whole[-1].id) if whole and whole[-1].id else (page, last)

    async def _check(self, agent: Agent, conversation: str) -> None:
        """Raises `FailureError` (`conversation_gone`) unless this agent has it: the server asks for no agent."""
        found = _named(await self._ask("conversation_retrieve", conversation_id=conversation))
        if found.agent_id != agent.id or found.archived:
            raise FailureError(gone())


def _entries_before(entries: Sequence[HistoryEntry], before: str | None) -> Sequence[HistoryEntry]:
    """Those before that one; none while it is not among them."""
    if before is None:
        return entries
    ids = [entry.id for entry in entries]
    return entries[: ids.index(before)] if before in ids else []


def _named(answer: Frame) -> Entity:
    if answer.conversation is None:
        raise unavailable("Letta Code did not name the conversation")
    return answer.conversation


def _summary(conversation: Entity) -> ConversationSummary:
    return ConversationSummary(
        conversation.id,
        seconds_at(conversation.created_at or ""),
        seconds_at(conversation.updated_at or ""),
        conversation.summary or "",
    )
