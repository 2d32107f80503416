"""Callbacks by HTTP: signed, never to addresses that only this machine can reach, unless the operator allows it."""

import asyncio
import hashlib
import hmac
import logging
import socket
from collections.abc import Callable
from ipaddress import ip_address

import httpx

from domain.model.job import Job

# Seconds in which whoever is called has to answer.
_PATIENCE = 15.0

logger = logging.getLogger(__name__)


class HttpCallbacks:
    """`ports.Callbacks`. `describe` makes the body."""

    def __init__(self, describe: Callable[[Job], bytes], allow_http: bool, allow_private: bool) -> None:
        self._describe = describe
        self._allow_http = allow_http
        self._allow_private = allow_private

    async def call(self, job: Job, secret: str) -> bool:
        body = self._describe(job)
        url = httpx.URL(job.callback_url or "")
        try:
            if url.scheme != "https" and not self._allow_http:
                raise _RefusedError("only https is allowed")
            # What was checked is what is connected to: a name may stand for something else a moment later.
            address = await self._address(url)
            async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False, follow_redirects=False) as client:
                answer = await client.post(
                    url.copy_with(host=address),
                    content=body,
                    headers={
                        "Host": url.netloc.decode(),
                        "Content-Type": "application/json",
                        "User-Agent": "lettabot",
                        "X-LettaBot-Signature": f"sha256={signature(secret, body)}",
                    },
                    extensions={"sni_hostname": url.host},
                )
        except (_RefusedError, httpx.HTTPError, OSError, UnicodeError) as error:
            logger.warning("A callback failed: %s %s", type(error).__name__, error, extra={"job": job.id})
            return False
        if not answer.is_success:
            logger.warning("A callback was refused: HTTP %s", answer.status_code, extra={"job": job.id})
        return answer.is_success

    async def _address(self, url: httpx.URL) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
        addresses = [str(place[4][0]) for place in found]
        if not self._allow_private and not all(_is_public(address) for address in addresses):
            raise _RefusedError("its address is private")
        return addresses[0]


class _RefusedError(Exception):
    pass


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256, in hexadecimal digits."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _is_public(address: str) -> bool:
    ip = ip_address(address)
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast
