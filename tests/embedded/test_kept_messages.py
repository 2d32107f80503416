"""What was said to the notebook's agents is kept, bounded, and read again; also in notebooks of earlier versions."""

import sqlite3
from pathlib import Path

import pytest

from adapters.embedded import conversations
from adapters.embedded.conversations import Conversations
from adapters.embedded.gateway import EmbeddedGateway
from adapters.embedded.notebook import VERSION, Notebook
from adapters.embedded.replies import Reply
from domain.model.events import Reasoning, Text, ToolCall, ToolResult
from ports.contract.conversations import say
from ports.contract.samples import events_of, text_of

pytestmark = pytest.mark.anyio

REPLY = Reply("I think.", "I say.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notebook.sqlite"


async def test_a_notebook_of_the_first_version_keeps_its_notes_and_gets_conversations(path: Path) -> None:
    first = EmbeddedGateway(path)
    [agent] = await first.agents()
    await events_of(first, agent, "add milk to my list")
    await first.close()
    with sqlite3.connect(path) as db:
        # As the first version has left it.
        for table in ("messages", "conversations"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    second = EmbeddedGateway(path)
    assert list(await second.agents()) == [agent]
    assert "milk" in text_of(await events_of(second, agent, "todos"))
    # A chat of that time goes on in its conversation, which nobody had written down.
    await say(second, agent, "conversation-of-old", "todos")
    assert [each.id for each in await second.conversations(agent, 10)] == ["conversation-of-old"]
    await second.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_tools_are_told_with_what_they_gave_back_after_a_restart_too(path: Path) -> None:
    first = EmbeddedGateway(path)
    [agent] = await first.agents()
    conversation = await first.open_conversation(agent)
    await say(first, agent, conversation, "add milk to my list")
    await first.close()
    second = EmbeddedGateway(path)
    [asked, answered] = await second.read_history(agent, conversation, 10)
    assert asked.user == "add milk to my list"
    assert [type(event) for event in answered.events] == [Reasoning, ToolCall, ToolCall, ToolResult, Text]
    [listed] = await second.conversations(agent, 10)
    assert listed.messages == 2
    assert listed.updated_at >= asked.at >= listed.created_at > 0
    await second.close()


def test_the_oldest_go_when_there_are_too_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MOST_TURNS", 3)
    monkeypatch.setattr(conversations, "MOST_CONVERSATIONS", 2)
    notebook = Notebook(path)
    anna, bert = (agent.id for agent in notebook.enrol(["anna", "bert"]))
    kept = Conversations(notebook)
    kept.keep(bert, None, "of another agent", REPLY)
    for number in range(5):
        kept.keep(anna, None, str(number), REPLY)
    assert [entry.user for entry in kept.read(anna, None, 100, None) if entry.user] == ["2", "3", "4"]
    assert [entry.user for entry in kept.read(bert, None, 100, None) if entry.user] == ["of another agent"]
    opened = [kept.open(anna) for _ in range(3)]
    assert [each.id for each in kept.listed(anna, 10, None)] == opened[:0:-1]
    notebook.close()


def test_of_a_long_text_the_beginning_is_kept(path: Path) -> None:
    notebook = Notebook(path)
    [agent] = notebook.enrol(["anna"])
    kept = Conversations(notebook)
    kept.keep(agent.id, None, "x" * 1_000_000 + "\ud800", Reply("I think.", "y" * 1_000_000))
    [asked, answered] = kept.read(agent.id, None, 10, None)
    assert asked.user == "x" * conversations.LONGEST_TEXT + "…"
    assert text_of(answered.events) == "y" * conversations.LONGEST_TEXT + "…"
    for odd in ("1-", "-user", "x-user", "9" * 30 + "-user", "٣-user", "1-agent-user"):
        assert list(kept.read(agent.id, None, 10, odd)) == []
    notebook.close()
