"""Carries out changes in PostgreSQL: a whole transaction is sent at once (pipeline mode), and waited for once."""

import re
import selectors
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg

from adapters.sql.group_commit import Change, Row, Rows
from adapters.sql.lock_number import lock_number
from adapters.sql.postgres import connect_options

# In this order, so that no two transactions wait for each other.
_LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number"
# Seconds without use after which a connection is asked whether it is still there.
_ASK_AFTER = 5.0


class PostgresDriver:
    """`Driver`. `url` as the settings have it."""

    is_pipelined = True
    errors = psycopg.Error

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Row] | None = None
        self._idle_since = 0.0

    def carry_out(self, changes: Sequence[Change[Any]]) -> Sequence[Any]:
        connection = self._connected()
        locks = sorted({lock_number(change.lock) for change in changes if change.lock})
        # All that is sent in one go is one transaction, without BEGIN and COMMIT; an error undoes all of it.
        with connection.pipeline():
            if locks:
                connection.execute(_LOCK, [locks])
            results = [change.carry_out(self) for change in changes]
        self._idle_since = time.monotonic()
        return [result() for result in results]

    def send(self, sql: str, values: Mapping[str, Any]) -> Rows:
        """`Statements`."""
        assert self._connection is not None  # noqa: S101
        cursor = self._connection.execute(_with_percent(sql), values)
        return lambda: cursor.fetchall() if cursor.description else []

    def is_of_one(self, error: Exception) -> bool:
        return self._connection is not None and not self._connection.closed

    def _is_alive(self, connection: "psycopg.Connection[Row]") -> bool:
        """Nothing is sent on a connection that the server has left: what was on it would have an unknown fate."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            if selector.select(0):
                # Between transactions a server has only one thing to say.
                return False
        if time.monotonic() - self._idle_since < _ASK_AFTER:
            return True
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _connected(self) -> "psycopg.Connection[Row]":
        connection = self._connection
        if connection is None or connection.closed or not self._is_alive(connection):
            self.close()
            connection = psycopg.connect(self._url, autocommit=True, **connect_options(self._url))
            # Each of the few statements comes all the time.
            connection.prepare_threshold = 1
            self._connection = connection
        return connection


@cache
def _with_percent(sql: str) -> bytes:
    """psycopg's way to write the names of values."""
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", sql).encode()
