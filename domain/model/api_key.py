"""The API key: the secret that this service's clients send. Not the credential for the backend."""

import hmac
import secrets

import msgspec


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


def new_key() -> str:
    """64 hexadecimal characters that nobody can guess."""
    return secrets.token_hex(32)


def is_sendable(key: str) -> bool:
    """Whether it can stand in a header and arrive as it is: no line breaks, control characters, blanks around it."""
    return bool(key) and key.isprintable() and key == key.strip()
