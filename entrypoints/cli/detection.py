"""Looks on the usual ports of this machine for what runs agents. It asks without any key, and never beyond loopback."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from entrypoints.settings import Mode

HOST = "127.0.0.1"
# Seconds, for connecting and for each read; and for all that is asked, at once.
_ANSWERED_WITHIN = 1.0
_ALL_WITHIN = 3.0
# Bytes of an answer that are looked at.
_MOST = 1_000_000


class Found(msgspec.Struct, frozen=True):
    """Something that answers as such a backend does."""

    mode: Mode
    url: str
    words: str
    """What it is, for people."""


class UsualPorts(msgspec.Struct, frozen=True):
    """Where backends listen if nobody has said otherwise."""

    letta: int = 8283
    letta_code: int = 4500
    openai: tuple[tuple[int, str], ...] = ((11434, "Ollama"), (1234, "LM Studio"), (8000, "a server with OpenAI's API"))
    """With the program that is usually there."""


def found_on(ports: UsualPorts) -> Sequence[Found]:
    """In the order in which they should be offered. Takes three seconds at most."""
    looks: list[Callable[[], Found | None]] = [
        partial(_letta, ports.letta),
        partial(_letta_code, ports.letta_code),
        *(partial(_openai, port, name) for port, name in ports.openai),
    ]
    results: list[Found | None] = [None] * len(looks)

    def look(index: int) -> None:
        # Whatever listens there may answer anything.
        with suppress(OSError, http.client.HTTPException, ValueError, RecursionError):
            results[index] = looks[index]()

    threads = [threading.Thread(target=look, args=(index,), daemon=True) for index in range(len(looks))]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + _ALL_WITHIN
    for thread in threads:
        # One that never ends its answer is left behind.
        thread.join(max(0.0, give_up - time.monotonic()))
    return [result for result in results if result is not None]


def _letta(port: int) -> Found | None:
    status, body = _get(port, "/v1/health/")
    said = _object(body)
    if status != 200 or said.get("status") != "ok" or not isinstance(version := said.get("version"), str):
        return None
    return Found(Mode.DOCKER, f"http://{HOST}:{port}", f"Letta {version[:20]}")


def _letta_code(port: int) -> Found | None:
    """It tells anybody that it is ready; who it is, only those with the token."""
    status, body = _get(port, "/readyz")
    if status != 200 or body.strip() != b"ok":
        return None
    status, body = _get(port, "/app-server-info")
    url, said = f"ws://{HOST}:{port}", _object(body)
    if status == 401:
        return Found(Mode.LETTA_CODE, url, "Letta Code, which wants a token")
    return Found(Mode.LETTA_CODE, url, "Letta Code") if status == 200 and "protocol_version" in said else None


def _openai(port: int, name: str) -> Found | None:
    status, body = _get(port, "/v1/models")
    if status != 200 or not isinstance(models := _object(body).get("data"), list):
        return None
    return Found(Mode.OPENAI, f"http://{HOST}:{port}", f"{name}, {len(models)} model{'s'[: len(models) != 1]}")


def _get(port: int, path: str) -> tuple[int, bytes]:
    # Of the standard library: it follows no redirect, uses no proxy, and adds no header.
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWERED_WITHIN)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(_MOST)
    finally:
        connection.close()


def _object(body: bytes) -> Mapping[str, Any]:
    said = json.loads(body) if body else {}
    return said if isinstance(said, dict) else {}
