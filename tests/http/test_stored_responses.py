"""Responses that were made before: asked for again, read on, gone on from, stopped, forgotten; and retries."""

import asyncio
from typing import Any

import httpx
import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_rules import OnDisconnect, TurnRules
from entrypoints.settings.chat_options import ChatOptions
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start
from tests.http.responses_client import (
    assert_in_order,
    create,
    created,
    events_in,
    resumed,
    streamed,
    text_of,
)

pytestmark = pytest.mark.anyio

SLOW: list[Step] = [Accepted("run-1"), Text("one "), 0.2, Text("two "), 0.2, Text("three"), Ended()]
LONG: list[Step] = [Accepted("run-4"), Text("one "), 5.0, Text("two"), Ended()]
FAILS: list[Step] = [Accepted("run-2"), Text("half"), Failure(FailureCode.LLM_ERROR, Delivery.YES)]
TOOLS: list[Step] = [
    Accepted("run-3"),
    Text("a"),
    ToolCall("1", "look"),
    ToolCall("1", arguments="{}"),
    ToolResult("1", "seen"),
    Text("b"),
    Text("c"),
    Ended(),
]
CHAT = {"X-Letta-Chat-Key": "mine"}


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(FakeGateway(answers={"slow": SLOW, "long": LONG, "fails": FAILS, "tools": TOOLS}))


def delivered(service: Service) -> list[str]:
    return [turn.message.text for turn in service.gateway.delivered if turn.message is not None]


async def delivery(service: Service) -> None:
    while not service.gateway.delivered:  # noqa: ASYNC110 - a fake tells nobody
        await asyncio.sleep(0.01)


async def get(service: Service, response_id: str, **headers: str) -> httpx.Response:
    return await service.client.get(f"/v1/responses/{response_id}", headers=headers)


async def ended(service: Service, response_id: str) -> dict[str, Any]:
    """As SDKs' users poll."""
    while True:
        body: dict[str, Any] = (await get(service, response_id)).json()
        if body["status"] not in ("queued", "in_progress"):
            return body
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("message", ["hello", "tools", "fails"])
async def test_a_response_that_is_asked_for_is_the_one_that_was_given(service: Service, message: str) -> None:
    given = await created(service, message, metadata={"a": "b"})
    assert (await get(service, given["id"])).json() == given


async def test_a_stream_can_be_read_on_from_any_number(service: Service) -> None:
    events = await streamed(service, "tools")
    response_id = events[-1]["response"]["id"]
    assert await resumed(service, response_id) == events
    for after in range(len(events)):
        assert await resumed(service, response_id, after) == events[after + 1 :]
    assert await resumed(service, response_id, len(events) + 5) == []


@pytest.mark.parametrize("background", [True, False])
async def test_a_stream_that_goes_on_is_read_live(service: Service, background: bool) -> None:
    asking = asyncio.create_task(create(service, "slow", stream=True, background=background))
    await delivery(service)
    await asyncio.sleep(0.15)
    if background:
        response_id = (await created(service, "another", background=True))["id"]
        assert (await ended(service, response_id))["status"] == "completed"
    events = events_in((await asking).text)
    assert_in_order(events)
    assert await resumed(service, events[0]["response"]["id"], 3) == events[4:]


async def test_what_runs_is_in_progress_with_what_was_said_so_far(service: Service) -> None:
    async with service.client.stream("POST", "/v1/responses", json={"input": "slow", "stream": True}) as answer:
        async for line in answer.aiter_lines():
            if "two" in line:
                break
        response_id = next(iter(service.gateway.runs)) and line.split('"item_id":"msg_')[1].split('"')[0][:-4]
        now = (await get(service, f"resp_{response_id}")).json()
        assert now["status"] == "in_progress"
        assert text_of(now) == "one two "
        live = await resumed(service, f"resp_{response_id}", 1)
    assert live[-1]["response"]["status"] == "completed"
    assert text_of(live[-1]["response"]) == "one two three"


