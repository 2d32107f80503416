"""Installs a real Open WebUI, once, into a cache outside the checkout: 2.5 GB, some minutes."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

# PyTorch first and alone: the newest one that pip would find by itself brings gigabytes of CUDA along.
TORCH = "torch==2.13.0"
PACKAGES = ("open-webui==0.12.4", "playwright")


class OpenWebUIUnavailableError(Exception):
    """It cannot be had on this machine; the message says what to do."""


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise OpenWebUIUnavailableError("Chromium is missing: install it (apt-get install chromium), or set CHROMIUM.")
    return found


def installed() -> Path:
    """The environment that Open WebUI, and Playwright, are installed in."""
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    place = Path(os.environ.get("LETTABOT_OPENWEBUI_CACHE") or home / "lettabot-openwebui")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = place / "complete"
        if not done.exists() or done.read_text() != f"{TORCH} {PACKAGES}":
            shutil.rmtree(place / "venv", ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
            for packages in ((TORCH,), PACKAGES):
                python = str(place / "venv" / "bin" / "python")
                pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
                subprocess.run([*pip, *packages], check=True)
            done.write_text(f"{TORCH} {PACKAGES}")
    return place / "venv"
