"""Pages of a list, as OpenAI's clients turn them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from entrypoints.http.api_errors import ApiError

_LIMIT = re.compile("[0-9]{1,9}")
_DEFAULT, _MOST = 20, 100


class Listed(msgspec.Struct, frozen=True):
    """One of a list: only what is on the page is encoded."""

    id: str
    content: Mapping[str, Any] | msgspec.Raw


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is wanted."""

    limit: int = _DEFAULT
    after: str | None = None
    newest_first: bool = True


def page_wanted(query: Mapping[str, Any]) -> Page:
    """Raises `ApiError` 400."""
    limit, order = query.get("limit"), query.get("order") or "desc"
    if limit is not None and not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= _MOST):
        raise ApiError(400, f"limit: expected a number between 1 and {_MOST}.", param="limit")
    if order not in ("asc", "desc"):
        raise ApiError(400, "order: expected asc or desc.", param="order")
    return Page(_DEFAULT if limit is None else int(limit), query.get("after") or None, order == "desc")


def page_of(items: Sequence[Listed], page: Page) -> bytes:
    """`items` are all there are, oldest first. Raises `ApiError` 400."""
    ordered = items[::-1] if page.newest_first else items
    start = 0
    if page.after is not None:
        ids = [item.id for item in ordered]
        if page.after not in ids:
            raise ApiError(400, "after: there is no item with this id in the list.", param="after")
        start = ids.index(page.after) + 1
    shown = ordered[start : start + page.limit]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [item.content for item in shown],
            "first_id": shown[0].id if shown else None,
            "last_id": shown[-1].id if shown else None,
            "has_more": start + page.limit < len(ordered),
        }
    )
