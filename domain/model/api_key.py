"""API keys: the secrets that this service's clients send. Not the credential for the backend."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

import msgspec

from domain.model.agent import Agent

_VARIABLE = re.compile(r"\$\w+|\$\{.*\}|\$\(.*\)|%\w+%")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LIFETIME = re.compile(r"([1-9][0-9]{0,4})([dhm])")
# Characters, and different ones, of a key that nobody can guess.
_SHORT = 16
_FEW = 6


class ApiKey(msgspec.Struct, frozen=True):
    """The key as bytes, because that is what arrives: a candidate that is not ASCII is just a wrong one."""

    value: bytes

    def __post_init__(self) -> None:
        if not self.value:
            raise ValueError("an empty API key would let everybody in")

    def matches(self, candidate: bytes) -> bool:
        """In constant time, so that nobody learns the key from how long a refusal takes."""
        return hmac.compare_digest(self.value, candidate)

    def __repr__(self) -> str:
        return "ApiKey(hidden)"


def new_key_id() -> str:
    """No name of a key begins with a colon, so that no id is ever a name."""
    return f":{secrets.token_hex(16)}"


class NamedKey(msgspec.Struct, frozen=True):
    """One of several keys, of which only the digest is kept. Times are in seconds since 1970."""

    name: str
    digest: str
    made_at: float
    agents: tuple[str, ...] = ()
    """The names or ids of the only agents that it is for. Empty: all."""
    chat_headers: bool = True
    """Whether it may say for which chat it speaks."""
    expires_at: float | None = None
    id: str = msgspec.field(default_factory=new_key_id)
    """What belongs to this key is known by its id, which is never given again. A name may be."""
    usage: bool = False
    """Whether answers to it tell the tokens that were used."""
    share_chats: bool = False
    """Whether its chats are the main key's."""
    admin: bool = False
    """Whether it may see and stop what belongs to other keys, and make keys."""

    def holds(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


def named_key(kept: Mapping[str, object]) -> NamedKey:
    """From what is kept of it; raises `msgspec.ValidationError`.

    Before keys had ids, what belonged to a key was known by its name: so that is the id of such a key."""
    return msgspec.convert({**kept, "id": kept.get("id") or kept.get("name")}, NamedKey)


def is_key_name(text: str) -> bool:
    """Whether a key can have this name."""
    return _NAME.fullmatch(text) is not None


def key_name(text: str) -> str:
    """A name for a key; raises `ValueError` that says what is wrong."""
    if not is_key_name(text):
        raise ValueError("letters, digits, and . _ @ - only, up to 64")
    return text


def key_lifetime(text: str) -> float:
    """Seconds, of a text such as 90d, 12h, 30m; raises `ValueError` that says what is wrong."""
    match = _LIFETIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("a number and d, h or m, such as 90d")
    return int(match[1]) * {"d": 86400.0, "h": 3600.0, "m": 60.0}[match[2]]


class Caller(msgspec.Struct, frozen=True):
    """Who asks, known by its key."""

    name: str = ""
    """Empty: the main key, which may do everything."""
    digest: str = ""
    """That of the key. Whoever has the key can compute it as well."""
    agents: tuple[str, ...] = ()
    chat_headers: bool = True
    id: str = ""
    """That of the key; empty for the main key."""
    usage: bool = False
    share_chats: bool = False
    admin: bool = False
    """Whether it may see and change what belongs to other keys. The main key may."""
    expires_at: float | None = None

    def may_ask(self, name: str, agent: Agent) -> bool:
        """Whether that agent is for it, which is on offer under that name."""
        return not self.agents or name in self.agents or agent.key in self.agents

    @property
    def is_admin(self) -> bool:
        return self.admin or not self.id

    def own(self, named: str | None) -> str | None:
        """What this client calls a chat or a message, so that it is no other key's: nobody can send a line break."""
        if named is None or not self.id or self.share_chats:
            return named
        return f"{self.id}\n{named}"


def owner_of(chat: str) -> str:
    """The id of the API key whose chat this is, as `Caller.own` calls it; empty: the main key's, or nobody's."""
    owner, separator, _ = chat.partition("\n")
    return owner if separator else ""


def is_owned_by(chat: str, owner: str) -> bool:
    """Whether it is a chat of the API key with this id. The chat of messages without a chat key is nobody's."""
    return chat.startswith(f"{owner}\n") if owner else "\n" not in chat


EVERYBODY = Caller()


def named_by_client(own: str | None) -> str | None:
    """What the client called it, of a name that `Caller.own` has made."""
    return None if own is None else own.rpartition("\n")[2]


def digest_of(key: bytes) -> str:
    """What is kept of a key: 256 random bits need no salt, and no slow function."""
    return hashlib.sha256(key).hexdigest()


def new_key() -> str:
    """64 hexadecimal characters that nobody can guess."""
    return secrets.token_hex(32)


def is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`"


def oddity(key: str) -> str | None:
    """What in a key is hardly meant to be part of it, in words that go on after its place and never show it."""
    if is_quoted(key):
        return "has quotes around it, which are part of the key: not everything that sets variables takes them away"
    if " #" in key:
        return "has a # behind a blank: a comment, perhaps, which is part of the key now"
    if key.lower().startswith("bearer "):
        return "begins with 'Bearer', which is not part of a key"
    if _VARIABLE.fullmatch(key):
        return "is the name of a variable, or a command, that nothing has put a value in place of"
    return None


def weakness(key: str) -> str | None:
    """Why somebody should choose another key; as `oddity`."""
    if (odd := oddity(key)) is not None:
        return odd
    if len(key) < _SHORT or len(set(key)) < _FEW:
        return "can be guessed, it is that short or simple; a good one: openssl rand -hex 32"
    return None


def is_sendable(key: str) -> bool:
    """Whether it can stand in a header and arrive as it is: no line breaks, control characters, blanks around it."""
    return bool(key) and key.isprintable() and key == key.strip()
