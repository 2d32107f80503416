"""Callbacks by HTTP: signed, never to addresses that only this machine can reach, unless the operator allows it."""

import asyncio
import hashlib
import hmac
import logging
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address, ip_network

import httpx

from domain.model.job import Job

# Seconds in which whoever is called has to answer.
_PATIENCE = 15.0
# Calls at a time.
_AT_ONCE = 32

# Ranges of IPv6 that stand for addresses of IPv4, or once were private: Python takes some of them for public.
_DISGUISES = [
    ip_network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10")
]

logger = logging.getLogger(__name__)


class HttpCallbacks:
    """`ports.Callbacks`. `describe` makes the body."""

    def __init__(self, describe: Callable[[Job], bytes], allow_http: bool, allow_private: bool) -> None:
        self._describe = describe
        self._allow_http = allow_http
        self._allow_private = allow_private
        self._tls: ssl.SSLContext | None = None
        self._lookups = ThreadPoolExecutor(max_workers=4, thread_name_prefix="callback-names")
        self._calls = asyncio.Semaphore(_AT_ONCE)

    async def call(self, job: Job, secret: str) -> bool:
        body = self._describe(job)
        try:
            async with self._calls, asyncio.timeout(_PATIENCE):
                status = await self._post(httpx.URL(job.callback_url or ""), body, secret)
        except (_RefusedError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            logger.warning("A callback failed: %s %s", type(error).__name__, error, extra={"job": job.id})
            return False
        if not 200 <= status < 300:
            logger.warning("A callback was refused: HTTP %s", status, extra={"job": job.id})
        return 200 <= status < 300

    async def _post(self, url: httpx.URL, body: bytes, secret: str) -> int:
        if url.scheme != "https" and not self._allow_http:
            raise _RefusedError("only https is allowed")
        if self._tls is None:
            # It reads the certificates of all authorities, which takes a while.
            self._tls = await asyncio.to_thread(_tls)
        # What was checked is what is connected to: a name may stand for something else a moment later.
        address = await self._address(url)
        headers = {
            "Host": url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": "lettabot",
            "X-LettaBot-Signature": f"sha256={signature(secret, body)}",
        }
        async with (
            httpx.AsyncClient(verify=self._tls, timeout=_PATIENCE, trust_env=False, follow_redirects=False) as client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers=headers,
                extensions={"sni_hostname": url.host},
            ) as answer,
        ):
            # Whatever else it says, and for however long, is not read.
            return answer.status_code

    async def _address(self, url: httpx.URL) -> str:
        # In threads of its own: nobody else shall wait for somebody's name server.
        look_up = partial(socket.getaddrinfo, url.host, url.port or 443, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._lookups, look_up)
        addresses = [str(place[4][0]) for place in found]
        if not self._allow_private and not all(_is_public(address) for address in addresses):
            raise _RefusedError("its address is private")
        return addresses[0]


class _RefusedError(Exception):
    pass


def _tls() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        raise _RefusedError(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {error}"
        ) from error


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256, in hexadecimal digits."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _is_public(address: str) -> bool:
    ip = ip_address(address)
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _DISGUISES)
