"""Prints tables, and the times in them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from entrypoints.printable import on_one_line


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """The first row is the head."""
    for line in lines_of(rows):
        click.echo(line)


def lines_of(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns are as wide as they have to be. No name of an agent can break a row."""
    rows = [tuple(map(on_one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def date(created_at: int) -> str:
    return datetime.fromtimestamp(created_at, UTC).strftime("%Y-%m-%d %H:%M UTC") if created_at else "unknown"