@pytest.mark.parametrize("after", ["x", "-1", "1.5", " 1", ""])
async def test_a_number_that_is_none_is_refused(service: Service, after: str) -> None:
    response = await created(service)
    answer = await service.client.get(
        f"/v1/responses/{response['id']}", params={"stream": "true", "starting_after": after}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "starting_after")


@pytest.mark.parametrize("id_", ["resp_1", "nothing", "resp_" + "0" * 39, "resp_%00"])
async def test_what_is_not_there_is_404(service: Service, id_: str) -> None:
    assert (await get(service, id_)).status_code == 404
    assert (await service.client.delete(f"/v1/responses/{id_}")).status_code == 404


async def test_a_deleted_response_is_gone_and_nothing_goes_on_from_it(service: Service) -> None:
    response = await created(service)
    answer = await service.client.delete(f"/v1/responses/{response['id']}")
    assert answer.json() == {"id": response["id"], "object": "response", "deleted": True}
    assert (await get(service, response["id"])).status_code == 404
    again = await create(service, "more", previous_response_id=response["id"])
    assert again.status_code == 404
    assert again.json()["error"]["code"] == "previous_response_not_found"
    assert again.json()["error"]["param"] == "previous_response_id"


@pytest.mark.parametrize("id_", ["resp_1", "x", "", "\0", "resp_" + "0" * 39, "東京"])
async def test_nothing_goes_on_from_what_is_no_response(service: Service, id_: str) -> None:
    answer = await create(service, "hello", previous_response_id=id_)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "previous_response_id")
    assert service.gateway.delivered == []


async def test_a_response_that_is_deleted_while_it_is_made_stays_deleted(service: Service) -> None:
    asking = asyncio.create_task(create(service, "long", stream=True))
    await delivery(service)
    await asyncio.sleep(0.7)
    [response_id] = service.keeper.live
    assert (await service.client.delete(f"/v1/responses/{response_id}")).status_code == 200
    assert (await get(service, response_id)).status_code == 404
    [(run_id, run)] = service.gateway.runs.items()
    await service.gateway.cancel(run.turn, run_id)
    assert "[DONE]" in (await asking).text
    await asyncio.sleep(0.3)
    assert (await get(service, response_id)).status_code == 404
    assert text_of(await created(service, "hello")) == "You said: hello"


async def test_an_unstored_response_is_not_there_but_its_retry_is_recognised(service: Service) -> None:
    first = await created(service, "hello", store=False, headers={"Idempotency-Key": "k1"})
    assert first["store"] is False
    assert (await get(service, first["id"])).status_code == 404
    again = await created(service, "hello", store=False, headers={"Idempotency-Key": "k1"})
    assert again["id"] == first["id"]
    assert len(delivered(service)) == 1


async def test_the_input_is_listed_in_pages(service: Service) -> None:
    items = [{"role": "user", "content": str(number)} for number in range(5)]
    response = await created(service, items)
    url = f"/v1/responses/{response['id']}/input_items"
    newest = (await service.client.get(url, params={"limit": "2"})).json()
    assert [item["content"][0]["text"] for item in newest["data"]] == ["4", "3"]
    assert (newest["has_more"], newest["last_id"]) == (True, newest["data"][-1]["id"])
    rest = (await service.client.get(url, params={"after": newest["last_id"]})).json()
    assert [item["content"][0]["text"] for item in rest["data"]] == ["2", "1", "0"]
    assert rest["has_more"] is False
    oldest = (await service.client.get(url, params={"order": "asc", "limit": "1"})).json()
    assert oldest["data"][0]["content"] == [{"type": "input_text", "text": "0"}]
    assert oldest["data"][0]["type"] == "message"
    for query in ({"limit": "0"}, {"limit": "x"}, {"order": "up"}, {"after": "nothing"}):
        assert (await service.client.get(url, params=query)).status_code == 400


async def test_a_text_is_one_user_message(service: Service) -> None:
    response = await created(service, "hello")
    [item] = (await service.client.get(f"/v1/responses/{response['id']}/input_items")).json()["data"]
    assert (item["role"], item["content"]) == ("user", [{"type": "input_text", "text": "hello"}])


