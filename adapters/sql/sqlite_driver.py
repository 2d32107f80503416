"""Carries out changes on a SQLite file."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.sql.group_commit import Change, Row, Rows
from adapters.sql.write_gate import WriteGate

# What an error of one statement is; the others mean the file, or the disk.
_OF_ONE = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, ValueError, OverflowError)


class SqliteDriver:
    """`Driver`. `patience`: seconds for which a file is waited for that somebody else has locked."""

    is_pipelined = False
    errors = sqlite3.Error

    def __init__(self, file: Path, gate: WriteGate, patience: float) -> None:
        self._file = file
        self._gate = gate
        self._patience = patience
        self._connection: sqlite3.Connection | None = None

    def carry_out(self, changes: Sequence[Change[Any]]) -> Sequence[Any]:
        connection = self._connection = self._connection or self._connect()
        if all(change.is_read for change in changes):
            return [change.carry_out(self)() for change in changes]
        with self._gate.held():
            # Immediate: a transaction that wants to write only later may find that another one was faster.
            connection.execute("BEGIN IMMEDIATE")
            try:
                results = [change.carry_out(self)() for change in changes]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return results

    def send(self, sql: str, values: Mapping[str, Any]) -> Rows:
        """`Statements`."""
        assert self._connection is not None  # noqa: S101
        rows: Sequence[Row] = self._connection.execute(sql, values).fetchall()
        return lambda: rows

    def is_of_one(self, error: Exception) -> bool:
        return isinstance(error, _OF_ONE)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=self._patience, check_same_thread=False)
        prepare(connection)
        return connection


def prepare(connection: Any) -> None:
    """A new connection, this driver's or SQLAlchemy's."""
    # Whoever uses it begins transactions, because Python's driver would leave the creation of tables out of them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
