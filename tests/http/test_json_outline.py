"""Finding the parts of a JSON text without decoding it."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.http.body import json_outline
from entrypoints.http.body.json_outline import Elements, LimitError, OutlineError, members
from tests.examples import examples

texts = st.text() | st.text('\\"[]{},: u\u00e9\U0001f600', max_size=100)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=15,
)
spellings = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 3}, {"ensure_ascii": False}])


def depth(levels: int, inside: bytes = b"1") -> bytes:
    return b"[" * levels + inside + b"]" * levels


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(json_values), spellings)
def test_elements_are_those_of_the_array(values: list[object], spelling: dict[str, Any]) -> None:
    text = f" {json.dumps(values, **spelling)}\n".encode()
    assert [json.loads(bytes(element)) for element in Elements(memoryview(text))] == values


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(texts, json_values), spellings)
def test_members_are_those_of_the_object(values: dict[str, object], spelling: dict[str, Any]) -> None:
    text = f" {json.dumps(values, **spelling)}\n".encode()
    found = {json.loads(bytes(key)): json.loads(bytes(value)) for key, value in members(memoryview(text))}
    assert found == values


@pytest.mark.parametrize(
    "element",
    [
        b'"' + b"x" * 100_000 + b'"',
        b'"' + rb"\"" * 50_000 + b'"',
        b'"' + rb"\\" * 50_000 + b'"',
        b'["' + rb"[\"{" * 30_000 + b'"]',
        depth(3000),
        depth(90_000),
        depth(40, b"[],{}," * 20_000 + b'["]"]'),
        b"[" + b'{"a":["b",{"c":[]}]},' * 10_000 + b"0]",
        b"1" * 100_000,
    ],
    ids=lambda element: element[:12].decode(),
)
def test_long_and_deep_elements_end_where_they_end(element: bytes) -> None:
    text = b"[1, " + element + b"," + b" " * 70_000 + element + b",2]"
    assert [bytes(each) for each in Elements(memoryview(text))] == [b"1", element, element, b"2"]


@pytest.mark.parametrize(
    "text",
    [b"", b"[", b"[1", b"[1,", b"[1,]", b"[,]", b"[1]]", b"[1] 2", b'["', b'["\\', b"[[]", b"[[[1]]", b"{}", b"[1 2]"],
)
def test_what_is_no_array_is_refused(text: bytes) -> None:
    with pytest.raises(OutlineError):
        Elements(memoryview(text))


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"', b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}', b"{a:1}", b'{"a" 1}', b'{"a":1}}', b"[]"]
)
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(OutlineError):
        list(members(memoryview(text)))


def test_there_are_limits() -> None:
    with pytest.raises(LimitError, match="parts"):
        Elements(memoryview(b"[" + b"1," * json_outline.MOST + b"1]"))
    with pytest.raises(LimitError, match="deep"):
        Elements(memoryview(depth(3 * json_outline.DEEPEST)))