async def test_a_chat_goes_on_from_its_last_response_only(service: Service) -> None:
    first = await created(service, "one", headers=CHAT)
    second = await created(service, "two", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert len({turn.conversation for turn in service.gateway.delivered}) == 1
    answer = await create(service, "three", previous_response_id=first["id"])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "previous_response_not_last"
    assert answer.json()["error"]["param"] == "previous_response_id"
    assert delivered(service) == ["one", "two"]


async def test_what_somebody_else_says_in_the_chat_counts(service: Service) -> None:
    first = await created(service, "one", headers=CHAT)
    await service.client.post(
        "/v1/chat/completions",
        json={"model": "anna", "messages": [{"role": "user", "content": "else"}]},
        headers=CHAT,
    )
    assert (await create(service, "two", previous_response_id=first["id"])).status_code == 400
    assert delivered(service) == ["one", "else"]


async def test_of_two_that_go_on_at_once_one_is_refused(service: Service) -> None:
    first = await created(service, "one", headers=CHAT)
    both = await asyncio.gather(
        create(service, "slow", previous_response_id=first["id"]),
        create(service, "other", previous_response_id=first["id"]),
    )
    assert sorted(answer.status_code for answer in both) == [200, 400]
    assert len(delivered(service)) == 2


async def test_a_retry_is_recognised_before_it_is_looked_where_it_goes_on(service: Service) -> None:
    first = await created(service, "one", headers=CHAT)
    more = {"previous_response_id": first["id"], "headers": {"Idempotency-Key": "k2"}}
    second = await created(service, "two", **more)
    assert (await created(service, "two", **more))["id"] == second["id"]
    assert delivered(service) == ["one", "two"]


async def test_the_default_history_goes_on_from_any_response(service: Service) -> None:
    first = await created(service, "one")
    await created(service, "two")
    assert (await create(service, "three", previous_response_id=first["id"])).status_code == 200


async def test_the_operator_can_have_it_go_on_at_the_end(start: Start) -> None:
    service = await start(options=ChatOptions(continue_at_last=True))
    first = await created(service, "one", headers=CHAT)
    await created(service, "two", previous_response_id=first["id"])
    assert (await create(service, "three", previous_response_id=first["id"])).status_code == 200


async def test_an_empty_response_can_be_gone_on_from(service: Service) -> None:
    first = await created(service, "tools", headers={**CHAT, "X-OpenWebUI-Chat-Id": "x"})
    call = first["output"][1]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "x"}
    empty = await created(service, [output], previous_response_id=first["id"])
    assert empty["output"] == []
    assert (await create(service, "two", previous_response_id=empty["id"])).status_code == 200
    assert delivered(service) == ["tools", "two"]


async def test_a_response_of_another_agent_is_refused_and_no_model_means_the_same(service: Service) -> None:
    first = await created(service, "one", model="bert")
    answer = await create(service, "two", previous_response_id=first["id"], model="anna")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "previous_response_id")
    assert (await created(service, "two", previous_response_id=first["id"], model=None))["model"] == "bert"


async def test_responses_belong_to_their_api_key(start: Start) -> None:
    ring = FakeNamedKeyStore(NamedKey("guest", digest_of(b"guest-key"), 0.0))
    service = await start(ring=ring)
    guest = {"Authorization": "Bearer guest-key"}
    mine = await created(service)
    theirs = await created(service, headers=guest)
    assert (await get(service, mine["id"], **guest)).status_code == 404
    assert (await get(service, theirs["id"])).status_code == 404
    assert (await get(service, theirs["id"], **guest)).status_code == 200
    assert (await create(service, previous_response_id=theirs["id"])).status_code == 404


async def test_a_retry_has_the_same_id_and_the_same_events(service: Service) -> None:
    key = {"Idempotency-Key": "k3"}
    first = await streamed(service, "tools", headers=key)
    assert await streamed(service, "tools", headers=key) == first
    whole = await created(service, "hello", headers={"Idempotency-Key": "k4"})
    assert await created(service, "hello", headers={"Idempotency-Key": "k4"}) == whole
    assert delivered(service) == ["tools", "hello"]


