"""What LettaBot's endpoints have in common on the wire: times, and the sizes of pages."""

from collections.abc import Mapping
from datetime import UTC, datetime

from entrypoints.http.api_errors import ApiError

# Entries of a page, if the client does not say how many it wants.
_USUAL = 50


def when(seconds: float | None) -> str | None:
    """A time in seconds since 1970 in UTC, ISO 8601, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def limit_in(query: Mapping[str, str], most: int = 500) -> int:
    """How many entries are wanted; raises `ApiError` 400."""
    text = query.get("limit", str(_USUAL))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise ApiError(400, f"limit: expected a number between 1 and {most}.", param="limit")
    return int(text)
