"""What is kept of the input of a response, and how it is listed."""

import json
from typing import Any

import pytest
from msgspec import Raw

from entrypoints.http.responses.kept_input import LONGEST, kept_input, listed

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64," + "x" * 2_000_000, "detail": "auto"}


def kept(value: object) -> Any:
    return json.loads(kept_input(Raw(json.dumps(value).encode())))


def test_what_is_small_is_kept_as_it_is() -> None:
    for value in ("hello", [{"role": "user", "content": [{"type": "input_text", "text": "東京"}]}], []):
        assert kept(value) == value


def test_of_what_is_large_images_are_left_out() -> None:
    text = {"type": "input_text", "text": "see"}
    items = [
        {"role": "user", "content": "before"},
        {"type": "message", "role": "user", "id": "m1", "content": [text, IMAGE]},
    ]
    assert kept(items) == [
        {"role": "user", "content": "before"},
        {
            "type": "message",
            "role": "user",
            "id": "m1",
            "content": [text, {"type": "input_image", "image_url": "data:,"}],
        },
    ]


def test_of_what_is_still_too_large_the_newest_items_are_kept() -> None:
    items = [{"role": "user", "content": f"{number} " + "x" * 300_000} for number in range(6)]
    found = kept(items)
    assert [item["content"][0] for item in found] == ["3", "4", "5"]
    assert len(json.dumps(found)) <= LONGEST


@pytest.mark.parametrize(
    "value",
    [
        "x" * (LONGEST + 1),
        [{"role": "user", "content": "x" * (2 * LONGEST)}],
        [{"role": "user", "content": [{"type": "input_text", "text": "x" * (2 * LONGEST)}]}],
        ["x" * (2 * LONGEST)],
        [[[["x" * (2 * LONGEST)]]]],
        [{"role": "x" * LONGEST, "content": {"a": "y" * LONGEST}}],
        [{"type": "function_call_output", "output": "x" * (2 * LONGEST)}],
    ],
)
def test_whatever_is_large_leaves_something_that_can_be_listed(value: object) -> None:
    found = kept_input(Raw(json.dumps(value).encode()))
    assert len(found) <= LONGEST + 1_000
    listed(found, "resp_1")


def test_a_list_has_types_ids_and_parts() -> None:
    items = [
        {"role": "assistant", "content": "Hi!"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, "b", {"type": "input_image", "image_url": "data:,"}],
        },
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"id": "mine", "type": "message", "role": "user", "content": None},
        "nothing",
    ]
    first, second, third, fourth = listed(json.dumps(items).encode(), "resp_00ab")
    assert first["content"] == [{"annotations": [], "logprobs": [], "type": "output_text", "text": "Hi!"}]
    assert [part["type"] for part in second["content"]] == ["input_text", "input_image"]
    assert (third["type"], third["call_id"]) == ("function_call_output", "c")
    assert (fourth["id"], fourth["content"]) == ("mine", [])
    assert len({item["id"] for item in (first, second, third, fourth)}) == 4


@pytest.mark.parametrize("broken", [b"", b"{", b"7", b"null", b"[" * 100_000])
def test_what_cannot_be_read_is_an_empty_list(broken: bytes) -> None:
    assert list(listed(broken, "resp_1")) == []
