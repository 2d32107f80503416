"""Where the API keys of this service's clients are kept. Not the credential for the backend."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.api_key import NamedKey


class KeyStoreError(Exception):
    """The key cannot be read or kept; the message says where, why, and what to do."""


class KeyStore(Protocol):
    """Raises `KeyStoreError` whenever it cannot answer for certain."""

    @property
    def place(self) -> str:
        """Where it is kept, in words for the operator, such as a path."""
        ...

    def read(self) -> str | None:
        """The key, or None if none was ever kept here."""
        ...

    def create(self, key: str) -> str:
        """Keep this key unless there is one already; either way, return the one that is kept now."""
        ...

    def replace(self, key: str) -> None:
        """Keep this key in place of the old one."""
        ...


class NamedKeyStore(Protocol):
    """The keys that have names, beside the one that a `KeyStore` keeps. Raises `KeyStoreError`."""

    @property
    def place(self) -> str:
        """Where they are kept, in words for the operator, such as a path."""
        ...

    def all(self) -> Sequence[NamedKey]:
        """All of them, oldest first; cheap enough to be asked every second."""
        ...

    def add(self, key: NamedKey) -> None:
        """Keep this one as well; raises `KeyStoreError` if there is one of that name."""
        ...

    def remove(self, name: str) -> bool:
        """Keep it no longer; whether there was one of that name."""
        ...
