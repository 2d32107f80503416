"""What the abilities ask that are about conversations (ports/abilities.py). Fixtures as in gateway.py; `gateway` is of
a type that has the ability."""

from typing import Protocol

import pytest

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.turn import Turn, UserMessage
from ports.abilities import (
    ChatConversations,
    ConversationForks,
    ConversationHistory,
    ConversationList,
    ConversationNames,
)
from ports.agent_gateway import AgentGateway
from ports.contract.samples import NOBODY, Samples, assert_well_formed, events_of_turn, new_delivery_id, text_of

TURNS = 3
"""Of which the history is read in pages."""


class _WithConversations(AgentGateway, ChatConversations, Protocol): ...


class _WithForks(AgentGateway, ChatConversations, ConversationForks, Protocol): ...


class _WithList(AgentGateway, ChatConversations, ConversationList, Protocol): ...


class _WithNames(AgentGateway, ChatConversations, ConversationList, ConversationNames, Protocol): ...


class _WithHistory(AgentGateway, ConversationHistory, Protocol): ...


async def say(gateway: AgentGateway, agent: Agent, conversation: str | None, text: str) -> str:
    """The answer."""
    turn = Turn(agent, UserMessage(text), conversation, delivery_id=new_delivery_id())
    return text_of(await events_of_turn(gateway, turn))


@pytest.mark.anyio
class ChatConversationsContract:
    async def test_each_conversation_is_another_one_and_answers_as_usual(
        self, gateway: _WithConversations, samples: Samples
    ) -> None:
        agent = (await gateway.agents())[0]
        conversations = [await gateway.open_conversation(agent) for _ in range(2)]
        assert len(set(conversations)) == 2
        turn = Turn(agent, UserMessage(samples.plain), conversations[0], delivery_id=new_delivery_id())
        found = await events_of_turn(gateway, turn)
        assert_well_formed(found)
        assert samples.plain_says in text_of(found)
        for conversation in conversations:
            await gateway.close_conversation(conversation)

    async def test_a_conversation_with_nobody_is_a_failure(self, gateway: _WithConversations) -> None:
        with pytest.raises(FailureError) as raised:
            await gateway.open_conversation(NOBODY)
        assert raised.value.failure.code is FailureCode.MODEL_NOT_FOUND


@pytest.mark.anyio
class ConversationForksContract:
    async def test_a_fork_is_another_conversation_and_answers_as_usual(
        self, gateway: _WithForks, samples: Samples
    ) -> None:
        agent = (await gateway.agents())[0]
        conversation = await gateway.open_conversation(agent)
        await events_of_turn(
            gateway, Turn(agent, UserMessage(samples.plain), conversation, delivery_id=new_delivery_id())
        )
        fork = await gateway.fork_conversation(agent, conversation)
        assert fork != conversation
        turn = Turn(agent, UserMessage(samples.plain), fork, delivery_id=new_delivery_id())
        assert samples.plain_says in text_of(await events_of_turn(gateway, turn))

    async def test_a_fork_has_the_history_and_goes_its_own_way(self, gateway: _WithForks, samples: Samples) -> None:
        if not isinstance(gateway, ConversationHistory):
            pytest.skip("its histories cannot be read")
        agent = (await gateway.agents())[0]
        conversation = await gateway.open_conversation(agent)
        await say(gateway, agent, conversation, samples.plain)
        before = await gateway.read_history(agent, conversation, 100)
        fork = await gateway.fork_conversation(agent, conversation)
        forked = await gateway.read_history(agent, fork, 100)
        assert [(each.user, each.events) for each in forked] == [(each.user, each.events) for each in before]
        await say(gateway, agent, fork, samples.plain)
        assert await gateway.read_history(agent, conversation, 100) == before

    async def test_only_what_the_agent_has_can_be_forked(self, gateway: _WithForks) -> None:
        agent, other = (await gateway.agents())[:2]
        conversation = await gateway.open_conversation(agent)
        for whose, which in ((agent, "no such conversation"), (other, conversation)):
            with pytest.raises(FailureError) as raised:
                await gateway.fork_conversation(whose, which)
            assert raised.value.failure.code is FailureCode.CONVERSATION_GONE


