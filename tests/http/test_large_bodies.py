"""Time and memory for each byte of a body have a bound, whatever it holds; and what is large means what small means."""

import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.http.api_errors import ApiError
from entrypoints.http.body import json_body
from entrypoints.http.openai.chat_request import read_chat_request
from tests.http.test_json_outline import json_values

MESSAGE = b'{"role":"user","content":"hi"}'
END = b'"messages":[' + MESSAGE + b"]}"


def many(part: bytes, size: int) -> bytes:
    return part * (size // len(part))


def ignored(value: bytes) -> bytes:
    return b'{"x":' + value + b"," + END


def content(value: bytes) -> bytes:
    return b'{"messages":[{"role":"user","content":' + value + b"}]}"


message = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", "tool", "system"]) | json_values, "content": json_values}
)

# How each kind of body looks that has about so many bytes.
KINDS: dict[str, Callable[[int], bytes]] = {
    "arrays that never end": lambda size: b'{"x":' + b"[" * size,
    "objects that never end": lambda size: b'{"x":' + many(b'{"a":', size),
    "deep arrays": lambda size: ignored(b"[" * (size // 2) + b"]" * (size // 2)),
    "deep objects": lambda size: ignored(many(b'{"a":', size) + b"1" + b"}" * (size // 5)),
    "arrays of deep arrays": lambda size: ignored(b"[" + many(b"[" * 1500 + b"]" * 1500 + b",", size) + b"1]"),
    "arrays and objects in turns": lambda size: ignored(b"[" + many(b'[{"a":[{}]}],', size) + b"1]"),
    "empty arrays": lambda size: ignored(b"[" + many(b"[],", size) + b"1]"),
    "empty strings": lambda size: ignored(b"[" + many(b'"",', size) + b"1]"),
    "numbers": lambda size: ignored(b"[" + many(b"1,", size) + b"1]"),
    "a number of many digits": lambda size: ignored(b"1" * size),
    "a model of many digits": lambda size: b'{"model":' + b"1" * size + b"," + END,
    "numbers that are too large": lambda size: ignored(b"[" + many(b"1e999999,", size) + b"1]"),
    "the same key": lambda size: b"{" + many(b'"a":1,', size) + END,
    "the same messages": lambda size: b"{" + many(b'"messages":[' + MESSAGE + b"],", size) + END,
    "a key without end": lambda size: b'{"' + b"k" * size + b'":1,' + END,
    "numbers as messages": lambda size: b'{"messages":[' + many(b"1,", size) + b"1]}",
    "small messages": lambda size: b'{"messages":[' + many(MESSAGE + b",", size) + MESSAGE + b"]}",
    "small messages after it": lambda size: (
        b'{"messages":[%b,%b{"role":"tool"}]}' % (MESSAGE, many(b'{"role":"tool"},', size))
    ),
    "parts": lambda size: content(b"[" + many(b'{"type":"text","text":"a"},', size) + b'{"type":"text"}]'),
    "tools": lambda size: b'{"tools":[' + many(b'{"function":{"parameters":{"properties":{}}}},', size) + b"{}]," + END,
    "a deep message": lambda size: content(b"[" * size),
    "numbers in the message": lambda size: (
        b'{"messages":[{"role":"user","content":"hi","x":[' + many(b"1,", size) + b"1]}]}"
    ),
    "deep arguments of tools": lambda size: (
        b'{"messages":[%b,{"role":"assistant","tool_calls":[%b1%b]}]}'
        % (MESSAGE, many(b'{"a":', size), b"}" * (size // 5))
    ),
    "blanks": lambda size: b" " * size,
    "blanks between": lambda size: b"{" + b" " * size + END,
    "text": lambda size: content(b'"' + b"a" * size + b'"'),
    "escapes": lambda size: content(b'"' + many(rb"\n\"", size) + b'"'),
    "halves of emojis": lambda size: content(b'"' + many(rb"\ud83d", size) + b'"'),
    "halves of emojis between": lambda size: content(b'"' + many(rb"\\a\ude00", size) + b'"'),
    "halves of emojis before": lambda size: (
        b'{"messages":[{"role":"assistant","content":"' + many(rb"\ud83d", size) + b'"},' + MESSAGE + b"]}"
    ),
    "no UTF-8": lambda size: content(b'"' + b"\xff" * size + b'"'),
    "a byte order mark": lambda size: b"\xef\xbb\xbf" + content(b'"' + b"a" * size + b'"'),
    "an image": lambda size: content(
        b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,' + many(rb"AAAA\n", size) + b'"}}]'
    ),
}


SIZE = 60_000


@pytest.fixture(params=["decoded at once", "taken apart first"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger is always taken apart first."""
    if request.param == "taken apart first":
        take_apart_first(monkeypatch)


def take_apart_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "_AT_ONCE", 0)
    monkeypatch.setattr(json_body, "_ARRAY_AT_ONCE", 0)


def read_or_refuse(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        read_chat_request(body)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_takes_much_memory(kind: str) -> None:
    body = KINDS[kind](SIZE)
    tracemalloc.start()
    try:
        read_or_refuse(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(body) + 100_000


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", KINDS)
def test_twice_as_many_bytes_take_twice_as_long(kind: str) -> None:
    def seconds(body: bytes) -> float:
        # Of this thread only, and the best of three: other processes want their share, too.
        return min(_thread_time(body) for _ in range(3))

    # A millisecond is what the clock is good for.
    assert seconds(KINDS[kind](2 * SIZE)) < 6 * (seconds(KINDS[kind](SIZE)) + 0.001)


def _thread_time(body: bytes) -> float:
    began = time.thread_time()
    read_or_refuse(body)
    return time.thread_time() - began


@pytest.mark.parametrize("kind", ["numbers as messages", "the same key", "parts", "small messages"])
def test_many_small_things_in_a_large_body_take_little_memory(kind: str) -> None:
    body = KINDS[kind](6_500_000)
    tracemalloc.start()
    try:
        read_or_refuse(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(body)


@pytest.mark.parametrize("levels", [100, 1000, 1500, 50_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_what_is_ignored_may_be_nested(levels: int, opening: bytes, closing: bytes) -> None:
    nested = opening * levels + b"1" + closing * levels
    for body in (
        ignored(nested),
        b'{"tools":' + nested + b',"stream_options":' + nested + b"," + END,
        b'{"messages":[{"role":"assistant","content":' + nested + b"}," + MESSAGE + b"]}",
        b'{"messages":[{"role":"user","x":' + nested + b',"content":"hi"}]}',
        b'{"messages":[' + MESSAGE + b',{"role":"assistant","tool_calls":' + nested + b"}]}",
        content(b'[{"type":"text","text":"hi","x":' + nested + b"}]"),
    ):
        read = read_chat_request(body)
        assert read.message is not None
        assert read.message.text == "hi"


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ApiError, match="nested deeper"):
        read_chat_request(ignored(b"[" * 500_000 + b"]" * 500_000))


def test_a_conversation_has_an_end() -> None:
    with pytest.raises(ApiError, match="more than 100,000"):
        read_chat_request(b'{"messages":[' + many(MESSAGE + b",", 4_000_000) + MESSAGE + b"]}")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(messages=st.lists(message) | json_values, model=json_values, stream=json_values, tools=json_values)
def test_what_is_large_means_what_small_means(**body: object) -> None:
    encoded = json.dumps(body).encode()
    at_once = outcome(encoded)
    with pytest.MonkeyPatch.context() as patch:
        take_apart_first(patch)
        assert outcome(encoded) == at_once


def outcome(body: bytes) -> tuple[bytes, str | None]:
    try:
        return msgspec.json.encode(read_chat_request(body)), None
    except ApiError as refusal:
        return b"", refusal.body.error.param


@pytest.mark.usefixtures("way")
def test_the_last_of_several_members_counts_however_its_name_is_written() -> None:
    read = read_chat_request(
        b'{"model":"anna","messages":[5],"mess\\u0061ges":[' + MESSAGE + b'],"model":"bert","stream":true}'
    )
    assert (read.model, read.stream, read.message and read.message.text) == ("bert", True, "hi")
