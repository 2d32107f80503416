"""A person at a real Open WebUI. What the agent received is asked of Letta itself: one delivery per user message."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ROOT
from tests.letta_server.admin import LettaAdmin
from tests.letta_server.conftest import eventually
from tests.letta_server.lab import LettaLab
from tests.openwebui.conftest import Browser
from tests.openwebui.lab import OpenWebUI

pytestmark = pytest.mark.openwebui

# A red square of 64 pixels: Open WebUI makes images smaller, but does not take every tiny one.
SQUARE = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAb0lEQVR4nO3PAQkAAAyEwO9feoshgnABdLep8QUNyPEFDcjxBQ3I8QUNyPEFDc"
    "jxBQ3I8QUNyPEFDcjxBQ3I8QUNyPEFDcjxBQ3I8QUNyPEFDcjxBQ3I8QUNyPEFDcjxBQ3I8QUNyPEFDcjxBQ3IPanc8OLDQitxAAAAAElFTkSu"
    "QmCC"
)
NAMES = ("talker", "worker", "again", "stopper", "first-of-two", "second-of-two", "seer", "plain", "responder")


def line_of_the_readme() -> dict[str, str]:
    found = re.search(r"```json\n(\{\"X-Chat-Id\".*?\})\n```", (ROOT / "docs" / "clients.md").read_text())
    assert found is not None
    headers: dict[str, str] = json.loads(found[1])
    return headers


@pytest.fixture(scope="module")
def agents(admin: LettaAdmin) -> dict[str, str]:
    """Made before anybody lists them."""
    return {name: admin.create_agent(name) for name in NAMES}


@pytest.fixture(scope="module")
def connected(web: OpenWebUI, agents: dict[str, str]) -> OpenWebUI:
    web.connect(line_of_the_readme())
    return web


@pytest.fixture(scope="module")
def browser(connected: OpenWebUI, shots: Path) -> Iterator[Browser]:
    browser = Browser(connected, shots)
    yield browser
    browser.close()


def title_and_tags(web: OpenWebUI, chat_number: int = 0) -> tuple[str, list[str]]:
    chat: dict[str, Any] = web.chats()[chat_number]
    return chat["title"], chat["tags"]


def assert_heard(admin: LettaAdmin, agent: str, messages: list[str]) -> None:
    """That, and nothing else: a title or a tag that an agent was asked for would have been a run of its own."""
    assert sorted(admin.user_messages(agent)) == sorted(messages)
    assert len(admin.runs(agent)) == len(messages)


def test_a_new_chat_and_a_follow_up(
    browser: Browser, connected: OpenWebUI, admin: LettaAdmin, agents: dict[str, str]
) -> None:
    browser.do("new_chat", model="talker")
    seen = browser.do("say", text="Where do tomatoes grow? [[say In the garden.]]")
    assert "In the garden." in seen["answers"][0]
    seen = browser.do("say", text="And penguins? [[say In the south.]]")
    assert "In the south." in seen["answers"][1]
    eventually(lambda: title_and_tags(connected)[1] != [])
    title, tags = title_and_tags(connected)
    browser.shot("new-chat")
    assert title == "Where do tomatoes grow? say In"
    assert "tomatoes" in tags
    assert_heard(
        admin,
        agents["talker"],
        ["Where do tomatoes grow? [[say In the garden.]]", "And penguins? [[say In the south.]]"],
    )
    assert len(admin.conversations(agents["talker"])) == 1


def test_a_tool_call_of_the_agent(browser: Browser, admin: LettaAdmin, agents: dict[str, str]) -> None:
    browser.do("new_chat", model="worker")
    seen = browser.do("say", text="[[tool]]")
    browser.shot("tool")
    assert "The tool answered 1 time(s)" in seen["answers"][0]
    assert "Used list_todos" in seen["page"]
    assert "Error" not in seen["answers"][0]
    assert_heard(admin, agents["worker"], ["[[tool]]"])


def test_regenerate_and_edit(browser: Browser, admin: LettaAdmin, agents: dict[str, str]) -> None:
    browser.do("new_chat", model="again")
    browser.do("say", text="[[say one]]")
    seen = browser.do("regenerate")
    assert "one" in seen["answers"][-1]
    browser.shot("regenerated")
    first, second = admin.user_messages(agents["again"])
    assert first == "[[say one]]"
    assert second.endswith("\n[[say one]]")
    assert "another answer" in second
    seen = browser.do("edit", text="[[say two]]")
    assert "two" in seen["answers"][-1]
    browser.shot("edited")
    assert_heard(admin, agents["again"], [first, second, "[[say two]]"])
    assert len(admin.conversations(agents["again"])) == 1


def test_stop(browser: Browser, admin: LettaAdmin, agents: dict[str, str]) -> None:
    browser.do("new_chat", model="stopper")
    browser.do("say", text="[[drip 40 0.5]]", wait=False)
    eventually(lambda: admin.runs(agents["stopper"]) == ["running"])
    eventually(lambda: "w3" in str(browser.do("look")["answers"]))
    browser.do("stop")
    browser.shot("stopped")
    eventually(lambda: admin.runs(agents["stopper"]) == ["cancelled"], 15)
    seen = browser.do("say", text="[[say next]]")
    assert "next" in seen["answers"][-1]
    assert admin.user_messages(agents["stopper"]) == ["[[say next]]"]
    assert sorted(admin.runs(agents["stopper"])) == ["cancelled", "completed"]


def test_two_chats_at_once(
    browser: Browser, connected: OpenWebUI, shots: Path, admin: LettaAdmin, agents: dict[str, str]
) -> None:
    other = Browser(connected, shots)
    try:
        browser.do("new_chat", model="first-of-two")
        other.do("new_chat", model="first-of-two")
        browser.do("say", text="[[drip 10 0.5]] here", wait=False)
        seen = other.do("say", text="[[say there]]")
        other.shot("two-chats")
        assert "there" in seen["answers"][0]
        assert "running" in admin.runs(agents["first-of-two"]), "one chat has waited for the other"
        assert "w10" in browser.do("wait")["answers"][0]
    finally:
        other.close()
    agent = agents["first-of-two"]
    assert_heard(admin, agent, ["[[drip 10 0.5]] here", "[[say there]]"])
    assert len(admin.conversations(agent)) == 2


def test_an_image(browser: Browser, admin: LettaAdmin, agents: dict[str, str], lab: LettaLab, tmp_path: Path) -> None:
    image = tmp_path / "square.png"
    image.write_bytes(base64.b64decode(SQUARE))
    browser.do("new_chat", model="seer")
    browser.do("say", text="What is this? [[say A square.]]", image=str(image))
    browser.shot("image")
    seen = browser.do("say", text="Sure? [[say Yes.]]")
    assert "Yes." in seen["answers"][-1]
    assert "data:image/" in lab.stub_log.read_text()
    first, second = admin.user_messages(agents["seer"])
    assert "What is this?" in first
    assert second == "Sure? [[say Yes.]]"
    assert_heard(admin, agents["seer"], [first, second])


def test_a_connection_of_the_type_responses(
    web: OpenWebUI, browser: Browser, admin: LettaAdmin, agents: dict[str, str]
) -> None:
    """The agent's tools are cards, and its titles and tags reach nobody."""
    web.connect(line_of_the_readme(), api_type="responses")
    browser.do("new_chat", model="responder")
    seen = browser.do("say", text="Which plants are thirsty? [[tool]]")
    browser.shot("responses-card")
    assert "The tool answered 1 time(s)" in seen["answers"][0]
    assert "list_todos" in seen["answers"][0]
    assert "Error" not in seen["answers"][0]
    seen = browser.do("say", text="And now? [[say None.]]")
    assert "None." in seen["answers"][-1]
    browser.shot("responses")
    seen = browser.do("regenerate")
    assert "None." in seen["answers"][-1]
    eventually(lambda: "plants" in title_and_tags(web)[1])
    *said, again = admin.user_messages(agents["responder"])
    assert said == ["Which plants are thirsty? [[tool]]", "And now? [[say None.]]"]
    assert again.endswith("And now? [[say None.]]")
    assert_heard(admin, agents["responder"], [*said, again])
    assert len(admin.conversations(agents["responder"])) == 1


def test_without_any_headers(web: OpenWebUI, browser: Browser, admin: LettaAdmin, agents: dict[str, str]) -> None:
    web.connect({})
    browser.do("new_chat", model="plain")
    browser.do("say", text="Which bread do bakers like? [[say Fresh bread.]]")
    seen = browser.do("say", text="[[tool]]")
    browser.shot("without-headers")
    assert "The tool answered 1 time(s)" in seen["answers"][-1]
    eventually(lambda: "bakers" in title_and_tags(web)[1])
    assert title_and_tags(web)[0] == "Which bread do bakers like? say"
    assert_heard(admin, agents["plain"], ["Which bread do bakers like? [[say Fresh bread.]]", "[[tool]]"])
    assert admin.conversations(agents["plain"]) == []