@pytest.mark.anyio
class ConversationListContract:
    async def _opened(self, gateway: _WithList, agent: Agent, samples: Samples, count: int) -> list[str]:
        """So many new conversations of this agent, in the order of the list."""
        opened = {await gateway.open_conversation(agent) for _ in range(count)}
        for conversation in opened:
            await say(gateway, agent, conversation, samples.plain)
        listed = [each.id for each in await gateway.conversations(agent, 500)]
        assert set(listed[:count]) == opened, "the newest come first"
        return listed[:count]

    async def test_the_conversations_of_an_agent_are_listed_and_nobody_else_s(
        self, gateway: _WithList, samples: Samples
    ) -> None:
        agent, other = (await gateway.agents())[:2]
        opened = await self._opened(gateway, agent, samples, 2)
        assert not set(opened) & {each.id for each in await gateway.conversations(other, 500)}
        await say(gateway, agent, None, samples.plain)
        listed = [each.id for each in await gateway.conversations(agent, 500)]
        assert len(set(listed)) == len(listed)
        assert listed[:2] == opened, "the default history is not in the list"

    async def test_the_list_comes_in_pages(self, gateway: _WithList, samples: Samples) -> None:
        agent = (await gateway.agents())[0]
        await self._opened(gateway, agent, samples, 3)
        whole = [each.id for each in await gateway.conversations(agent, 500)]
        paged: list[str] = []
        while page := await gateway.conversations(agent, 2, paged[-1] if paged else None):
            assert len(page) <= 2
            paged += [each.id for each in page]
            assert len(paged) <= len(whole)
        assert paged == whole
        assert list(await gateway.conversations(agent, 2, "no such conversation")) == []

    async def test_what_is_closed_is_listed_no_more(self, gateway: _WithList, samples: Samples) -> None:
        agent = (await gateway.agents())[0]
        [kept, closed] = await self._opened(gateway, agent, samples, 2)
        await gateway.close_conversation(closed)
        listed = {each.id for each in await gateway.conversations(agent, 500)}
        assert kept in listed
        assert closed not in listed


@pytest.mark.anyio
class ConversationNamesContract:
    async def _described(self, gateway: _WithNames, agent: Agent, conversation: str) -> ConversationSummary:
        [found] = [each for each in await gateway.conversations(agent, 500) if each.id == conversation]
        return found

    async def test_a_name_is_in_the_list_until_there_is_another_one(self, gateway: _WithNames) -> None:
        agent = (await gateway.agents())[0]
        conversation, other = [await gateway.open_conversation(agent) for _ in range(2)]
        for name in ("Plants", "Trees, \u6771\u4eac \U0001f333"):
            await gateway.rename_conversation(agent, conversation, name)
            assert (await self._described(gateway, agent, conversation)).summary == name
        assert (await self._described(gateway, agent, other)).summary != name

    async def test_only_what_the_agent_has_can_be_named(self, gateway: _WithNames) -> None:
        agent, other = (await gateway.agents())[:2]
        conversation = await gateway.open_conversation(agent)
        for whose, which in ((agent, "no such conversation"), (other, conversation)):
            with pytest.raises(FailureError) as raised:
                await gateway.rename_conversation(whose, which, "x")
            assert raised.value.failure.code is FailureCode.CONVERSATION_GONE


@pytest.mark.anyio
class ConversationHistoryContract:
    async def test_the_history_of_a_conversation_tells_what_was_said_in_it_oldest_first(
        self, gateway: _WithHistory, samples: Samples
    ) -> None:
        agent = (await gateway.agents())[0]
        conversation = None
        if isinstance(gateway, ChatConversations):
            conversation = await gateway.open_conversation(agent)
        turn = Turn(agent, UserMessage(samples.plain), conversation, delivery_id=new_delivery_id())
        said = text_of(await events_of_turn(gateway, turn))
        history = await gateway.read_history(agent, conversation, 20)
        *_, asked = [index for index, entry in enumerate(history) if entry.user is not None]
        assert history[asked].user == samples.plain
        assert text_of([event for entry in history[asked:] for event in entry.events]) == said
        assert len({entry.id for entry in history}) == len(history)
        assert list(await gateway.read_history(agent, conversation, 1)) == list(history[-1:])

    async def test_pages_of_a_history_are_the_whole_of_it(self, gateway: _WithHistory, samples: Samples) -> None:
        agent = (await gateway.agents())[0]
        conversation = None
        if isinstance(gateway, ChatConversations):
            conversation = await gateway.open_conversation(agent)
        for _ in range(TURNS):
            await say(gateway, agent, conversation, samples.tool or samples.plain)
        whole = list(await gateway.read_history(agent, conversation, 500))
        assert len([entry for entry in whole if entry.user is not None]) >= TURNS
        for most in (1, 2, 5):
            paged: list[HistoryEntry] = []
            while page := list(await gateway.read_history(agent, conversation, most, paged[0].id if paged else None)):
                assert len(page) <= most
                paged = page + paged
                assert len(paged) <= len(whole)
            assert paged == whole
        assert list(await gateway.read_history(agent, conversation, 5, "no such entry")) == []
