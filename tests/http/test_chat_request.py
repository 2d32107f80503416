"""What a chat request may hold, and what is delivered of it."""

import json
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.http.api_errors import ApiError
from entrypoints.http.openai.chat_request import read_chat_request
from entrypoints.settings.chat_options import ChatOptions
from tests.examples import examples
from tests.http.conftest import Service, Start


def delivered(*messages: object, **more: object) -> str | None:
    message = read_chat_request(json.dumps({"messages": messages, **more}).encode()).message
    return message.text if message else None


def refused(body: bytes) -> tuple[str | None, str]:
    with pytest.raises(ApiError) as raised:
        read_chat_request(body)
    assert raised.value.status == 400
    return raised.value.body.error.param, raised.value.body.error.message


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def test_only_the_last_user_message_is_used() -> None:
    history = [{"role": "system", "content": "be nice"}, user("old"), {"role": "assistant", "content": "yes"}]
    assert delivered(*history, user("new")) == "new"
    assert delivered(*history, user("new"), {"role": "assistant", "content": "prefill"}) == "new"


A, S = {"role": "assistant", "content": "x"}, {"role": "system", "content": "x"}
U, T = user("x"), {"role": "tool", "tool_call_id": "call_other", "content": "x"}


@pytest.mark.parametrize(
    ("messages", "left_out"),
    [
        ([U], 0),
        ([A, U], 0),
        ([U, A, U], 0),
        ([U, U], 1),
        ([S, U, S, U, U, A], 2),
        ([U, U, A, U], 0),
        ([U, T, U], 0),
        ([U, A, U, U, T, S], 1),
        ([{"role": "user"}, 7, U], 0),
        ([U] * 10_000, 20),
    ],
)
def test_user_messages_that_are_left_out_are_counted(messages: list[object], left_out: int) -> None:
    assert read_chat_request(json.dumps({"messages": messages}).encode()).left_out == left_out


@pytest.mark.anyio
async def test_the_log_says_how_many_and_nothing_of_what_they_say(service: Service) -> None:
    with structlog.testing.capture_logs() as log:
        await service.chat(messages=[user("secret question"), user("secret instructions")])
        await service.chat("hello")
    assert service.gateway.heard == ["secret instructions", "hello"]
    said = [line for line in log if line["event"].startswith("only the last")]
    assert [(line["log_level"], line["left_out"]) for line in said] == [("info", 1)]
    assert "secret" not in str(log)


def test_text_parts_are_joined_with_a_newline() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert delivered(user(parts)) == "one\ntwo"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ("hello", "messages"),
        ({}, "messages"),
        ([], "messages"),
        ([{"role": "system", "content": "x"}], "messages"),
        ([user("old"), user("")], "messages[1].content"),
        ([user("old"), user(" \n\t")], "messages[1].content"),
        ([user("old"), user(None)], "messages[1].content"),
        ([user("old"), {"role": "user"}], "messages[1].content"),
        ([user("old"), user([])], "messages[1].content"),
        ([user("old"), user([{"type": "text", "text": " "}])], "messages[1].content"),
        ([user("old"), user(5)], "messages[1].content"),
        ([user("old"), user([{"type": "text", "text": 5}])], "messages[1].content[0].text"),
        ([user("old"), user(["text"])], "messages[1].content[0]"),
        ([user([{"type": "image_url", "image_url": {"url": "data:"}}])], "messages[0].content[0].image_url"),
        ([user([{"type": "text", "text": "hi"}, {"type": "input_audio"}])], "messages[0].content[1]"),
        ([user("old"), 5], "messages[1]"),
        ([user("old"), {"content": "x"}], "messages[1].role"),
        ([user("old"), {"role": 7, "content": "x"}], "messages[1].role"),
    ],
)
def test_an_older_message_is_never_sent_instead(messages: object, param: str) -> None:
    named, message = refused(json.dumps({"messages": messages}).encode())
    assert named == param
    assert param in message


@pytest.mark.parametrize("role", ["USER", "User", " user "])
def test_roles_may_be_written_in_capitals(role: str) -> None:
    answer = {"role": "ASSISTANT", "content": "yes"}
    body = json.dumps({"messages": [user("old"), {"role": role, "content": "new"}, answer]}).encode()
    read = read_chat_request(body)
    assert read.message is not None
    assert (read.message.text, read.ends_with_answer) == ("new", True)


def test_messages_are_required() -> None:
    assert refused(b"{}")[0] == "messages"


@pytest.mark.parametrize(
    ("field", "value"), [("model", 5), ("model", ["anna"]), ("stream", "true"), ("stream", 1), ("stream", {})]
)
def test_the_fields_that_count_have_types(field: str, value: object) -> None:
    assert refused(json.dumps({"messages": [user("hi")], field: value}).encode())[0] == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"5", b'{"messages": [}', b"\x00", b"NaN"])
