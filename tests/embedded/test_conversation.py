"""Talking to the notebook agent: what it says, and what it has noted afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.embedded.gateway import EmbeddedGateway
from domain.model.events import Accepted, ToolCall, ToolResult
from domain.model.turn import Turn, UserMessage
from ports.contract.samples import events_of, text_of

pytestmark = pytest.mark.anyio


class Talk:
    """One user, and the first agent of a gateway."""

    def __init__(self, gateway: EmbeddedGateway) -> None:
        self.gateway = gateway

    async def say(self, text: str, agent: int = 0) -> str:
        return text_of(await events_of(self.gateway, (await self.gateway.agents())[agent], text))


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    gateway = EmbeddedGateway(tmp_path / "notebook.sqlite", ("anna", "bert"))
    yield Talk(gateway)
    await gateway.close()


async def test_todos_are_added_listed_and_done(talk: Talk) -> None:
    assert await talk.say("what's on my todo list?") == "Your todo list is empty."
    assert await talk.say("add buy milk to my todo list") == "Added to your todo list: “buy milk”."
    await talk.say("remind me to call Ann")
    assert await talk.say("what's on my todo list?") == "Your todo list:\n1. buy milk\n2. call Ann"
    assert await talk.say("done with the milk") == "Done with “buy milk”."
    assert await talk.say("what's on my todo list?") == "Your todo list:\n1. call Ann"


async def test_a_todo_that_is_on_the_list_is_not_added_again(talk: Talk) -> None:
    await talk.say("add milk to my list")
    said = await talk.say("add Milk, eggs and bread to my list")
    assert said == "Added to your todo list: “eggs”, “bread”. Already on your todo list: “Milk”."
    assert await talk.say("todos") == "Your todo list:\n1. milk\n2. eggs\n3. bread"


async def test_a_todo_is_meant_by_its_number(talk: Talk) -> None:
    await talk.say("add milk, eggs and bread to my list")
    assert await talk.say("done with 2") == "Done with “eggs”."
    assert await talk.say("remove number 2") == "Removed “bread”."
    for no_such_number in ("0", "2", "999999999"):
        assert "no such todo" in await talk.say(f"done with {no_such_number}")


async def test_words_that_fit_two_todos_change_nothing(talk: Talk) -> None:
    await talk.say("add buy milk; buy bread; bread to my list")
    said = await talk.say("done with buying")
    assert "no such todo" in said
    said = await talk.say("done with buy")
    assert said == "More than one todo fits. Which one do you mean?\n- buy milk\n- buy bread"
    assert await talk.say("done with bread") == "Done with “bread”.", "its whole text means that one"
    assert await talk.say("todos") == "Your todo list:\n1. buy milk\n2. buy bread"


async def test_a_tool_that_finds_nothing_gives_a_result_that_is_not_ok(talk: Talk) -> None:
    agent = (await talk.gateway.agents())[0]
    [result] = [e for e in await events_of(talk.gateway, agent, "done with x") if isinstance(e, ToolResult)]
    assert not result.ok


async def test_the_list_can_be_cleared(talk: Talk) -> None:
    await talk.say("add milk; eggs to my list")
    assert "2 todos removed" in await talk.say("clear my todo list")
    assert await talk.say("todos") == "Your todo list is empty."


async def test_facts_are_remembered_recalled_and_forgotten(talk: Talk) -> None:
    assert await talk.say("what do you know?") == "I know nothing yet."
    await talk.say("remember that my dog is called Rex")
    await talk.say("remember that my cat's birthday is in May")
    assert await talk.say("what do you know about my dog?") == "You told me:\n- my dog is called Rex"
    assert await talk.say("what do you know about birthdays?") == "You told me:\n- my cat's birthday is in May"
    assert await talk.say("what do you know about tea?") == "I know nothing about that."
    assert (await talk.say("what do you know about me?")).count("\n- ") == 2
    assert await talk.say("forget about my dog") == "Forgotten: “my dog is called Rex”."
    assert await talk.say("what do you know about my dog?") == "I know nothing about that."
    assert "1 fact removed" in await talk.say("forget everything")


async def test_forgetting_asks_back_when_two_facts_fit(talk: Talk) -> None:
    await talk.say("remember that my dog is called Rex")
    await talk.say("remember that my dog likes tea")
    assert "Which one do you mean?" in await talk.say("forget my dog")
    assert await talk.say("forget that my dog likes tea") == "Forgotten: “my dog likes tea”."


async def test_agents_do_not_read_each_others_notes(talk: Talk) -> None:
    await talk.say("add milk to my list", agent=0)
    assert await talk.say("todos", agent=1) == "Your todo list is empty."


async def test_it_says_what_it_is_and_how_to_connect_letta(talk: Talk) -> None:
    said = await talk.say("Are you a language model?")
    for words in ("not a language model", "LETTA_BASE_URL", "LETTA_API_KEY"):
        assert words in said


async def test_anything_else_gets_one_line_on_what_it_can_do(talk: Talk) -> None:
    said = await talk.say("Write a poem about the sea.")
    assert "todo list" in said
    assert "\n" not in said
    assert "characters at most" in await talk.say("remember that " + "x" * 5000)


@pytest.mark.parametrize("events_read", range(1, 12))
async def test_a_hang_up_neither_loses_the_note_nor_makes_it_twice(talk: Talk, events_read: int) -> None:
    agent = (await talk.gateway.agents())[0]
    events = talk.gateway.run(Turn(agent, UserMessage("add milk to my list")))
    for _ in range(events_read):
        await anext(events)
    await events.aclose()
    assert await talk.say("todos") == "Your todo list:\n1. milk"


async def test_what_an_accepted_turn_asks_for_is_done_already(talk: Talk) -> None:
    agent = (await talk.gateway.agents())[0]
    events = talk.gateway.run(Turn(agent, UserMessage("add milk to my list")))
    assert isinstance(await anext(events), Accepted)
    assert await talk.say("todos") == "Your todo list:\n1. milk"
    assert any([isinstance(event, ToolCall) async for event in events])
    assert await talk.say("todos") == "Your todo list:\n1. milk"
