"""The conversations of Letta's agents: opened, listed, named, forked, read and deleted. No message is sent here."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Literal

import msgspec
from letta_client import AsyncLetta, omit
from letta_client._response import AsyncAPIResponse

from adapters.letta import client
from adapters.letta.client import BRIEF, ask
from adapters.letta.failures import LETTA_ERRORS, failure_of_conversation, failure_of_opening
from adapters.letta.history import Step, step_of_entry, steps_of
from adapters.letta.lenient_json import UNREADABLE, decoded, elements
from adapters.letta.record import string
from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import ConversationSummary, HistoryEntry, seconds_at

DEFAULT = "default"
# Letta takes an agent's id for that of its default history: only what begins so is a conversation.
_BEGINS = "conv-"
# Steps of a history that are asked for at once, beside those that are wanted, because some lead to no entry; at most;
# and how often, until there are enough.
_MORE = 20
_MOST_LISTED = 1_000
_MOST_PAGES = 5


class _Opened(msgspec.Struct, frozen=True):
    id: str


class _Conversation(msgspec.Struct, frozen=True):
    id: str
    agent_id: Any = None
    created_at: Any = None
    updated_at: Any = None
    last_message_at: Any = None
    summary: Any = None


_opened_decoder = msgspec.json.Decoder(_Opened)
_conversation_decoder = msgspec.json.Decoder(_Conversation)


class LettaConversations:
    """All methods as in `ports.abilities`."""

    def __init__(self, letta: AsyncLetta) -> None:
        self._letta = letta

    async def open(self, agent: Agent) -> str:
        try:
            async with asyncio.timeout(client.ANSWER_WITHIN):
                answer = await self._letta.conversations.with_raw_response.create(agent_id=agent.id, **BRIEF)
                return _opened_decoder.decode(await answer.read()).id
        except (*LETTA_ERRORS, *UNREADABLE) as error:
            raise FailureError(failure_of_opening(error)) from error

    async def delete(self, conversation: str) -> None:
        await _ask(self._letta.conversations.with_raw_response.delete(_checked(conversation), **BRIEF))

    async def fork(self, agent: Agent, conversation: str) -> str:
        await self._check(agent, conversation)
        answer = await _ask(self._letta.conversations.with_raw_response.fork(conversation, **BRIEF))
        if (fork := decoded(_opened_decoder, answer)) is None:
            raise _unreadable()
        return fork.id

    async def rename(self, agent: Agent, conversation: str, summary: str) -> None:
        await self._check(agent, conversation)
        await _ask(self._letta.conversations.with_raw_response.update(conversation, summary=summary, **BRIEF))

    async def list(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        # By the time when they were made: that is the one order that stands still between two pages.
        answer = self._letta.conversations.with_raw_response.list(
            agent_id=agent.id,
            limit=min(most, _MOST_LISTED),
            after=after or omit,
            order="desc",
            order_by="created_at",
            **BRIEF,
        )
        try:
            found = [decoded(_conversation_decoder, each) for each in elements(await _ask(answer))]
        except FailureError as error:
            if error.failure.code is FailureCode.CONVERSATION_GONE:
                return []
            raise
        except msgspec.DecodeError:
            raise _unreadable() from None
        return [_summary(each) for each in found if each is not None]

    async def read(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        if conversation is not None:
            await self._check(agent, conversation)
        entries: list[HistoryEntry] = []
        cursor: str | None = None
        if before is not None:
            cursor = step_of_entry(before)
            step = await self._step(agent, conversation, cursor)
            ids = [entry.id for entry in step.entries] if step is not None else []
            if step is None or before not in ids:
                return []
            entries = list(step.entries[: ids.index(before)])
        seen = {cursor}
        for _ in range(_MOST_PAGES):
            if len(entries) >= most:
                break
            limit = min(most - len(entries) + _MORE, _MOST_LISTED)
            steps = await self._steps(agent, conversation, limit, before=cursor)
            # A server that does not page by these ids would begin anew.
            steps = [step for step in steps if step.id not in seen]
            if not steps:
                break
            entries = [entry for step in steps for entry in step.entries] + entries
            cursor = steps[0].id
            seen |= {step.id for step in steps}
            if not cursor:
                break
        return entries[-most:]

    async def _step(self, agent: Agent, conversation: str | None, step_id: str) -> Step | None:
        """The whole step, found as the one that follows the one before it: Letta takes an unknown id for none."""
        if not step_id:
            return None
        earlier = await self._steps(agent, conversation, 1, before=step_id)
        found = await self._steps(agent, conversation, 1, after=earlier[-1].id if earlier else None, order="asc")
        return found[0] if found and found[0].id == step_id else None

    async def _steps(
        self,
        agent: Agent,
        conversation: str | None,
        limit: int,
        *,
        before: str | None = None,
        after: str | None = None,
        order: Literal["asc", "desc"] = "desc",
    ) -> Sequence[Step]:
        """Of the default history, Letta lists the newest oldest first (recorded, 0.16.8)."""
        listing = self._letta.conversations.messages.with_raw_response.list(
            conversation or DEFAULT,
            agent_id=omit if conversation else agent.id,
            order=order,
            limit=limit,
            before=before or omit,
            after=after or omit,
            **BRIEF,
        )
        newest_first = False if order == "asc" else (True if conversation else None)
        try:
            return steps_of(await _ask(listing), newest_first)
        except FailureError as error:
            if error.failure.code is FailureCode.CONVERSATION_GONE and (before or after):
                return []
            raise
        except msgspec.DecodeError:
            raise _unreadable() from None

    async def _check(self, agent: Agent, conversation: str) -> None:
        """Raises `FailureError` (`conversation_gone`) unless this agent has it: Letta tells everything of anybody's."""
        answer = await _ask(self._letta.conversations.with_raw_response.retrieve(_checked(conversation), **BRIEF))
        if (found := decoded(_conversation_decoder, answer)) is None:
            raise _unreadable()
        if found.agent_id != agent.id:
            raise _gone()


def _summary(conversation: _Conversation) -> ConversationSummary:
    return ConversationSummary(
        conversation.id,
        seconds_at(string(conversation.created_at)),
        seconds_at(string(conversation.last_message_at) or string(conversation.updated_at)),
        string(conversation.summary),
    )


async def _ask(question: Awaitable[AsyncAPIResponse[Any]]) -> bytes:
    return await ask(question, failure_of_conversation)


def _checked(conversation: str) -> str:
    if not conversation.startswith(_BEGINS):
        raise _gone()
    return conversation


def _gone() -> FailureError:
    return FailureError(Failure(FailureCode.CONVERSATION_GONE, Delivery.NO, "the agent has no such conversation"))


def _unreadable() -> FailureError:
    return FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "Letta's answer cannot be read"))
