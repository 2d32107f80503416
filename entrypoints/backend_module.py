"""Imports the module of the chosen backend, which takes a while; only that one."""

import os
from importlib import import_module
from types import ModuleType

from entrypoints.settings import Mode
from entrypoints.start_error import CannotStartError


def backend_module(mode: Mode) -> ModuleType:
    """Raises `CannotStartError`."""
    try:
        return import_module("adapters.embedded.gateway" if mode is Mode.EMBEDDED else "adapters.letta.gateway")
    except OSError as error:
        # aiohttp sets up TLS when it is imported, and TLS opens this file.
        if not (file := os.environ.get("SSLKEYLOGFILE")):
            raise
        raise CannotStartError(
            f"SSLKEYLOGFILE names {file}, which cannot be written: {error.strerror}. Correct or unset it."
        ) from error
