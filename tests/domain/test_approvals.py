"""How a user answers a tool call that waits for approval."""

import pytest

from domain.model.answer_text import whole_text
from domain.model.approvals import question, verdict_of
from domain.model.events import ApprovalRequest, Text
from domain.model.turn import Image, UserMessage

WAITING = [ApprovalRequest("call-1", "delete_todo", '{"number": 2}'), ApprovalRequest("call-2", "shout")]


def test_the_question_names_the_tool_and_its_arguments_and_says_how_to_go_on() -> None:
    said = question(WAITING[0])
    for part in ("delete_todo", '{"number": 2}', "/approve", "/deny"):
        assert part in said
    assert "with" not in question(WAITING[1])


def test_the_question_is_a_paragraph_of_its_own() -> None:
    assert whole_text([Text("Well."), WAITING[0]]) == f"Well.\n\n{question(WAITING[0])}"
    assert whole_text([WAITING[0]]) == question(WAITING[0])


@pytest.mark.parametrize(
    ("text", "approve", "reason"),
    [
        ("/approve", True, ""),
        (" /Approve \n", True, ""),
        ("/deny", False, "The user did not approve this."),
        ("/deny not today,\nplease", False, "not today,\nplease"),
        ("/disapprove why?", False, "why?"),
    ],
)
def test_a_command_answers_all_calls_and_delivers_nothing_else(text: str, approve: bool, reason: str) -> None:
    verdict, message = verdict_of(UserMessage(text), WAITING)
    assert message is None
    assert (verdict.call_ids, verdict.approve, verdict.reason) == (("call-1", "call-2"), approve, reason)


@pytest.mark.parametrize("text", ["never mind", "/approved", "please /approve", "/deny.", "approve"])
def test_every_other_message_denies_and_is_delivered(text: str) -> None:
    verdict, message = verdict_of(UserMessage(text), WAITING)
    assert not verdict.approve
    assert verdict.reason
    assert message == UserMessage(text)


def test_a_picture_is_no_command() -> None:
    shown = UserMessage("/approve", (Image("image/png", "AAAA"),))
    assert verdict_of(shown, WAITING)[1] == shown
