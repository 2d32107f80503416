"""What is said to the agent where a stateless model would simply be asked again."""

import pytest

from domain.model.turn import Continues, Image, TurnRequest, UserMessage
from domain.services.message_composer import MessageComposer
from tests.fakes.gateway import ANNA, BERT


def asked(text: str = "hello", chat: str | None = "chat", **more: object) -> TurnRequest:
    return TurnRequest(ANNA, UserMessage(text), chat, **more)  # type: ignore[arg-type]


def test_a_message_is_delivered_as_it_is() -> None:
    assert MessageComposer().compose(asked()) == UserMessage("hello")


def test_a_regenerated_one_is_delivered_with_a_line_that_says_so() -> None:
    wording = MessageComposer()
    wording.delivered(asked(user_message_id="u1"))
    text = wording.compose(asked(user_message_id="u1")).text
    line, _, rest = text.partition("\n")
    assert rest == "hello"
    assert "another answer" in line
    assert wording.compose(asked(user_message_id="u2")) == UserMessage("hello")


def test_another_chat_or_agent_knows_nothing_of_it() -> None:
    wording = MessageComposer()
    wording.delivered(asked(user_message_id="u1"))
    assert wording.compose(asked(chat="other", user_message_id="u1")) == UserMessage("hello")
    other = TurnRequest(BERT, UserMessage("hello"), "chat", "u1")
    assert wording.compose(other) == UserMessage("hello")


def test_images_stay_with_a_regenerated_message() -> None:
    wording = MessageComposer()
    image = Image("image/png", "AAAA")
    request = TurnRequest(ANNA, UserMessage("look", (image,)), "chat", "u1")
    wording.delivered(request)
    assert wording.compose(request).images == (image,)


@pytest.mark.parametrize(
    ("continues", "last", "goes_on"),
    [
        (Continues.YES, "something else", True),
        (Continues.PERHAPS, "hello", True),
        (Continues.PERHAPS, "something else", False),
        (Continues.NO, "hello", False),
    ],
)
def test_continue_is_a_line_of_its_own(continues: Continues, last: str, goes_on: bool) -> None:
    wording = MessageComposer()
    wording.delivered(asked(last))
    text = wording.compose(asked(continues=continues)).text
    assert ("continue" in text) == goes_on
    assert (text == "hello") != goes_on


def test_without_any_memory_a_prefill_is_a_question() -> None:
    assert MessageComposer().compose(asked(continues=Continues.PERHAPS)) == UserMessage("hello")


def test_what_was_said_in_passing_is_not_remembered() -> None:
    wording = MessageComposer()
    wording.delivered(asked(chat=None, ephemeral=True))
    assert wording.compose(asked(chat=None, continues=Continues.PERHAPS)) == UserMessage("hello")


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.services.message_composer._CONVERSATIONS", 10)
    monkeypatch.setattr("domain.services.message_composer._MESSAGES", 10)
    wording = MessageComposer()
    for number in range(50):
        wording.delivered(asked(chat=f"chat {number}"))
        wording.delivered(asked(chat="the same", user_message_id=f"u{number}"))
    assert len(wording._said) == 10
    assert len(wording._said[ANNA.id, "the same"].user_message_ids) == 10
