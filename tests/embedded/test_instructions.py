"""The notebook agent understands what this service itself says to agents, as the service says it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.embedded.gateway import EmbeddedGateway
from adapters.embedded.tools import ABILITIES
from domain.model.instructions import Instruction, read_instructions, with_instruction
from domain.model.turn import Continues, Image, Turn, TurnRequest, UserMessage, Verdict
from domain.services.message_composer import MessageComposer
from ports.contract.samples import text_of
from tests.fakes.gateway import ANNA
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio


class Chat:
    """One user in one chat, whose client names messages as Open WebUI does, or not."""

    def __init__(self, gateway: EmbeddedGateway, chat: str | None, names_messages: bool) -> None:
        self.gateway = gateway
        self.chat = chat
        self.client = Client(turns_of(gateway))
        self.names_messages = names_messages

    async def say(self, text: str, continues: Continues = Continues.NO, images: tuple[Image, ...] = ()) -> str:
        agent = (await self.gateway.agents())[0]
        name = text if self.names_messages else None
        return await self.client.ask(TurnRequest(agent, UserMessage(text, images), self.chat, name, continues)).text()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[EmbeddedGateway]:
    gateway = EmbeddedGateway(tmp_path / "notebook.sqlite", ("anna",))
    yield gateway
    await gateway.close()


@pytest.fixture(params=[None, "a chat"], ids=["default history", "chat key"])
def chat(request: pytest.FixtureRequest, gateway: EmbeddedGateway) -> Chat:
    return Chat(gateway, request.param, names_messages=True)


@pytest.mark.parametrize(
    ("text", "first", "again"),
    [
        ("What's on my todo list?", "Your todo list:\n1. milk\n2. buy bread", "Your todo list:\n1. milk\n2. buy bread"),
        ("Add eggs to my todo list", "Added to your todo list: “eggs”.", "Already on your todo list: “eggs”."),
        ("Remember that tea is green", "I will remember: tea is green", "I know that already: tea is green"),
        ("What do you know about cats?", "You told me:\n- cats purr", "You told me:\n- cats purr"),
        ("add\neggs\nto my list", "Added to your todo list: “eggs”.", "Already on your todo list: “eggs”."),
    ],
)
async def test_regenerate_answers_the_message_again(chat: Chat, text: str, first: str, again: str) -> None:
    await chat.say("Add milk; buy bread to my list")
    await chat.say("Remember that cats purr")
    assert await chat.say(text) == first
    assert await chat.say(text) == again
    assert await chat.say(text) == again


@pytest.mark.parametrize(
    "text", ["done with 1", "remove number 1 from my list", "Done with bread.", "cross off buy bread"]
)
async def test_regenerate_takes_nothing_off_the_list_twice(chat: Chat, text: str) -> None:
    await chat.say("add buy bread; bread crumbs; slice bread to my list")
    await chat.say("done with bread crumbs")
    first = await chat.say(text)
    after_that = await chat.say("todos")
    assert after_that in (again := await chat.say(text))
    assert again != first
    assert ABILITIES not in again
    assert await chat.say("my list") == after_that


async def test_regenerate_forgets_nothing_twice(chat: Chat) -> None:
    for fact in ("Ann likes tea", "Ann likes cats"):
        await chat.say(f"remember that {fact}")
    assert await chat.say("forget 1") == "Forgotten: “Ann likes tea”."
    assert "- Ann likes cats" in await chat.say("forget 1")
    await chat.say("forget everything")
    await chat.say("remember that it rains")
    assert "- it rains" in await chat.say("forget everything")


@pytest.mark.parametrize("names_messages", [True, False])
@pytest.mark.parametrize("key", [None, "a chat"])
async def test_continue_says_that_the_answer_was_whole(
    gateway: EmbeddedGateway, names_messages: bool, key: str | None
) -> None:
    chat = Chat(gateway, key, names_messages)
    await chat.say("add milk to my list")
    said = await chat.say("add milk to my list", Continues.YES if names_messages else Continues.PERHAPS)
    assert "my last answer was whole" in said
    assert await chat.say("todos") == "Your todo list:\n1. milk"


async def test_a_picture_stays_a_picture(chat: Chat) -> None:
    picture = (Image("image/png", "AAAA"),)
    first = await chat.say("", images=picture)
    assert "pictures" in first
    assert await chat.say("", images=picture) == first


@pytest.mark.parametrize("text", ["/approve", "/deny not today", "/disapprove", " /Approve \n"])
async def test_there_is_nothing_to_approve(chat: Chat, text: str) -> None:
    for _ in range(2):
        assert "nothing to approve" in await chat.say(text)


async def test_a_verdict_alone_is_answered_too(gateway: EmbeddedGateway) -> None:
    turn = Turn((await gateway.agents())[0], None, verdict=Verdict(("1",), approve=True))
    assert "nothing to approve" in text_of([event async for event in gateway.run(turn)])


@pytest.mark.parametrize("aside", Instruction)
async def test_every_line_is_understood_with_and_without_words_behind_it(
    gateway: EmbeddedGateway, aside: Instruction
) -> None:
    chat = Chat(gateway, None, names_messages=False)
    for text in (
        with_instruction(aside, "add milk to my list"),
        with_instruction(aside, with_instruction(aside, "todos")),
    ):
        assert "milk" in await chat.say(text)
    assert ABILITIES not in await chat.say(with_instruction(Instruction.GO_ON, ""))


def test_what_is_said_is_what_is_read() -> None:
    wording = MessageComposer()
    request = TurnRequest(ANNA, UserMessage("hello\nyou"), None, "u1")
    wording.delivered(request)
    assert read_instructions(wording.compose(request).text) == (frozenset({Instruction.ANOTHER_ANSWER}), "hello\nyou")
    going_on = TurnRequest(ANNA, UserMessage("hello"), continues=Continues.YES)
    assert read_instructions(wording.compose(going_on).text) == (frozenset({Instruction.GO_ON}), "")


def test_many_lines_take_no_long_time() -> None:
    assert read_instructions(f"{Instruction.GO_ON}\n" * 200_000 + "todos") == (frozenset({Instruction.GO_ON}), "todos")


@pytest.mark.parametrize(
    "text", ["", "hello", f"hello\n{Instruction.GO_ON}", f"{Instruction.GO_ON} And then?", Instruction.GO_ON[:-1]]
)
def test_words_of_the_user_are_no_aside(text: str) -> None:
    assert read_instructions(text) == (frozenset(), text)
