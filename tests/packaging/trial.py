"""Tries an installed lettabot as its first user would: the version, `check`, a server that answers and ends."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def bare_environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def output_of(*command: str, cwd: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def is_healthy(url: str, server: "subprocess.Popen[bytes]") -> bool:
    """Waits until it is."""
    give_up = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < give_up:
        try:
            return httpx.get(f"{url}/health", timeout=PATIENCE, trust_env=False).text == "ok"
        except httpx.TransportError:
            time.sleep(0.1)
    return False


def try_installed(lettabot: Path, version: str, empty: Path) -> str:
    """Returns what `--version` says. `empty` is a directory for it."""
    environment = bare_environment(empty)
    told = output_of(str(lettabot), "--version", cwd=empty, environment=environment)
    assert re.match(rf"lettabot {re.escape(version)}( \(commit [0-9a-z-]+\))?\n", told), told
    checked = output_of(str(lettabot), "check", cwd=empty, environment=environment)
    assert "NOT OK" not in checked, checked
    port = free_port()
    with subprocess.Popen([str(lettabot), "server", "--port", str(port)], cwd=empty, env=environment) as server:
        try:
            assert is_healthy(f"http://127.0.0.1:{port}", server)
            described = httpx.get(f"http://127.0.0.1:{port}/openapi.json", timeout=PATIENCE, trust_env=False).json()
            assert described["info"]["version"] == version
            server.terminate()
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
    return told
