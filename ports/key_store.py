"""Where the API key of this service's clients is kept. Not the credential for the backend."""

from typing import Protocol


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
