"""Serves the portal: one page, its style and its scripts, all from this package. Needs no key: data does."""

import hashlib
from importlib.resources import files
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrypoints.http.api_errors import ApiError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PAGE = "portal.html"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Asked for again each time, and told by its tag that nothing has changed: an upgrade is never mixed with the old.
    "cache-control": "no-cache",
}


class _Files:
    """The files, read when the first of them is asked for."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, str]] = {}

    def find(self, name: str) -> tuple[bytes, str] | None:
        """The file of that name, and its tag."""
        if not self._read:
            for file in files("entrypoints.http.portal").joinpath("static").iterdir():
                content = file.read_bytes()
                self._read[file.name] = content, f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        return self._read.get(name)


def portal_handlers() -> list[HTTPRouteHandler]:
    known = _Files()

    def answer(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
        if (found := known.find(name)) is None:
            raise ApiError(404, "The portal has no such file.")
        content, tag = found
        headers = {**_HEADERS, "content-type": _TYPES[name.rpartition(".")[2]], "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(b"", status_code=304, headers=headers)
        return Response(content, headers=headers)

    @get("/portal", include_in_schema=False, sync_to_thread=False)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        if request.scope["raw_path"].endswith(b"/"):
            # Its addresses are beside it.
            return _elsewhere("../portal")
        return answer(request, _PAGE)

    @get("/portal/{name:str}", include_in_schema=False, sync_to_thread=False)
    def file(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        return answer(request, name)

    @get("/turns", include_in_schema=False, sync_to_thread=False)
    def turns() -> Response[bytes]:
        return _elsewhere("./portal#lately")

    @get("/console", include_in_schema=False, sync_to_thread=False)
    def console() -> Response[bytes]:
        return _elsewhere("./portal#try")

    return [page, file, turns, console]


def _elsewhere(place: str) -> Response[bytes]:
    """Relative, so that a proxy may put something in front of all paths."""
    return Response(b"", status_code=307, headers={"location": place})
