"""API keys in PostgreSQL, where services on several machines share them. Called from commands, and from threads."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.database import open_database, was_done
from adapters.sql.schema import keys
from domain.model.api_key import NamedKey, is_sendable, named_key
from domain.model.failures import FailureError
from ports.key_store import KeyStoreError

# Names are never empty: this is where the key is that has none.
_NAMELESS = ""

T = TypeVar("T")

_decoder = msgspec.json.Decoder(dict[str, object])


class _KeyTable:
    """The table: for each name what is kept, oldest first. Each call has an event loop and a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def place(self) -> str:
        return f"the database {make_url(self._url).database}"

    def do(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What that work returns, which is one transaction. Raises `KeyStoreError`."""
        try:
            return asyncio.run(self._do(work))
        except (FailureError, OSError) as error:
            cause = error.failure.cause if isinstance(error, FailureError) else str(error)
            raise KeyStoreError(f"The API keys in {self.place} cannot be reached: {cause}") from error

    def put(self, name: str, content: bytes) -> bool:
        """Whether there was none of that name."""
        row = {"name": name, "content": content}

        async def put(connection: AsyncConnection) -> bool:
            if await connection.scalar(select(keys.c.number).where(keys.c.name == name)) is not None:
                return False
            return await was_done(connection, keys.insert().returning(keys.c.number), row)

        return self.do(put)

    def remove(self, name: str) -> bool:
        """Whether there was one of that name."""

        async def remove(connection: AsyncConnection) -> bool:
            return (await connection.execute(keys.delete().where(keys.c.name == name))).rowcount == 1

        return self.do(remove)

    async def _do(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        database = await open_database(self._url)
        try:
            async with database.transaction() as connection:
                await database.hold(connection, "keys")
                return await work(connection)
        finally:
            await database.close()


class PostgresKeyStore:
    """`ports.KeyStore`. `url` as the settings have it."""

    def __init__(self, url: str) -> None:
        self._table = _KeyTable(url)

    @property
    def place(self) -> str:
        return self._table.place

    def read(self) -> str | None:
        async def read(connection: AsyncConnection) -> bytes | None:
            found: bytes | None = await connection.scalar(select(keys.c.content).where(keys.c.name == _NAMELESS))
            return found

        found = self._table.do(read)
        return None if found is None else found.decode()

    def create(self, key: str) -> str:
        self._check(key)
        self._table.put(_NAMELESS, key.encode())
        return self.read() or key

    def replace(self, key: str) -> None:
        self._check(key)

        async def replace(connection: AsyncConnection) -> None:
            await connection.execute(keys.delete().where(keys.c.name == _NAMELESS))
            await connection.execute(keys.insert(), {"name": _NAMELESS, "content": key.encode()})

        self._table.do(replace)

    def _check(self, key: str) -> None:
        if not is_sendable(key):
            raise KeyStoreError(f"This key is not written to {self.place}: no client could send it.")


class PostgresNamedKeyStore:
    """`ports.NamedKeyStore`. `url` as the settings have it."""

    def __init__(self, url: str) -> None:
        self._table = _KeyTable(url)

    @property
    def place(self) -> str:
        return self._table.place

    def all(self) -> Sequence[NamedKey]:
        async def all_(connection: AsyncConnection) -> Sequence[bytes]:
            named = select(keys.c.content).where(keys.c.name != _NAMELESS)
            return (await connection.scalars(named.order_by(keys.c.number))).all()

        found = self._table.do(all_)
        try:
            return [named_key(_decoder.decode(content)) for content in found]
        except msgspec.MsgspecError as error:
            raise KeyStoreError(f"The API keys in {self.place} cannot be understood: {error}") from error

    def add(self, key: NamedKey) -> None:
        if not self._table.put(key.name, msgspec.json.encode(key)):
            raise KeyStoreError(f"There is a key of the name {key.name} already; revoke it first.")

    def remove(self, name: str) -> bool:
        return name != _NAMELESS and self._table.remove(name)
