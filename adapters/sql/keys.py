"""API keys in PostgreSQL, where services on several machines share them. Called from commands, and from threads."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import psycopg

from adapters.sql.database import open_database
from adapters.sql.postgres import connect_options
from domain.model.api_key import NamedKey, is_sendable, named_key
from domain.model.failures import FailureError
from ports.key_store import KeyStoreError

# Names are never empty: this is where the key is that has none.
_NAMELESS = ""

_Connection = psycopg.Connection[tuple[bytes]]
_decoder = msgspec.json.Decoder(dict[str, object])


class _Keys:
    """The table: for each name what is kept, oldest first."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._has_tables = False

    @property
    def place(self) -> str:
        return f"the database {psycopg.conninfo.conninfo_to_dict(self._url).get('dbname')}"

    @contextmanager
    def opened(self) -> Iterator[_Connection]:
        """Raises `KeyStoreError`."""
        try:
            if not self._has_tables:
                asyncio.run(self._make_tables())
                self._has_tables = True
            with psycopg.connect(self._url, **connect_options(self._url)) as connection:
                yield connection
        except (psycopg.Error, FailureError, OSError) as error:
            cause = error.failure.cause if isinstance(error, FailureError) else str(error)
            raise KeyStoreError(f"The API keys in {self.place} cannot be reached: {cause}") from error

    def put(self, connection: _Connection, name: str, content: bytes) -> bool:
        """Whether there was none of that name."""
        insert = "INSERT INTO lettabot_keys (name, content) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        return connection.execute(insert, (name, content)).rowcount == 1

    async def _make_tables(self) -> None:
        await (await open_database(self._url)).close()


class PostgresKeyStore:
    """`ports.KeyStore`. `url` as the settings have it."""

    def __init__(self, url: str) -> None:
        self._keys = _Keys(url)

    @property
    def place(self) -> str:
        return self._keys.place

    def read(self) -> str | None:
        with self._keys.opened() as connection:
            return _key_in(connection)

    def create(self, key: str) -> str:
        self._check(key)
        with self._keys.opened() as connection:
            self._keys.put(connection, _NAMELESS, key.encode())
            return _key_in(connection) or key

    def replace(self, key: str) -> None:
        self._check(key)
        with self._keys.opened() as connection:
            connection.execute("DELETE FROM lettabot_keys WHERE name = %s", (_NAMELESS,))
            self._keys.put(connection, _NAMELESS, key.encode())

    def _check(self, key: str) -> None:
        if not is_sendable(key):
            raise KeyStoreError(f"This key is not written to {self.place}: no client could send it.")


class PostgresNamedKeyStore:
    """`ports.NamedKeyStore`. `url` as the settings have it."""

    def __init__(self, url: str) -> None:
        self._keys = _Keys(url)

    @property
    def place(self) -> str:
        return self._keys.place

    def all(self) -> Sequence[NamedKey]:
        with self._keys.opened() as connection:
            found = connection.execute(
                "SELECT content FROM lettabot_keys WHERE name <> %s ORDER BY number", (_NAMELESS,)
            ).fetchall()
        try:
            return [named_key(_decoder.decode(content)) for (content,) in found]
        except msgspec.MsgspecError as error:
            raise KeyStoreError(f"The API keys in {self.place} cannot be understood: {error}") from error

    def add(self, key: NamedKey) -> None:
        with self._keys.opened() as connection:
            if not self._keys.put(connection, key.name, msgspec.json.encode(key)):
                raise KeyStoreError(f"There is a key of the name {key.name} already; revoke it first.")

    def remove(self, name: str) -> bool:
        if name == _NAMELESS:
            return False
        with self._keys.opened() as connection:
            return connection.execute("DELETE FROM lettabot_keys WHERE name = %s", (name,)).rowcount == 1


def _key_in(connection: _Connection) -> str | None:
    found = connection.execute("SELECT content FROM lettabot_keys WHERE name = %s", (_NAMELESS,)).fetchone()
    return None if found is None else found[0].decode()
