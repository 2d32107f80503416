"""Images and other parts of a user message."""

import base64
import json
from typing import Any

import pytest

from domain.model.turn import Image, ImageLink, UserMessage
from entrypoints.http.api_errors import ApiError
from entrypoints.http.openai.chat_request import read_chat_request

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
TEXT = {"type": "text", "text": "what is this?"}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


def read(*parts: object, image_links: bool = False) -> UserMessage | None:
    body = json.dumps({"messages": [{"role": "user", "content": parts}]}).encode()
    return read_chat_request(body, image_links).message


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_data_urls_are_images(media_type: str) -> None:
    message = read(TEXT, image(f"data:{media_type};base64,{PNG}"))
    assert message == UserMessage("what is this?", (Image(media_type, PNG),))


def test_other_spellings() -> None:
    assert read(TEXT, image(f"DATA:image/JPG;BASE64,{PNG}")) == UserMessage(
        "what is this?", (Image("image/jpeg", PNG),)
    )
    assert read({"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}) == UserMessage(
        "", (Image("image/png", PNG),)
    )


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;name=x.png;base64,{PNG}",
        f'data:image/png; name="a, b.png" ; Base64,{PNG}',
        f"data:image/png;charset=utf-8;name=%20;base64,{PNG}",
        f" data:image/png ;base64, {PNG}\n",
        f"data:image/png;base64,{PNG[:4]}\r\n{PNG[4:10]}\n{PNG[10:]}\r\n",
        f"data:image/png;base64,{PNG[:7]} \t{PNG[7:]}",
        f"data:image/png;base64,{' '.join(PNG)}",
    ],
)
def test_parameters_line_breaks_and_blanks_do_no_harm(url: str) -> None:
    assert read(TEXT, image(url)) == UserMessage("what is this?", (Image("image/png", PNG),))


def test_a_large_image_with_line_breaks() -> None:
    data = base64.b64encode(bytes(range(256)) * 2000).decode()
    lines = "\n".join(data[start : start + 76] for start in range(0, len(data), 76))
    assert read(TEXT, image(f"data:image/png;base64,{lines}")) == UserMessage(
        "what is this?", (Image("image/png", data),)
    )


def test_an_image_needs_no_text() -> None:
    message = read(image(f"data:image/png;base64,{PNG}"), image(f"data:image/png;base64,{PNG}"))
    assert message is not None
    assert len(message.images) == 2


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (image("data:image/svg+xml;base64,AAAA"), ".image_url"),
        (image("data:text/html;base64,AAAA"), ".image_url"),
        (image("data:image/png;base64,not base64!"), ".image_url"),
        (image("data:image/png;base64,AAA"), ".image_url"),
        (image("data:image/png;base64,"), ".image_url"),
        (image("data:image/png;base64, \n "), ".image_url"),
        (image("data:image/png;base64,AA==AAAA"), ".image_url"),
        (image("data:image/png;base64," + "A" * 65_532 + "AA==AAAA"), ".image_url"),
        (image("data:image/png;base65,AAAA"), ".image_url"),
        (image("data:;base64,AAAA"), ".image_url"),
        (image("data:image/png,AAAA"), ".image_url"),
        (image("https://example.org/x.png"), ".image_url"),
        (image("file:///etc/passwd"), ".image_url"),
        (image(""), ".image_url"),
        ({"type": "image_url"}, ".image_url"),
        ({"type": "image_url", "image_url": {"link": "x"}}, ".image_url.url"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, ""),
        ({"type": "file", "file": {"file_id": "x"}}, ""),
        ({"type": "something new"}, ""),
    ],
)
def test_what_is_refused_is_named(part: object, param: str) -> None:
    with pytest.raises(ApiError) as raised:
        read(TEXT, part)
    assert raised.value.status == 400
    assert raised.value.body.error.param == f"messages[0].content[1]{param}"
    assert "AAAA" not in raised.value.body.error.message


def test_images_on_the_web_are_for_the_operator_to_allow() -> None:
    url = "https://example.org/x.png"
    assert read(TEXT, image(url), image_links=True) == UserMessage("what is this?", (ImageLink(url),))
    with pytest.raises(ApiError):
        read(TEXT, image("file:///etc/passwd"), image_links=True)


def test_images_in_the_history_are_not_looked_at() -> None:
    messages = [
        {"role": "user", "content": [image("https://example.org/x.png")]},
        {"role": "assistant", "content": "a picture"},
        {"role": "user", "content": "thanks"},
    ]
    assert read_chat_request(json.dumps({"messages": messages}).encode()).message == UserMessage("thanks")
