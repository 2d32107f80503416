"""Which API key holds: the first one kept anywhere, else a new one."""

from collections.abc import Callable, Sequence

import msgspec

from ports.key_store import KeyStore


class EstablishedKey(msgspec.Struct, frozen=True):
    """`generated`: the key is new, and its owner has never seen it."""

    key: str
    place: str
    generated: bool

    def __repr__(self) -> str:
        return f"EstablishedKey(hidden, place={self.place!r}, generated={self.generated})"


def establish_key(stores: Sequence[KeyStore], generate: Callable[[], str]) -> EstablishedKey:
    """Ask the stores in order; if none has a key, keep a new one in the last. Raises `KeyStoreError`."""
    for store in stores:
        key = store.read()
        if key is not None:
            return EstablishedKey(key, store.place, generated=False)
    store, new = stores[-1], generate()
    # Another process may have been quicker; then its key is the one that is kept, and its owner was told.
    kept = store.create(new)
    return EstablishedKey(kept, store.place, generated=kept == new)
