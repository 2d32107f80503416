"""Which API keys hold: the first one kept anywhere, else a new one; and those with names."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from domain.model.api_key import ApiKey, Caller, NamedKey, digest_of
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from ports.key_store import KeyStore, KeyStoreError, NamedKeyStore

# Seconds for which named keys are believed without looking: so long a revoked key still works.
LOOK_EVERY = 1.0

logger = logging.getLogger(__name__)


class EstablishedKey(msgspec.Struct, frozen=True):
    """The main key."""

    key: str
    place: str
    """Where it is kept, for people."""
    generated: bool
    """Whether it is new, so that its owner has never seen it."""

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


class ApiKeys:
    """Who comes with which key. Named keys may be made and revoked at any time, by other processes."""

    def __init__(self, main: ApiKey, ring: NamedKeyStore, clock: Callable[[], float] = time.time) -> None:
        self._main = main
        self._main_caller = Caller(digest=digest_of(main.value))
        self._ring = ring
        self._clock = clock
        self._look_at = 0.0
        self._looking = asyncio.Lock()
        self._by_digest: Mapping[str, NamedKey] = {}
        self._by_id: Mapping[str, NamedKey] = {}
        self._failure: Failure | None = None

    async def caller(self, candidate: bytes) -> Caller | None:
        """Whose key this is; None: nobody's. Raises `FailureError` (`state_unavailable`) if that cannot be known.

        Named keys are looked up by digest: how long that takes says nothing about any key."""
        if self._main.matches(candidate):
            return self._main_caller
        now = self._clock()
        await self._look(now)
        key = self._by_digest.get(digest_of(candidate))
        return _caller(key) if key is not None and key.holds(now) else None

    async def holder(self, key_id: str) -> Caller | None:
        """The caller whose key has that id, if it still holds. Raises as `caller` does."""
        if not key_id:
            return self._main_caller
        now = self._clock()
        await self._look(now)
        key = self._by_id.get(key_id)
        return _caller(key) if key is not None and key.holds(now) else None

    async def names(self) -> Mapping[str, str]:
        """By the id of each named key: its name. Raises as `caller` does."""
        await self._look(self._clock())
        return {id_: key.name for id_, key in self._by_id.items()}

    async def _look(self, now: float) -> None:
        async with self._looking:
            if not now < self._look_at <= now + LOOK_EVERY:
                before, self._failure = self._failure, None
                try:
                    keys = await asyncio.to_thread(self._ring.all)
                    self._by_digest = {key.digest: key for key in keys}
                    self._by_id = {key.id: key for key in keys}
                except KeyStoreError as error:
                    # A key that may have been revoked does not hold, and one that holds is not wrong.
                    self._failure = Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, str(error), retry_after=5)
                    if self._failure != before:
                        logger.error("No named key works: %s", error)
                self._look_at = now + LOOK_EVERY
            if self._failure is not None:
                raise FailureError(self._failure)


def _caller(key: NamedKey) -> Caller:
    return Caller(key.name, key.digest, key.agents, key.chat_headers, key.id, key.usage, key.share_chats, key.admin)
