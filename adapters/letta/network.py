"""The HTTP client for Letta: what the environment says of certificates, headers and proxies is checked before use.

httpx and letta-client would fail on such a variable with an error that does not name it."""

import os
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from httpx_aiohttp import AiohttpTransport
from letta_client import DefaultAioHttpClient

from adapters.letta.foreign_responses import hide_redirect
from adapters.letta.proxies import proxy_for
from adapters.letta.response_limits import bounded
from adapters.letta.setting_error import NetworkSettingError
from ports.outgoing_context import OutgoingContext

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def http_client(base_url: str, limits: httpx.Limits, outgoing: OutgoingContext | None = None) -> httpx.AsyncClient:
    """Raises `NetworkSettingError`. It follows no redirect: that would deliver a message to somebody else, or twice."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise NetworkSettingError(f"LETTA_BASE_URL (server.baseUrl) is not a URL: {error}.") from None
    _check_custom_headers()
    proxy = proxy_for(url)
    needs_certificates = url.scheme == "https" or (proxy is not None and proxy.url.scheme == "https")
    transport = AiohttpTransport(verify=_tls(needs_certificates), limits=limits, proxy=proxy)
    # With a transport of its own, httpx does not look for proxies itself.
    client = DefaultAioHttpClient(
        transport=transport, follow_redirects=False, trust_env=False, event_hooks={"response": [hide_redirect, bounded]}
    )
    if outgoing is not None:
        client.event_hooks["request"].append(_telling(outgoing))
    return client


def _telling(outgoing: OutgoingContext) -> Callable[[httpx.Request], Awaitable[None]]:
    async def tell(request: httpx.Request) -> None:
        request.headers.update(outgoing())

    return tell


def _tls(needed: bool) -> ssl.SSLContext:
    directory = None if os.environ.get("SSL_CERT_FILE") else os.environ.get("SSL_CERT_DIR")
    if needed and directory and not _has_files(directory):
        # OpenSSL says nothing, and then trusts nobody.
        raise NetworkSettingError(
            f"SSL_CERT_DIR names {directory}, but that is no directory with certificates. Correct or unset it."
        )
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NetworkSettingError(f"{_blamed()}: {reason}. Correct or unset it.") from error


def _has_files(directory: str) -> bool:
    try:
        return any(Path(directory).iterdir())
    except OSError:
        return False


def _blamed() -> str:
    if file := os.environ.get("SSL_CERT_FILE"):
        return f"SSL_CERT_FILE names {file}, which cannot be read as certificates (PEM)"
    names = [name for name in ("SSL_CERT_DIR", "OPENSSL_CONF") if os.environ.get(name)]
    return f"TLS cannot be set up; look at {' and '.join(names) or 'the certificates of certifi'}"


def _check_custom_headers() -> None:
    """letta-client sends what stands in LETTA_CUSTOM_HEADERS: `Name: value`, each in a line."""
    for line in os.environ.get("LETTA_CUSTOM_HEADERS", "").split("\n"):
        name, colon, value = line.partition(":")
        if colon and not (_HEADER_NAME.fullmatch(name.strip()) and _is_header_value(value.strip())):
            raise NetworkSettingError(
                "LETTA_CUSTOM_HEADERS has a line that cannot be sent as a header: it wants 'Name: value' in ASCII, one "
                "header a line. Correct or unset it."
            )


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.replace("\t", " ").isprintable()
