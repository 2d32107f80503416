"""Whom callbacks may reach: names are looked up, and what was checked is what is called."""

import asyncio
import socket
from typing import Any

import pytest

from adapters.callbacks.http import HttpCallbacks
from tests.contract.job_store import a_job

pytestmark = pytest.mark.anyio


def looked_up(*addresses: str) -> Any:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    return getaddrinfo


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.1.2.3",),
        ("192.168.1.1",),
        ("169.254.169.254",),
        ("100.64.0.1",),
        ("0.0.0.0",),
        ("224.0.0.1",),
        ("::1",),
        ("fd00::1",),
        ("fe80::1",),
        ("::ffff:127.0.0.1",),
        ("::127.0.0.1",),
        ("::ffff:0:127.0.0.1",),
        ("64:ff9b::a9fe:a9fe",),
        ("2002:7f00:1::",),
        ("fec0::1",),
        ("93.184.215.14", "127.0.0.1"),
    ],
)
async def test_a_name_that_stands_for_a_private_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, addresses: tuple[str, ...]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", looked_up(*addresses))
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=False, allow_private=False)
    assert not await callbacks.call(a_job(callback_url="https://hook.example/x"), "secret")
    assert "its address is private" in caplog.text


async def test_http_is_refused_even_if_it_was_allowed_when_the_job_came(caplog: pytest.LogCaptureFixture) -> None:
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=False, allow_private=True)
    assert not await callbacks.call(a_job(callback_url="http://127.0.0.1:1/x"), "secret")
    assert "only https is allowed" in caplog.text


@pytest.mark.parametrize(
    "url", ["https://e.org/\x01", "https://\u2603.example/", "https://[::1", "https://e.org:99999/x"]
)
async def test_what_is_no_url_is_a_callback_that_failed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", looked_up("127.0.0.1"))
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=True, allow_private=False)
    assert not await callbacks.call(a_job(callback_url=url), "secret")


async def test_only_the_status_of_an_answer_is_read() -> None:
    """Whoever is called may say much, and for long."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=True, allow_private=True)
    async with asyncio.timeout(10):
        assert await callbacks.call(a_job(callback_url=url), "secret")
    server.close()


@pytest.mark.parametrize("location", ["/elsewhere", "http://127.0.0.1:1/", "http://[::1", "javascript:x", ""])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int, location: str) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).partition(b" HTTP")[0])
        writer.write(f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=True, allow_private=True)
    assert not await callbacks.call(a_job(callback_url=url), "secret")
    server.close()
    assert asked == [b"POST /hook"]


async def test_certificates_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=False, allow_private=True)
    assert not await callbacks.call(a_job(callback_url="https://127.0.0.1:1/x"), "secret")
    assert "SSL_CERT_FILE" in caplog.text
