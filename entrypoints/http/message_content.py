"""What is in a user message: text, and images. OpenAI's content parts, and what is refused of them."""

import binascii
import re

import msgspec
from msgspec import Raw

from domain.model.turn import Image, ImageLink, UserMessage
from entrypoints.http.api_errors import ApiError
from entrypoints.http.json_body import decode

# What Letta passes on to language models.
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DATA_URL = re.compile(r"data:([^;,]*);base64,", re.IGNORECASE)


class _ImageUrl(msgspec.Struct, frozen=True):
    url: str


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    image_url: str | _ImageUrl | None = None


_content_decoder: msgspec.json.Decoder[str | list[_Part] | None] = msgspec.json.Decoder(str | list[_Part] | None)


def read_content(content: Raw, at: str, image_links: bool = False) -> UserMessage:
    """Raises `ApiError` 400 that names the part which is wrong, also when there is nothing to deliver."""
    param = at.lstrip(".")
    parts = decode(content or Raw(b"null"), _content_decoder, at)
    texts: list[str] = []
    images: list[Image | ImageLink] = []
    if isinstance(parts, list):
        for index, part in enumerate(parts):
            where = f"{param}[{index}]"
            if part.type in ("text", "input_text"):
                texts.append(part.text or "")
            elif part.type in ("image_url", "input_image"):
                images.append(_image(part.image_url, f"{where}.image_url", image_links))
            else:
                raise _unsupported(
                    where, f"parts of type {part.type!r} are not supported; send text and images (image_url) only"
                )
    else:
        texts.append(parts or "")
    text = "\n".join(texts)
    if not text.strip() and not images:
        raise ApiError(400, f"{param}: the last user message is blank.", param=param)
    return UserMessage(text, tuple(images))


def _image(image: str | _ImageUrl | None, where: str, image_links: bool) -> Image | ImageLink:
    url = image.url if isinstance(image, _ImageUrl) else image or ""
    if found := _DATA_URL.match(url):
        media_type = found[1].lower().replace("image/jpg", "image/jpeg")
        if media_type not in _IMAGE_TYPES:
            raise _unsupported(where, f"images of type {media_type!r} are not supported; send png, jpeg, gif or webp")
        data = url[found.end() :]
        _check_base64(data, where)
        return Image(media_type, data)
    if url.lower().startswith(("http://", "https://")):
        if image_links:
            return ImageLink(url)
        raise _unsupported(
            where,
            "images on the web are not fetched, because the Letta server would have to do it; "
            "send the image itself, as a data: URL (or have server.api.imageUrls set to any)",
        )
    raise _unsupported(where, "this is no image; send a data: URL such as data:image/png;base64,...")


def _check_base64(data: str, where: str) -> None:
    try:
        if not binascii.a2b_base64(data, strict_mode=True):
            raise ApiError(400, f"{where}: the image is empty.", param=where)
    except ValueError:
        raise ApiError(400, f"{where}: the data of the image is not valid base64.", param=where) from None


def _unsupported(where: str, problem: str) -> ApiError:
    return ApiError(400, f"{where}: {problem}.", param=where, code="unsupported_content")
