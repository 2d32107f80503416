"""What is in a user message: text, and images. OpenAI's content parts, and what is refused of them."""

import binascii
import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from domain.model.turn import Image, ImageLink, UserMessage
from entrypoints.http.api_errors import ApiError
from entrypoints.http.body.json_body import ObjectReader, begins_with, decode, elements

# What Letta passes on to language models.
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
# Between type and data there may be parameters, such as a file's name.
_DATA_URL = re.compile(
    r"\s{0,100}data:\s{0,100}([^;,\s]{0,1000})\s{0,100}(?:;.{0,1000}?)?;\s{0,100}base64\s{0,100},",
    re.IGNORECASE | re.DOTALL,
)
# Characters that are looked at in one step: a multiple of four.
_STEP = 65_536
_LONGEST_SHOWN = 60


class _ImageUrl(msgspec.Struct, frozen=True):
    url: str


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    image_url: Raw = Raw(b"")


_parts = ObjectReader(_Part)
_image_urls = ObjectReader(_ImageUrl)
_text_decoder: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_content_decoder: msgspec.json.Decoder[str | list[Raw] | None] = msgspec.json.Decoder(str | list[Raw] | None)


def read_content(content: Raw, at: str, image_links: bool = False) -> UserMessage:
    """Raises `ApiError` 400 that names the part which is wrong, also when there is nothing to deliver."""
    param = at.lstrip(".")
    texts: list[str] = []
    images: list[Image | ImageLink] = []
    if begins_with(b"[", content):
        for index, each in enumerate(elements(content, at)):
            part, where = _parts.read(each, f"{at}[{index}]"), f"{param}[{index}]"
            if part.type in ("text", "input_text", "output_text"):
                texts.append(part.text or "")
            elif part.type in ("image_url", "input_image"):
                images.append(
                    _image(_url(part.image_url, f"{at}[{index}].image_url"), f"{where}.image_url", image_links)
                )
            else:
                raise _unsupported(
                    where, f"parts of type {_shown(part.type)} are not supported; send text and images (image_url) only"
                )
    else:
        text = decode(content or Raw(b"null"), _content_decoder, at)
        texts.append(text if isinstance(text, str) else "")
    text = "\n".join(texts)
    if not text.strip() and not images:
        raise ApiError(400, f"{param}: the last user message is blank.", param=param)
    return UserMessage(text, tuple(images))


def _url(image: Raw, at: str) -> str:
    if begins_with(b"{", image):
        return _image_urls.read(image, at).url
    return decode(image or Raw(b"null"), _text_decoder, at) or ""


def _image(url: str, where: str, image_links: bool) -> Image | ImageLink:
    if found := _DATA_URL.match(url):
        media_type = found[1].lower().replace("image/jpg", "image/jpeg")
        if media_type not in _IMAGE_TYPES:
            raise _unsupported(
                where, f"images of type {_shown(media_type)} are not supported; send png, jpeg, gif or webp"
            )
        return Image(media_type, _checked_base64(url[found.end() :], where))
    if url[:8].lower().startswith(("http://", "https://")):
        if image_links:
            return ImageLink(url)
        raise _unsupported(
            where,
            "images on the web are not fetched, because the Letta server would have to do it; "
            "send the image itself, as a data: URL (or have server.api.imageUrls set to any)",
        )
    raise _unsupported(where, "this is no image; send a data: URL such as data:image/png;base64,...")


def _checked_base64(data: str, where: str) -> str:
    """The data as language models want it: without line breaks and blanks."""
    if not all(map(_is_base64, _steps(data))):
        data = "".join(["".join(step.split()) for step in _steps(data)])
    if not data:
        raise ApiError(400, f"{where}: the image is empty.", param=where)
    # Only the end of all can be the end of base64.
    if not all(map(_is_base64, _steps(data))) or "=" in data[:-2]:
        raise ApiError(400, f"{where}: the data of the image is not valid base64.", param=where)
    return data


def _steps(data: str) -> Iterator[str]:
    return (data[start : start + _STEP] for start in range(0, len(data), _STEP))


def _is_base64(data: str) -> bool:
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        return False
    return True


def _shown(type_: str) -> str:
    return repr(type_ if len(type_) <= _LONGEST_SHOWN else f"{type_[:_LONGEST_SHOWN]}...")


def _unsupported(where: str, problem: str) -> ApiError:
    return ApiError(400, f"{where}: {problem}.", param=where, code="unsupported_content")