async def test_a_retry_joins_the_turn_that_goes_on_with_the_same_numbers(service: Service) -> None:
    key = {"Idempotency-Key": "k5"}
    first, second = await asyncio.gather(streamed(service, "slow", headers=key), streamed(service, "slow", headers=key))
    assert first == second
    assert delivered(service) == ["slow"]


async def test_the_same_words_after_the_answer_are_a_new_message(service: Service) -> None:
    first, second = await created(service), await created(service)
    assert first["id"] != second["id"]
    assert delivered(service) == ["hello", "hello"]


async def test_a_failed_turn_is_told_again_with_all_that_was_said(service: Service) -> None:
    first = await streamed(service, "fails")
    again = await streamed(service, "fails")
    assert again == first
    assert delivered(service) == ["fails"]


def codex(round_: int, broken: bool = True) -> dict[str, Any]:
    """As Codex sends one message again: other bytes, the broken answer at the end, the same ids."""
    metadata = {"thread_id": "t", "turn_id": "turn-1", "round": str(round_)}
    content = [{"type": "input_text", "text": "fails"}]
    message = {"type": "message", "role": "user", "id": "msg_user_1", "content": content}
    answer = {"type": "message", "role": "assistant", "status": "incomplete", "id": f"a{round_}", "content": []}
    return {
        "input_": [{"type": "message", "role": "developer", "content": "x" * round_}, message, *([answer] * broken)],
        "store": False,
        "client_metadata": metadata if round_ % 2 else dict(reversed(metadata.items())),
    }


@pytest.mark.parametrize("names_turns", [True, False])
async def test_codex_may_send_one_message_six_times(service: Service, names_turns: bool) -> None:
    ids = set()
    for round_ in range(6):
        asked = codex(round_, broken=round_ > 0)
        if not names_turns:
            del asked["client_metadata"]
        ids.add((await streamed(service, **asked))[-1]["response"]["id"])
    assert delivered(service) == ["fails"]
    assert len(ids) == 1


async def test_items_with_the_same_id_and_other_words_are_different_messages(service: Service) -> None:
    for text in ("one", "two"):
        await created(service, [{"type": "message", "role": "user", "id": "msg_1", "content": text}])
    assert delivered(service) == ["one", "two"]


async def test_a_background_response_is_queued_at_once_and_then_made(service: Service) -> None:
    queued = await created(service, "slow", background=True)
    assert (queued["status"], queued["output"], queued["background"]) == ("queued", [], True)
    done = await ended(service, queued["id"])
    assert (done["status"], text_of(done)) == ("completed", "one two three")
    events = await resumed(service, queued["id"])
    assert_in_order(events)
    assert [event["type"] for event in events][:3] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert events[-1]["response"] == done
    for after in range(len(events)):
        assert await resumed(service, queued["id"], after) == events[after + 1 :]


async def test_who_leaves_a_background_stream_stops_nothing(start: Start) -> None:
    service = await start(FakeGateway(answers={"slow": SLOW}), rules=TurnRules(on_disconnect=OnDisconnect.CANCEL))
    async with service.client.stream(
        "POST", "/v1/responses", json={"input": "slow", "stream": True, "background": True}
    ) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                response_id = line.split('"id":"')[1].split('"')[0]
                break
    assert text_of(await ended(service, response_id)) == "one two three"


async def test_background_messages_with_images_are_delivered_whole(service: Service) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
    queued = await created(service, [{"role": "user", "content": [image]}], background=True)
    await ended(service, queued["id"])
    assert service.gateway.delivered[0].message is not None
    assert len(service.gateway.delivered[0].message.images) == 1


async def test_a_background_response_can_be_cancelled_and_again(service: Service) -> None:
    running = await created(service, "long", background=True)
    await delivery(service)
    url = f"/v1/responses/{running['id']}/cancel"
    answer = await service.client.post(url)
    assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (200, "cancelled", None)
    assert (await service.client.post(url)).json() == answer.json()
    last = (await resumed(service, running["id"]))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")
    assert service.gateway.cancelled


