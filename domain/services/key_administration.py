"""Makes, lists and revokes named keys while the service runs. Who may do that is asked here, too."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from domain.model.api_key import Caller, NamedKey, digest_of, is_key_name, new_key
from domain.services.api_keys import ApiKeys
from ports.key_store import NamedKeyStore


class NotAnAdminError(Exception):
    """The caller's key may not do this."""


class NameTakenError(Exception):
    """There is a key of that name."""


class KeyWish(msgspec.Struct, frozen=True):
    """What a new key is to be like. Checked: see `key_name` and `key_lifetime`."""

    name: str
    agents: tuple[str, ...] = ()
    lifetime: float | None = None
    """Seconds. None: for ever, or as long as the key that makes it."""
    chat_headers: bool = True
    usage: bool = False
    share_chats: bool = False
    admin: bool = False


class KeyAdministration:
    """Every method raises `NotAnAdminError`, and `KeyStoreError` if the keys cannot be read or written."""

    def __init__(self, ring: NamedKeyStore, keys: ApiKeys) -> None:
        self._ring = ring
        self._keys = keys

    async def all(self, caller: Caller) -> Sequence[NamedKey]:
        """All of them, oldest first."""
        _check(caller)
        return await asyncio.to_thread(self._ring.all)

    async def make(self, caller: Caller, wish: KeyWish) -> tuple[NamedKey, str]:
        """The key, and its secret, which is nowhere afterwards. Raises `NameTakenError`.

        No key makes one that may do more, or holds longer, than itself."""
        _check(caller)
        if caller.agents and not set(wish.agents or ("",)) <= set(caller.agents):
            raise NotAnAdminError
        if caller.id and wish.share_chats and not caller.share_chats:
            raise NotAnAdminError
        now, secret = time.time(), new_key()
        ends = [] if wish.lifetime is None else [now + wish.lifetime]
        if caller.expires_at is not None:
            ends.append(caller.expires_at)
        made = NamedKey(
            wish.name,
            digest_of(secret.encode()),
            made_at=now,
            agents=wish.agents,
            chat_headers=wish.chat_headers,
            expires_at=min(ends, default=None),
            usage=wish.usage,
            share_chats=wish.share_chats,
            admin=wish.admin,
        )
        if any(key.name == wish.name for key in await asyncio.to_thread(self._ring.all)):
            raise NameTakenError
        await asyncio.to_thread(self._ring.add, made)
        self._keys.look_anew()
        return made, secret

    async def revoke(self, caller: Caller, name: str) -> bool:
        """Whether there was one of that name. What goes on for it ends soon."""
        _check(caller)
        if not is_key_name(name):
            # Databases do not take every text.
            return False
        found = await asyncio.to_thread(self._ring.remove, name)
        self._keys.look_anew()
        return found


def _check(caller: Caller) -> None:
    if not caller.is_admin:
        raise NotAnAdminError
