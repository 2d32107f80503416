"""Callbacks, imported when the first one is due."""

import asyncio
from collections.abc import Callable
from importlib import import_module

from domain.model.job import Job
from ports.callbacks import Callbacks


class LazyCallbacks:
    """`ports.Callbacks`, by HTTP."""

    def __init__(self, describe: Callable[[Job], bytes], allow_http: bool, allow_private: bool) -> None:
        self._arguments = (describe, allow_http, allow_private)
        self._callbacks: Callbacks | None = None

    async def call(self, job: Job, secret: str) -> bool:
        if self._callbacks is None:
            module = await asyncio.to_thread(import_module, "adapters.callbacks.http")
            self._callbacks = module.HttpCallbacks(*self._arguments)
        assert self._callbacks is not None  # noqa: S101
        return await self._callbacks.call(job, secret)
