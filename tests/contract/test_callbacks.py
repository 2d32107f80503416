"""Whom callbacks may reach: names are looked up, and what was checked is what is called."""

import socket
from typing import Any

import pytest

from adapters.callbacks.http import HttpCallbacks
from tests.contract.job_book import a_job

pytestmark = pytest.mark.anyio


def looked_up(*addresses: str) -> Any:
    async def getaddrinfo(*_: Any, **__: Any) -> Any:
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
        ("93.184.215.14", "127.0.0.1"),
    ],
)
async def test_a_name_that_stands_for_a_private_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, addresses: tuple[str, ...]
) -> None:
    import asyncio

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up(*addresses))
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=False, allow_private=False)
    assert not await callbacks.call(a_job(callback_url="https://hook.example/x"), "secret")
    assert "its address is private" in caplog.text


async def test_http_is_refused_even_if_it_was_allowed_when_the_job_came(caplog: pytest.LogCaptureFixture) -> None:
    callbacks = HttpCallbacks(lambda job: b"{}", allow_http=False, allow_private=True)
    assert not await callbacks.call(a_job(callback_url="http://127.0.0.1:1/x"), "secret")
    assert "only https is allowed" in caplog.text
