"""Ids that sort by the time at which they were made, and that nobody can guess."""

import secrets
import time

_DIGITS = 15


def new_id(kind: str, random_bytes: int) -> str:
    """Ids of one kind that are made later sort later."""
    return id_of_time(kind, time.time()) + secrets.token_hex(random_bytes)


def id_of_time(kind: str, seconds: float) -> str:
    """What all ids of that kind begin with, or come before, that were made then or earlier (seconds since 1970)."""
    return f"{kind}_{int(max(seconds, 0.0) * 1e6):0{_DIGITS}x}"


def time_of(kind: str, id_: str) -> float:
    """When that id was made, in seconds since 1970."""
    return int(id_.removeprefix(f"{kind}_")[:_DIGITS], 16) / 1e6
