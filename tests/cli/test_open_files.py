"""Thousands of streams take thousands of open files, and many systems allow 1,024 unless they are asked."""

import re
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import KEY, client_of, question
from tests.cli.processes import Place, get


def _limited(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_is_raised_and_the_log_says_where_it_ends(place: Place) -> None:
    server = place.start(["server", "--port", "0"], {}, preexec=_limited(256, 4096))
    assert get(f"{server.url}/health").status_code == 200
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    assert re.search(r"Max open files\s+4096\s+4096", limits)
    assert "files=4096 streams_at_once=1984" in server.err
    assert server.stop() == 0


def test_connections_that_say_nothing_keep_nobody_out(place: Place) -> None:
    server = place.start(["server", "--port", "0"], {"LETTABOT_API_KEY": KEY}, preexec=_limited(128, 128))
    address = urlsplit(server.url)
    silent = [socket.create_connection((str(address.hostname), address.port or 0)) for _ in range(300)]
    try:
        for _ in range(3):
            assert get(f"{server.url}/health").text == "ok"
        with client_of(server) as client:
            assert client.post("/v1/chat/completions", json=question("hello")).status_code == 200
    finally:
        for each in silent:
            each.close()
    assert server.stop() == 0
    assert "Traceback" not in server.err


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 25_000, reason="this system allows too few files")
def test_nothing_is_said_where_there_are_enough(place: Place) -> None:
    server = place.start(["server", "--port", "0"], {})
    assert get(f"{server.url}/health").status_code == 200
    assert "open files" not in server.err
    assert server.stop() == 0
