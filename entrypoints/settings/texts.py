"""The rules for texts in settings. Each takes a text and returns it as it is meant, or raises `ValueError`."""

import json
import re
import unicodedata
from ipaddress import ip_address
from urllib.parse import urlsplit

from domain.model.api_key import is_sendable

# The modes' old names, and the old LettaBot's log levels that ours does not have.
_OLD_MODES = {"cloud": "api", "selfhosted": "docker"}
_OLD_LEVELS = {"fatal": "error", "warn": "warning", "trace": "debug"}
# Where the state is: nowhere but in memory, in a file, or in a database that several services share.
MEMORY = "memory"
SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:\d*)?")
_NUMBERS = re.compile(r"\d+(\.\d+){3}")
_URL_LIMIT = 2000
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BACKEND_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_ORIGIN = re.compile(r"\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^\s/,\\?#@*]+")


def plain(text: str) -> str:
    """No control characters, and nothing that cannot be written as UTF-8."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError
    return text


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def word(text: str) -> str:
    if not text or any(character.isspace() for character in text):
        raise ValueError
    return text


def header(text: str) -> str:
    """A header's name (RFC 9110), in the lower case in which servers hand it on."""
    if not _HEADER.fullmatch(text):
        raise ValueError
    return text.lower()


def mode(text: str) -> str:
    return _OLD_MODES.get(text.lower(), text.lower())


def permissions(text: str) -> str:
    """In any case."""
    return {"acceptedits": "acceptEdits"}.get(text.lower(), text.lower())


def log_level(text: str) -> str:
    return _OLD_LEVELS.get(text.lower(), text.lower())


def letta_api_key(text: str) -> str:
    if not is_sendable(text) or not text.isascii():
        raise ValueError
    return text


def backend_name(text: str) -> str:
    """Agents are asked for as NAME/AGENT."""
    if not _BACKEND_NAME.fullmatch(text):
        raise ValueError
    return text


def may_have_password(url: str) -> bool:
    return "@" in url


def state(text: str) -> str:
    if text.startswith(_POSTGRESQL):
        if not urlsplit(text).path.strip("/"):
            raise ValueError
        return _POSTGRESQL[0] + text.partition("://")[2]
    if text != MEMORY and not (text.startswith(SQLITE) and text.removeprefix(SQLITE).strip()):
        raise ValueError
    return text


def origin(text: str) -> str:
    """Browsers send origins without a slash at the end."""
    text = text.removesuffix("/")
    if not _ORIGIN.fullmatch(text):
        raise ValueError
    return text


def names(text: str) -> list[str]:
    """Several, with commas between them."""
    found = [each.strip() for each in text.split(",") if each.strip()]
    if not found:
        raise ValueError
    return found


def origins(text: str) -> list[str]:
    """Several, with commas between them."""
    found = [origin(each.strip()) for each in text.split(",") if each.strip()]
    if not found:
        raise ValueError
    return found


def base_url(text: str) -> str:
    """Without slashes at its end. A password in the URL is refused, because URLs are shown in logs."""
    url = urlsplit(word(text))
    if url.scheme.lower() not in ("http", "https", "ws", "wss") or "@" in url.netloc or "?" in text or "#" in text:
        raise ValueError
    # Asking for the port checks it.
    if url.port == 0 or not url.hostname or not _is_host(url.hostname, url.netloc) or len(text) > _URL_LIMIT:
        raise ValueError
    return f"{url.scheme.lower()}://{url.netloc}{url.path.rstrip('/')}"


def without_v1(url: str) -> str:
    """Without the /v1 that people copy along: letta-client adds it itself."""
    parts = urlsplit(url)
    path = parts.path
    while path.endswith("/v1"):
        path = path.removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_host(name: str, netloc: str) -> bool:
    if netloc.startswith("["):
        return bool(_BRACKETED.fullmatch(netloc)) and ":" in name
    if _NUMBERS.fullmatch(name):
        # Raises `ValueError`.
        ip_address(name)
    labels = name.removesuffix(".").split(".")
    return bool(_HOST.fullmatch(name)) and all(0 < len(label) < 64 for label in labels)


def shown(value: object) -> str:
    """A value as an error message shows it: short, and on one line."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value if len(value) <= 60 else value[:60] + "...")
        case int() | float():
            return str(value) if abs(value) < 1e20 or value != value else "a very large number"
        case list() | tuple() | set():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def metrics(text: str) -> str:
    """`off`, `key`, or HOST:PORT; of a port alone, its host is this machine."""
    text = text.strip().lower()
    if text in ("off", "key"):
        return text
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536) or any(
        map(str.isspace, host)
    ):
        raise ValueError
    return f"{host or '127.0.0.1'}:{int(port)}"
