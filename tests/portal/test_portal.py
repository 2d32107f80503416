"""What a person does at the portal, in a real browser."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from domain.model.events import Accepted, ApprovalRequest, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from tests.fakes.gateway import FakeGateway, Step
from tests.http.conftest import KEY
from tests.portal.conftest import HOSTILE, Open, Portal, hostile_gateway, ring

pytestmark = [pytest.mark.anyio, pytest.mark.portal]

TOOLS: list[Step] = [
    Accepted("run"),
    ToolCall("c", "list_todos", '{"all": true}'),
    ToolResult("c", "milk"),
    Text("Milk."),
    Ended(),
]
SLOW: list[Step] = [Accepted("run"), Text("so far"), 60.0, Ended()]


def a_gateway() -> FakeGateway:
    return FakeGateway(
        answers={
            "slow": SLOW,
            "tools": TOOLS,
            "fails": [Accepted("run"), Failure(FailureCode.LLM_ERROR, Delivery.YES)],
            "danger": [Accepted("run"), ApprovalRequest("call-1", "delete_all", '{"sure": true}'), Ended()],
        }
    )


async def say(portal: Portal, text: str) -> None:
    await portal.page.fill("textarea", text)
    await portal.page.click("button:text-is('Send')")


async def test_the_key_is_asked_for_and_a_wrong_one_is_asked_for_again(open_portal: Open) -> None:
    portal = await open_portal(key=None)
    await portal.enter("wrong")
    await portal.sees("This key is wrong, or was revoked.")
    await portal.enter(KEY)
    await portal.sees("Nobody is asking anything at the moment.")
    kept = await portal.page.evaluate("[JSON.stringify(localStorage), document.cookie, sessionStorage.length]")
    assert kept == ["{}", "", 1]
    await portal.page.click("text=Forget key")
    await expect(portal.page.locator("#ask")).to_be_visible()
    assert await portal.page.evaluate("sessionStorage.length") == 0


async def test_turns_are_shown_live_with_who_waits_and_one_click_stops_them(open_portal: Open) -> None:
    portal = await open_portal(a_gateway())
    first = asyncio.create_task(portal.service.chat("slow"))
    await portal.sees("running")
    second = asyncio.create_task(portal.service.chat("tools"))
    await portal.sees("waits, 1 before it")
    turn = portal.page.locator("[data-turn]").first
    await turn.get_by_role("button").click()
    assert (await first).json()["error"]["code"] == "cancelled"
    assert (await second).status_code == 200
    await portal.sees("Nobody is asking anything at the moment.")


async def test_the_last_hour_shows_times_errors_and_prevented_deliveries(open_portal: Open) -> None:
    portal = await open_portal(a_gateway())
    for _ in range(2):
        await portal.service.client.post(
            "/v1/chat/completions",
            json={"model": "anna", "messages": [{"role": "user", "content": "tools"}]},
            headers={"Idempotency-Key": "once"},
        )
    await portal.service.chat("fails")
    await portal.show("lately")
    await expect(portal.page.locator("code", has_text="llm_error")).to_be_visible()
    await portal.sees("Second deliveries prevented: 1")
    await portal.sees("1 retry got this turn")
    await expect(portal.page.locator("svg rect.answered")).to_have_count(1)
    await expect(portal.page.locator("svg rect.failed")).to_have_count(1)
    await expect(portal.page.locator("svg circle.dot")).not_to_have_count(0)


async def test_texts_are_shown_only_where_the_operator_wants_it(open_portal: Open) -> None:
    for with_texts in (False, True):
        portal = await open_portal(a_gateway(), with_texts=with_texts)
        await portal.service.chat("tools")
        await portal.show("lately")
        await portal.sees("list_todos ×1")
        await expect(portal.page.get_by_text("What was said")).to_have_count(int(with_texts))


async def test_one_talks_to_an_agent_and_sees_its_tools(open_portal: Open) -> None:
    portal = await open_portal(a_gateway(), view="#try")
    await portal.page.get_by_label("Chat key").fill("kitchen 東京")
    await say(portal, "tools")
    await portal.sees("Milk.")
    await portal.sees("list_todos")
    await portal.page.click("summary")
    await portal.sees('"all": true')
    await portal.sees("milk")
    assert [turn.conversation is not None for turn in portal.service.gateway.delivered] == [True]


async def test_a_call_is_approved_or_denied_with_a_button_once(open_portal: Open) -> None:
    gateway = a_gateway()
    portal = await open_portal(gateway, view="#try")
    await say(portal, "danger")
    approve = portal.page.get_by_role("button", name="Approve")
    await expect(approve).to_be_enabled()
    await approve.dblclick()
    await portal.page.wait_for_function("document.querySelectorAll('.said.user').length === 2")
    await expect(portal.page.get_by_role("button", name="Deny")).to_be_disabled()
    await portal.sees("/approve")


async def test_a_broken_answer_is_asked_for_again_without_a_second_delivery(open_portal: Open) -> None:
    gateway = FakeGateway(answers={"slow": [Accepted("run"), Text("half"), 2.0, Text(" and half"), Ended()]})
    portal = await open_portal(gateway, view="#try")
    await say(portal, "slow")
    await portal.sees("half")
    for connection in list(portal.service.server.server_state.connections):
        connection.transport.abort()
    await portal.page.click("text=Ask again")
    await portal.sees("half and half")
    assert gateway.heard == ["slow"]


async def test_hostile_names_and_answers_stay_text(open_portal: Open) -> None:
    portal = await open_portal(hostile_gateway(HOSTILE + "x" * 1_000_000), view="#try", with_texts=True)
    await say(portal, "hi")
    await portal.page.get_by_role("button", name="Show all").first.wait_for(timeout=20_000)
    assert "<script>" in await portal.text()
    await portal.page.get_by_role("button", name="Show all").first.click()
    for view in ("now", "lately", "connect", "conversations", "try"):
        await portal.show(view)
        await asyncio.sleep(0.5)
        assert await portal.page.locator("main img, main script").count() == 0


async def test_a_key_that_is_no_admin_sees_its_own_and_no_keys(open_portal: Open) -> None:
    portal = await open_portal(a_gateway(), key="alices key", ring=ring())
    await portal.service.chat("tools")
    asked = {"message": "tools"}
    await portal.service.client.post("/api/v1/chat", json=asked, headers={"Authorization": "Bearer alices key"})
    await portal.show("lately")
    await portal.sees("list_todos ×1")
    await expect(portal.page.locator("main table").last.locator("tbody tr")).to_have_count(1)
    assert await portal.page.locator("#tab-keys").count() == 0
    await portal.page.goto(f"{portal.service.url}/portal#keys")
    await portal.sees("Turns running")


async def test_an_admin_makes_a_key_that_is_shown_once_and_revokes_it(open_portal: Open) -> None:
    named = ring()
    portal = await open_portal(view="#keys", ring=named)
    await portal.page.get_by_label("Name").fill("bob")
    await portal.page.click("text=Make a key")
    await portal.sees("It is shown this once:")
    secret = await portal.page.locator("pre").inner_text()
    answer = await portal.service.client.get("/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    await portal.show("now")
    await portal.show("keys")
    assert secret not in await portal.page.content()
    revoke = portal.page.get_by_role("row", name="bob").get_by_role("button")
    await revoke.click()
    await revoke.click()
    await expect(portal.page.get_by_role("row", name="bob")).to_have_count(0)
    assert [key.name for key in named.kept] == ["alice"]


async def test_conversations_are_read_named_copied_assigned_and_deleted(open_portal: Open) -> None:
    gateway = a_gateway()
    portal = await open_portal(gateway)
    asked = {"model": "anna", "messages": [{"role": "user", "content": "tools"}]}
    for chat in ("kitchen", "garden"):
        await portal.service.client.post("/v1/chat/completions", json=asked, headers={"X-Letta-Chat-Key": chat})
    page = portal.page
    await portal.show("conversations")
    await portal.sees("kitchen")
    kitchen = gateway.delivered[0].conversation
    await page.click(f'[data-conversation="{kitchen}"]')
    await portal.sees("Milk.")
    await page.get_by_label("Name").fill("All about <b>food</b>")
    await page.get_by_role("button", name="Rename").click()
    await portal.sees("All about <b>food</b>")
    await page.get_by_label("Chat key").fill("garden")
    await page.get_by_role("button", name="Send this chat here").click()
    await expect(page.locator(f'[data-conversation="{kitchen}"]')).to_contain_text("garden")
    await portal.service.client.post("/v1/chat/completions", json=asked, headers={"X-Letta-Chat-Key": "garden"})
    assert gateway.delivered[-1].conversation == kitchen
    before = await page.locator("[data-conversation]").count()
    await page.get_by_role("button", name="Fork").click()
    await expect(page.locator("[data-conversation]")).to_have_count(before + 1)
    await page.click(f'[data-conversation="{kitchen}"]')
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Really delete?").click()
    await portal.sees("Deleted.")
    await expect(page.locator(f'[data-conversation="{kitchen}"]')).to_have_count(0)


async def test_a_key_that_is_no_admin_names_the_chats_of_its_new_conversations(open_portal: Open) -> None:
    portal = await open_portal(a_gateway(), key="alices key", ring=ring(), view="#conversations")
    await portal.page.get_by_role("button", name="New conversation").click()
    await expect(portal.page.locator("main .error").first).not_to_be_empty()
    await portal.page.get_by_label("Chat key of new ones").fill("shed")
    await portal.page.get_by_role("button", name="New conversation").click()
    await portal.sees("shed")


async def test_a_service_that_is_away_is_said_and_found_again(open_portal: Open) -> None:
    portal = await open_portal(a_gateway())
    await portal.page.context.set_offline(True)
    await portal.sees("The service does not answer.")
    await portal.page.context.set_offline(False)
    await expect(portal.page.locator("#banner")).to_be_hidden(timeout=20_000)
    await portal.service.chat("tools")
    await portal.show("lately")
    await portal.sees("list_todos ×1")


async def test_jobs_are_listed_and_cancelled(open_portal: Open) -> None:
    portal = await open_portal(a_gateway())
    await portal.service.client.post("/api/v1/chat/async", json={"message": "slow", "agent": "anna"})
    await portal.sees("Cancel")
    cancel = portal.page.get_by_role("button", name="Cancel")
    await cancel.click()
    await portal.page.get_by_role("button", name="Really?").click()
    await portal.sees("cancelled")


async def test_the_portal_is_used_with_the_keyboard_alone(open_portal: Open) -> None:
    portal = await open_portal(a_gateway(), key=None)
    await portal.page.keyboard.type(KEY)
    await portal.page.keyboard.press("Enter")
    await portal.page.wait_for_selector("[role=tab]")
    await portal.page.focus("#tab-now")
    for _ in range(2):
        await portal.page.keyboard.press("ArrowRight")
    assert await portal.page.evaluate("document.activeElement.id") == "tab-try"
    await portal.page.focus("textarea")
    await portal.page.keyboard.type("tools")
    await portal.page.keyboard.press("Enter")
    await portal.sees("Milk.")


@pytest.mark.parametrize("view", ["now", "lately", "try", "conversations", "keys", "connect"])
async def test_every_view_fits_on_a_phone(open_portal: Open, view: str) -> None:
    portal = await open_portal(hostile_gateway("x" * 5000), view=f"#{view}", viewport={"width": 360, "height": 700})
    await portal.service.chat("hi", model=None)
    await asyncio.sleep(0.8)
    assert await portal.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_settings_for_this_very_address_are_there_to_paste(open_portal: Open) -> None:
    portal = await open_portal(view="#connect")
    await portal.sees(f"{portal.service.url}/v1")
    assert "X-Message-Id" in await portal.text()


FORBIDDEN = (
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"),
    *("http://", "https://"),
)
STATIC = Path(__file__).parents[2] / "entrypoints/http/portal/static"


def test_nothing_in_the_page_runs_what_comes_from_outside() -> None:
    for file in STATIC.glob("*.js"):
        text = file.read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "http://",
            "https://",
        ):
            assert word not in text.replace("http://www.w3.org/2000/svg", ""), f"{word} in {file.name}"
        assert len(text.splitlines()) < 300
