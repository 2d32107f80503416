"""A job queue on DBOS. It takes a while to import, and some memory: so it is started when the first task comes.

All of DBOS runs in threads of its own, an event loop included; only the work itself is done on the service's loop."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.services.living import Living
from ports.job_queue import Work
from ports.process_locks import ProcessLocks

if TYPE_CHECKING:
    from dbos import DBOS

T = TypeVar("T")

# Tasks are bound to this: it changes only if what a task is changes, so that an upgrade of the service loses none.
_VERSION = "lettabot-jobs-1"
_QUEUE = "lettabot_jobs"
_ASIDE = "lettabot_aside"
# Seconds between looks for new tasks, and for processes that have died.
_POLL_EVERY = 0.5
_LOOK_EVERY = 5.0
# Tasks that one process has begun at a time, those that pause included; those that are aside are not counted.
_AT_ONCE = 256
# Processes on one database. Each has a slot, and whoever starts takes the first one that is free.
_SLOTS = 1000
# Seconds for which DBOS keeps tasks that are done.
_KEPT_FOR = 3600.0

logger = logging.getLogger(__name__)


class DbosJobQueue:
    """`ports.JobQueue`, in the database at `url`. `locks` say which processes live.

    DBOS knows one instance in a process, so there can be only one of these."""

    def __init__(self, url: str, locks: ProcessLocks) -> None:
        self._url = url
        self._locks = locks
        self._living = Living(locks)
        self._work: Work | None = None
        self._dbos: type[DBOS] | None = None
        self._slot = ""
        self._launching = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        # One after the other, away from the loop: DBOS waits for the disk.
        self._calls = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dbos-calls")
        self._task: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self._closed = False

    def serve(self, work: Work) -> None:
        self._work = work

    async def put(self, task: str, lane: str, aside: bool = False) -> None:
        dbos = await self._launched()

        def enqueue() -> None:
            assert self._task is not None  # noqa: S101
            module = import_module("dbos")
            with module.SetWorkflowID(task), module.SetEnqueueOptions(queue_partition_key=lane):
                dbos.enqueue_workflow(_ASIDE if aside else _QUEUE, self._task, task)

        await self._call(enqueue)

    async def close(self) -> None:
        self._closed = True
        if self._watching is not None:
            self._watching.cancel()
        if self._dbos is not None:
            dbos, self._dbos = self._dbos, None
            # What runs stays pending, and is taken up again by whoever has this slot next.
            await self._call(lambda: dbos.destroy(destroy_registry=True))
            await self._locks.give_back(self._slot)
        self._calls.shutdown(wait=False)

    async def _launched(self) -> "type[DBOS]":
        async with self._launching:
            if self._closed:
                raise BackendError(Failure(FailureCode.SHUTTING_DOWN, Delivery.NO))
            if self._dbos is None:
                self._slot = await self._free_slot()
                loop = asyncio.get_running_loop()
                try:
                    self._dbos = await self._call(lambda: self._launch(loop))
                except BackendError:
                    await self._locks.give_back(self._slot)
                    raise
                self._watching = asyncio.create_task(self._watch(self._dbos))
            return self._dbos

    async def _free_slot(self) -> str:
        for number in range(_SLOTS):
            if await self._locks.take(_slot(number)):
                return _slot(number)
        raise BackendError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, f"more than {_SLOTS} processes"))

    def _launch(self, loop: asyncio.AbstractEventLoop) -> "type[DBOS]":
        from dbos import DBOS

        try:
            self._begin(DBOS, loop)
        except Exception:
            # Otherwise it takes itself for launched, although nothing of it works.
            DBOS.destroy(destroy_registry=True)
            raise
        return DBOS

    def _begin(self, engine: "type[DBOS]", loop: asyncio.AbstractEventLoop) -> None:
        engine(
            config={
                "name": "lettabot",
                "system_database_url": self._url,
                "executor_id": self._slot,
                "application_version": _VERSION,
                "log_level": "WARNING",
                "use_listen_notify": False,
            }
        )

        # What is recorded of a step is how long to wait, so that the engine knows where a task has come to.
        @engine.step(name="lettabot_attempt")
        async def attempt(task: str) -> float | None:
            assert self._work is not None  # noqa: S101
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_begun(self._work, task), loop))

        @engine.workflow(name="lettabot_task", max_recovery_attempts=1_000_000)
        async def carry_out(task: str) -> None:
            while (pause := await attempt(task)) is not None:
                await engine.sleep_async(pause)

        self._task = carry_out
        engine.launch()
        engine.register_queue(
            _QUEUE, partition_concurrency=1, worker_concurrency=_AT_ONCE, polling_interval_sec=_POLL_EVERY
        )
        engine.register_queue(_ASIDE, partition_concurrency=1, polling_interval_sec=_POLL_EVERY)

    async def _watch(self, dbos: "type[DBOS]") -> None:
        """Take over what dead processes have left, and clear away what is done."""
        while True:
            try:
                for queue in (_QUEUE, _ASIDE):
                    await self._look_at(dbos, queue)
            except BackendError as error:
                logger.warning("The queue of jobs cannot be looked after: %s", error)
            await asyncio.sleep(_LOOK_EVERY)

    async def _look_at(self, dbos: "type[DBOS]", queue: str) -> None:
        pending = await self._call(lambda: dbos.list_workflows(status="PENDING", queue_name=queue))
        for slot in {task.executor_id for task in pending if task.executor_id} - {self._slot}:
            left = [task.workflow_id for task in pending if task.executor_id == slot]
            await self._take_over(dbos, queue, slot, left)
        await self._call(lambda: _clear(dbos, queue))

    async def _take_over(self, dbos: "type[DBOS]", queue: str, slot: str, tasks: list[str]) -> None:
        if not await self._living.is_dead(slot) or not await self._locks.take(slot):
            return
        try:
            logger.warning("A process has died; its jobs go on here", extra={"jobs": len(tasks)})
            await self._call(lambda: dbos.resume_workflows(tasks, queue_name=queue))
        finally:
            await self._locks.give_back(slot)

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._calls, work)
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise BackendError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)) from error


async def _begun(work: Work, task: str) -> float | None:
    return await work(task)


def _clear(dbos: "type[DBOS]", queue: str) -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - _KEPT_FOR))
    done = dbos.list_workflows(
        status="SUCCESS", queue_name=queue, end_time=before, limit=500, load_input=False, load_output=False
    )
    if done:
        dbos.delete_workflows([task.workflow_id for task in done])


def _slot(number: int) -> str:
    return f"lettabot-{number}"