def test_what_is_no_json_object_is_refused_in_words(body: bytes) -> None:
    param, message = refused(body)
    assert param is None
    assert message


def test_bad_utf_8_is_refused_in_words() -> None:
    _, message = refused(b'{"messages":[{"role":"user","content":"\xff\xfe"}]}')
    assert "UTF-8" in message


def test_a_byte_order_mark_does_no_harm() -> None:
    assert read_chat_request(b"\xef\xbb\xbf" + json.dumps({"messages": [user("hi")]}).encode()).message is not None


@pytest.mark.parametrize(
    "field", ["temperature", "max_tokens", "tools", "top_p", "user", "metadata", "stream_options", "n", "unheard_of"]
)
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [{}], {"a": [1, {"b": None}]}, True, 1e300])
def test_every_other_field_is_ignored_whatever_it_is(field: str, value: object) -> None:
    assert delivered(user("hi"), **{field: value}) == "hi"


def test_ignored_parts_may_be_nested_as_deep_as_they_like() -> None:
    deep = b"[" * 1500 + b"]" * 1500
    deeper = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    for nested in (deep, deeper):
        body = b'{"tools":' + nested + b',"messages":[{"role":"assistant","content":' + nested
        body += b'},{"role":"user","x":' + nested + b',"content":"a [deep] \\"{question\\""}]}'
        message = read_chat_request(body).message
        assert message is not None
        assert message.text == 'a [deep] "{question"'


def test_nesting_that_never_ends_is_refused() -> None:
    assert "JSON" in refused(b'{"messages":[],"tools":' + b"[" * 100_000)[1]
    assert "JSON" in refused(b'{"messages":[],"tools":' + b"[" * 2000 + b'"' + b'\\"' * 100_000)[1]


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"cut \ud83d emoji", "cut \ufffd emoji"),
        (r"\ude00", "\ufffd"),
        (r"whole \ud83d\ude00 emoji", "whole \U0001f600 emoji"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud83d is text", r"\ud83d is text"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"x\ud83d\n", "x\ufffd\n"),
    ],
)
def test_lone_surrogates_are_repaired(escaped: str, text: str) -> None:
    for at in ("history", "message"):
        history = escaped if at == "history" else "x"
        message = escaped if at == "message" else "plain"
        body = f'{{"messages":[{{"role":"user","content":"{history}"}},{{"role":"user","content":"{message}"}}]}}'
        read = read_chat_request(body.encode()).message
        assert read is not None
        assert read.text == (text if at == "message" else "plain")


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
messages = st.lists(
    st.fixed_dictionaries(
        {}, optional={"role": st.sampled_from(["user", "tool", "system"]) | json_values, "content": json_values}
    )
    | json_values
)


@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "messages": messages | json_values,
            "model": json_values,
            "stream": json_values,
            "tools": json_values,
        },
    )
)
def test_any_json_is_read_or_refused(body: dict[str, object]) -> None:
    _read_or_refuse(json.dumps(body).encode())


@given(body=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    _read_or_refuse(body)


def _read_or_refuse(body: bytes) -> None:
    try:
        read = read_chat_request(body)
    except ApiError as refusal:
        answer = refusal
    else:
        assert read.message is None or read.message.text.strip()
        return
    assert answer.status == 400
    assert answer.body.error.message


@pytest.mark.anyio
@pytest.mark.parametrize("model", [None, "", "anna", "agent-00000000-0000-4000-8000-00000000000a"])
async def test_a_model_is_a_name_or_an_id_and_none_is_the_first(service: Service, model: str | None) -> None:
    answer = await service.chat(model=model)
    assert answer.json()["model"] == "anna"
    assert service.gateway.delivered[0].agent.name == "anna"


@pytest.mark.anyio
async def test_a_body_that_is_too_large_is_refused_readably(start: Start) -> None:
    service = await start(options=ChatOptions(max_body_bytes=100_000))
    for size, encoded in ((150_000, "sync"), (199_000, "sync")):
        answer = await service.chat("x" * size, user=encoded)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
    assert (await service.chat("x" * 90_000)).status_code == 200
    assert len(service.gateway.delivered) == 1


@pytest.mark.anyio
async def test_a_large_history_and_tools_do_no_harm(service: Service) -> None:
    history = [user("data:image/png;base64," + "A" * 1_000_000) for _ in range(8)]
    answer = await service.chat(messages=[*history, user("hello")], tools=[{"x": "y" * 25_000}])
    assert answer.status_code == 200
    assert service.gateway.heard[0] == "hello"


@pytest.mark.anyio
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300) | messages.map(lambda value: json.dumps({"messages": value}).encode()),
    headers=st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1).map(lambda name: f"x-{name}"),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    ),
)
async def test_nothing_a_client_sends_is_a_500(service: Service, body: bytes, headers: dict[str, str]) -> None:
    answer = await service.client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "application/json", **headers}
    )
    assert answer.status_code < 500
    assert answer.headers["x-request-id"]
