"""Whether a pooler (PgBouncer) stands before PostgreSQL that gives each transaction another connection.

Locks and notices belong to a connection: behind such a pooler, a process that lives would be taken for dead."""

from typing import Any

import psycopg

from adapters.sql.postgres import connect_options

# A pool that others use meanwhile may give back the same connection once.
_TRIES = 3
_REFUSAL = (
    "Between lettabot and PostgreSQL there is a pooler, such as PgBouncer, that {why}. lettabot needs connections of "
    "its own: let server.api.state name PostgreSQL itself, or a PgBouncer with pool_mode = session and "
    "ignore_startup_parameters = options."
)


def pooler_refusal(url: str) -> str | None:
    """Why the database at `url` cannot be used; None: it can, as far as can be seen, or it cannot be reached now."""
    options = connect_options(url)
    try:
        with (
            psycopg.connect(url, autocommit=True, **options) as one,
            psycopg.connect(url, autocommit=True, **options) as other,
        ):
            for _ in range(_TRIES):
                before = _process_of(one)
                # It takes a connection that is free, if they are given to transactions.
                with other.transaction():
                    other.execute("SELECT 1")
                    if _process_of(one) != before:
                        return _REFUSAL.format(why="gives each transaction another connection")
    except psycopg.Error as error:
        if "unsupported startup parameter" in str(error):
            return _REFUSAL.format(why="does not take the settings of a connection")
    return None


def _process_of(connection: "psycopg.Connection[Any]") -> object:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row[0] if row else None
