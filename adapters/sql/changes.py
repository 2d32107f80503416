"""The simplest changes: some statements whose rows nobody needs, and one that only reads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.sql.group_commit import Change, Row, Statements

Statement = tuple[str, Mapping[str, Any]]
"""SQL, and its values by name."""


def done(*statements: Statement, may_wait: bool = False) -> Change[None]:
    """Carry these out. `may_wait`: see `Change`."""

    def carry_out(sending: Statements) -> Callable[[], None]:
        for sql, values in statements:
            sending.send(sql, values)
        return nothing

    return Change(carry_out, may_wait=may_wait)


def read(sql: str, values: Mapping[str, Any]) -> Change[Sequence[Row]]:
    """The rows of a statement that changes nothing."""
    return Change(lambda statements: statements.send(sql, values), is_read=True)


def nothing() -> None:
    """The result of a change that has none."""
