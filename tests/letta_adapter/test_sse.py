"""Server-Sent Events survive whatever the network does to them."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.letta.sse import SseDecoder
from tests.letta_adapter.replay import RECORDINGS, recording

NAMES = sorted(path.stem for path in RECORDINGS.glob("*.sse"))


def decoded(*pieces: bytes) -> list[bytes]:
    decoder = SseDecoder()
    return [data for piece in pieces for data in decoder.feed(piece)]


@given(name=st.sampled_from(NAMES), cuts=st.lists(st.integers(0, 9000)), carriage_returns=st.booleans())
def test_it_does_not_matter_where_the_bytes_are_split(name: str, cuts: list[int], carriage_returns: bool) -> None:
    body = recording(name)
    if carriage_returns:
        body = body.replace(b"\n", b"\r\n")
    edges = [0, *sorted(cut for cut in cuts if cut <= len(body)), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert decoded(*pieces) == [line[6:] for line in recording(name).split(b"\n") if line.startswith(b"data: ")]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b": comment\n\ndata: a\n\n: comment\n", [b"a"]),
        (b"event: error\ndata: a\nid: 5\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"\n\n\n", []),
        (b"", []),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (b"data: a\rdata: b\n\n", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:\n\ndata: a\n\n", [b"", b"a"]),
        (b'data: a\n\n\xef\xbb\xbfdata: {"message_type": 1}\n\ndata: b\n\n', [b"a", b"\0", b"b"]),
        (b'{"message_type": 1}\n\ndata: b\n\n: "message_type"\n', [b"\0", b"b"]),
    ],
)
def test_framing(body: bytes, events: list[bytes]) -> None:
    assert decoded(body) == events
    assert decoded(*(bytes([byte]) for byte in body)) == events


@given(cuts=st.lists(st.integers(0, 9000)), long_at=st.integers(0, 2), ends=st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_an_event_that_is_too_long_comes_out_as_one_that_nobody_can_read(
    cuts: list[int], long_at: int, ends: bytes
) -> None:
    lines = [b"data: a", b"data: b", b": " + b"c" * 2000, b"data: d"]
    lines.insert(long_at, b'data: {"x": "' + b"y" * 5000 + b'"}')
    body = (2 * ends).join([*lines, b""])
    edges = [0, *sorted(cut for cut in cuts if cut <= len(body)), len(body)]
    decoder = SseDecoder(longest=1000)
    events = [data for start, end in pairwise(edges) for data in decoder.feed(body[start:end])]
    assert [data for data in events if data.isalpha()] == [b"a", b"b", b"d"]
    assert len(events) == 4
    assert max(map(len, events)) < 1000
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(events[long_at])


@given(pieces=st.lists(st.binary()))
def test_no_bytes_break_it(pieces: list[bytes]) -> None:
    decoded(*pieces)
