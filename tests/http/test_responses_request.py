"""What requests for responses may look like: nothing that a client sends is a fault of this service."""

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.http.api_errors import ApiError
from entrypoints.http.responses.parameters import DEFAULTS, Parameters
from entrypoints.http.responses.request import codex_turn, message_id_of, read_responses_request
from tests.examples import examples
from tests.http.conftest import Service

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["type", "role", "content", "id", "call_id", "approval_request_id", "approve", "reason", "output"]
)
WORDS = st.sampled_from(
    [
        "message",
        "user",
        "assistant",
        "function_call_output",
        "mcp_approval_response",
        "call_agent_1",
        "mcpr_call_agent_1",
    ]
)
KINDS = st.sampled_from(["input_text", "text", "input_image", "input_file"])
PARTS = st.fixed_dictionaries({}, optional={"type": KINDS | JSON, "text": JSON, "image_url": JSON})
ITEMS = st.dictionaries(KEYS, WORDS | JSON | st.lists(PARTS, max_size=3), max_size=5) | JSON
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "input": st.lists(ITEMS, max_size=5) | JSON,
        "conversation": JSON,
        "client_metadata": JSON,
        **{each.name: JSON for each in msgspec.structs.fields(Parameters)},
    },
)


def read(**body: Any) -> Any:
    return read_responses_request(json.dumps({"input": "hello", **body}).encode())


def known_by(asked: Any, header: bytes) -> str | None:
    return message_id_of(asked, codex_turn(asked, header))


@settings(max_examples=examples(300))
@given(BODIES)
def test_a_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        asked = read_responses_request(json.dumps(body).encode())
    except ApiError as error:
        refused = error
    else:
        assert asked.message is None or asked.message.text.strip() or asked.message.images
        told = json.loads(asked.parameters or DEFAULTS)
        assert told.keys() == json.loads(DEFAULTS).keys()
        known_by(asked, b"")
        return
    assert refused.status == 400
    assert refused.body.error.message


@pytest.mark.anyio
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=BODIES | st.fixed_dictionaries({"input": st.just("hi"), "stream": JSON, "store": JSON, "model": JSON}),
    path=st.sampled_from(["/v1/responses", "/v1/conversations"]),
    headers=st.dictionaries(
        st.sampled_from(["x-codex-turn-metadata", "x-chat-id", "x-message-id", "x-stainless-retry-count"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30),
        max_size=3,
    ),
)
async def test_nothing_a_client_sends_is_a_500(
    service: Service, body: dict[str, Any], path: str, headers: dict[str, str]
) -> None:
    answer = await service.client.post(path, json=body, headers=headers)
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-request-id"]


@pytest.mark.anyio
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        [
            "responses/{}",
            "responses/{}/input_items",
            "conversations/{}",
            "conversations/{}/items",
            "conversations/{}/items/x",
        ]
    ),
    id_=st.text(min_size=1, max_size=40).filter(lambda text: set(text) != {"."}),
    query=st.dictionaries(
        st.sampled_from(["stream", "starting_after", "limit", "after", "order", "include", "x"]),
        st.text(max_size=10),
        max_size=4,
    ),
)
async def test_nothing_a_client_asks_for_is_a_500(service: Service, path: str, id_: str, query: dict[str, str]) -> None:
    answer = await service.client.get("/v1/" + path.format(quote(id_, safe="", errors="replace")), params=query)
    assert answer.status_code in (400, 404), answer.text


def test_what_is_nested_too_deep_is_no_fault_of_this_service() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    for key in ("tools", "metadata", "text", "client_metadata", "anything"):
        asked = read_responses_request(f'{{"input": "hello", "{key}": {deep}}}'.encode())
        assert asked.message is not None
    with pytest.raises(ApiError):
        read_responses_request(f'{{"input": {deep}}}'.encode())
    read_responses_request(f'{{"input": [{{"type": "x", "y": {deep}}}, {{"role": "user", "content": "hi"}}]}}'.encode())


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ({"client_metadata": {"turn_id": "t"}}, {"client_metadata": {"turn_id": "t", "x": 1}}, True),
        ({"client_metadata": {"turn_id": "t"}}, {"client_metadata": {"turn_id": "u"}}, False),
        ({"client_metadata": {"turn_id": "t"}}, {"client_metadata": {"turn_id": "t"}, "input": "other"}, False),
        (
            {"client_metadata": {"turn_id": "t", "request_kind": "turn"}},
            {"client_metadata": {"turn_id": "t", "request_kind": "compact"}},
            False,
        ),
        (
            {"input": [{"role": "user", "id": "m", "content": "hi"}]},
            {"input": [{"role": "user", "id": "m", "content": "hi"}, {"role": "assistant", "content": "broken"}]},
            True,
        ),
        (
            {"input": [{"role": "user", "id": "m", "content": "hi"}]},
            {"input": [{"role": "user", "id": "n", "content": "hi"}]},
            False,
        ),
    ],
)
def test_what_a_message_is_known_by(first: dict[str, Any], second: dict[str, Any], is_same: bool) -> None:
    one, two = known_by(read(**first), b""), known_by(read(**second), b"")
    assert one is not None
    assert (one == two) is is_same


def test_without_ids_only_the_bytes_are_known() -> None:
    assert known_by(read(), b"") is None
    assert known_by(read(input=[{"role": "user", "content": "hi"}]), b"not json") is None
    assert known_by(read(), b'{"turn_id": "t"}') == known_by(read(client_metadata={"turn_id": "t"}), b"")
