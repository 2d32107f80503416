"""A key store and a key ring in memory."""

from collections.abc import Sequence

from domain.model.api_key import NamedKey
from ports.key_store import KeyStoreError


class FakeKeyStore:
    """`asked` counts the reads; `rival` is a key that another process puts here between a read and a create."""

    def __init__(self, key: str | None = None, place: str = "memory", rival: str | None = None) -> None:
        self.key = key
        self.rival = rival
        self.asked = 0
        self._place = place

    @property
    def place(self) -> str:
        return self._place

    def read(self) -> str | None:
        self.asked += 1
        return self.key

    def create(self, key: str) -> str:
        self.key = self.key or self.rival or key
        return self.key

    def replace(self, key: str) -> None:
        self.key = key


class FakeNamedKeyStore:
    """Named keys in memory. `broken`: it cannot be read."""

    place = "memory"

    def __init__(self, *keys: NamedKey) -> None:
        self.kept = list(keys)
        self.broken = False

    def all(self) -> Sequence[NamedKey]:
        if self.broken:
            raise KeyStoreError("it cannot be read")
        return list(self.kept)

    def add(self, key: NamedKey) -> None:
        if any(kept.name == key.name for kept in self.kept):
            raise KeyStoreError(f"There is a key of the name {key.name} already.")
        self.kept.append(key)

    def remove(self, name: str) -> bool:
        before = len(self.kept)
        self.kept = [key for key in self.kept if key.name != name]
        return len(self.kept) < before