async def test_one_that_waits_is_cancelled_before_it_is_delivered(service: Service) -> None:
    await created(service, "slow", background=True)
    waiting = await created(service, "never", background=True)
    answer = await service.client.post(f"/v1/responses/{waiting['id']}/cancel")
    assert answer.json()["status"] == "cancelled"
    last = (await resumed(service, waiting["id"]))[-1]
    assert last["response"]["status"] == "cancelled"
    await asyncio.sleep(0.6)
    assert delivered(service) == ["slow"]


async def test_what_has_ended_stays_and_others_cannot_be_cancelled(service: Service) -> None:
    done = await created(service, "hello", background=True)
    before = await ended(service, done["id"])
    assert (await service.client.post(f"/v1/responses/{done['id']}/cancel")).json() == before
    foreground = await created(service)
    answer = await service.client.post(f"/v1/responses/{foreground['id']}/cancel")
    assert answer.status_code == 400


async def test_a_background_response_that_fails_says_so(service: Service) -> None:
    queued = await created(service, "fails", background=True)
    done = await ended(service, queued["id"])
    assert (done["status"], text_of(done)) == ("failed", "half")
    assert done["error"]["code"] == "llm_error"


async def test_a_background_request_that_is_sent_again_is_the_same_response(service: Service) -> None:
    for mark in ({"Idempotency-Key": "k6"}, {"X-Stainless-Retry-Count": "1"}):
        text = f"hello {mark}"
        first = await created(service, text, background=True, headers=mark)
        again = await created(service, text, background=True, headers=mark)
        assert again["id"] == first["id"]
        await ended(service, first["id"])
    assert len(delivered(service)) == 2


async def test_the_background_goes_on_from_the_last_response_only(service: Service) -> None:
    first = await created(service, "one", headers=CHAT)
    second = await created(service, "two", previous_response_id=first["id"], background=True)
    await ended(service, second["id"])
    answer = await create(service, "three", previous_response_id=first["id"], background=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "previous_response_not_last")
    await asyncio.sleep(0.1)
    assert delivered(service) == ["one", "two"]


async def test_two_in_the_background_that_go_on_from_the_same_one_fail_in_the_second(service: Service) -> None:
    first = await created(service, "one", headers=CHAT)
    queued = [
        await created(service, text, previous_response_id=first["id"], background=True) for text in ("slow", "late")
    ]
    ends = [await ended(service, response["id"]) for response in queued]
    assert [end["status"] for end in ends] == ["completed", "failed"]
    assert ends[1]["error"]["code"] == "previous_response_not_last"
    assert delivered(service) == ["one", "slow"]


async def test_a_stream_that_is_followed_ends_when_the_service_stops_and_the_response_does_not(start: Start) -> None:
    service = await start(FakeGateway(answers={"long": LONG}), grace=0.2)
    asking = asyncio.create_task(create(service, "long", stream=True, background=True))
    await delivery(service)
    await asyncio.sleep(0.3)
    service.server.should_exit = True
    body = (await asking).text
    assert '"delta":"one "' in body
    assert "[DONE]" not in body
    assert "response.failed" not in body


async def test_a_background_stream_that_broke_is_the_same_when_the_same_bytes_come_again(service: Service) -> None:
    body = {"model": "anna", "input": "slow", "stream": True, "background": True}
    async with service.client.stream("POST", "/v1/responses", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                response_id = line.split('"id":"')[1].split('"')[0]
                break
    await asyncio.sleep(0.1)
    again = events_in((await service.client.post("/v1/responses", json=body)).text)
    assert again[0]["response"]["id"] == response_id
    new = events_in((await service.client.post("/v1/responses", json=body)).text)
    assert new[0]["response"]["id"] != response_id, "the answer was received: this is a new message"
    assert delivered(service) == ["slow", "slow"]


async def test_the_same_background_request_after_its_answer_is_a_new_message(service: Service) -> None:
    first, second = await created(service, background=True), await created(service, background=True)
    assert first["id"] != second["id"]
    await ended(service, second["id"])
    assert delivered(service) == ["hello", "hello"]
