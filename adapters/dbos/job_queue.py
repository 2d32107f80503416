"""A job queue on DBOS. It takes a while to import, and some memory: so it is started when the first task comes.

The engine keeps which task comes when in which lane, and who has begun it; all of it runs in threads of its own. The
work itself is done on the service's loop. How far a task has come is written down elsewhere, so the engine keeps no
steps of it: there is little that it has to write, and could fail to."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.dbos.queue_poller import QueuePoller
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from ports.job_queue import AFTER_MISTAKE, Work
from ports.process_locks import ProcessLiveness, ProcessLocks

if TYPE_CHECKING:
    from dbos import DBOS

T = TypeVar("T")

# Tasks are bound to this: it changes only if what a task is changes, so that an upgrade of the service loses none.
_VERSION = "lettabot-jobs-1"
_QUEUE = "lettabot_jobs"
# Its name is older: tasks of an earlier version wait under it.
_BACKGROUND = "lettabot_aside"
# Seconds between looks for tasks that another process has put there; of its own this one knows.
_POLL_EVERY = 5.0
# Seconds after which the engine has probably written that a task is done, so that the next one of its lane may begin.
_WRITTEN_AFTER = (0.01, 0.05, 0.25, 1.0)
# Tasks that one process has begun at a time, those that pause included; those that are background are not counted.
_AT_ONCE = 256
# Processes on one database. Each has a slot, and whoever starts takes the first one that is free.
_SLOTS = 1000
# To the database, of each process at most.
_CONNECTIONS = 5
# Seconds for which DBOS keeps tasks that are done.
_KEPT_FOR = 3600.0
# Seconds that a call may take.
_PATIENCE = 10.0

_OVER = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})

logger = logging.getLogger(__name__)


class DbosJobQueue:
    """`ports.JobQueue`, in the database at `url`. `locks` say which processes live.

    DBOS knows one instance in a process, so there can be only one of these."""

    def __init__(
        self, url: str, locks: ProcessLocks, liveness: ProcessLiveness, connect_options: Mapping[str, Any] | None = None
    ) -> None:
        """`connect_options`: for the driver of the database, beside the URL."""
        self._url = url
        self._connect_options = connect_options or {}
        self._locks = locks
        self._liveness = liveness
        self._work: Work | None = None
        self._dbos: type[DBOS] | None = None
        self._slot = ""
        self._launching = asyncio.Lock()
        self._poller: QueuePoller | None = None
        # One after the other, away from the loop: DBOS waits for the disk.
        self._calls = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dbos-calls")
        self._task: Callable[[str], Coroutine[Any, Any, None]] | None = None
        # What is being done here; and in each queue what the last look has found that should be, and is not.
        self._doing: dict[str, asyncio.Task[None]] = {}
        self._idle: dict[str, set[str]] = {}
        self._closed = False

    def serve(self, work: Work) -> None:
        self._work = work

    async def put(self, task: str, lane: str, background: bool = False) -> None:
        dbos = await self._launched()

        def enqueue() -> None:
            assert self._task is not None  # noqa: S101
            module = import_module("dbos")
            with module.SetWorkflowID(task), module.SetEnqueueOptions(queue_partition_key=lane):
                dbos.enqueue_workflow(_BACKGROUND if background else _QUEUE, self._task, task)

        def put() -> None:
            enqueue()
            self._ring()
            [there] = dbos.list_workflows(workflow_ids=[task], load_input=False, load_output=False)
            if there.status in _OVER:
                dbos.delete_workflow(task)
                enqueue()
                self._ring()

        await self._call(put)

    async def recover(self) -> None:
        if (dbos := self._dbos) is not None:
            for queue in (_QUEUE, _BACKGROUND):
                await self._look_at(dbos, queue)
            self._ring()

    async def close(self) -> None:
        self._closed = True
        if self._dbos is not None:
            dbos, self._dbos = self._dbos, None
            poller, self._poller = self._poller, None
            # What runs stays pending, and is taken up again by whoever has this slot next.
            with suppress(TimeoutError, FailureError):
                # Beside the other calls, of which one may still wait for the database.
                if poller is not None:
                    await asyncio.wait_for(asyncio.to_thread(poller.stop), _PATIENCE)
                await asyncio.wait_for(asyncio.to_thread(dbos.destroy, destroy_registry=True), _PATIENCE)
                await self._locks.release(self._slot)
        self._calls.shutdown(wait=False)

    async def _launched(self) -> "type[DBOS]":
        async with self._launching:
            if self._closed:
                raise FailureError(Failure(FailureCode.SHUTTING_DOWN, Delivery.NO))
            if self._dbos is None:
                self._slot = await self._free_slot()
                loop = asyncio.get_running_loop()
                try:
                    self._dbos = await self._call(lambda: self._launch(loop), patience=None)
                except FailureError:
                    await self._locks.release(self._slot)
                    raise
            return self._dbos

    async def _free_slot(self) -> str:
        for number in range(_SLOTS):
            if await self._locks.acquire(_slot(number)):
                return _slot(number)
        raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, f"more than {_SLOTS} processes"))

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
                "db_engine_kwargs": {"connect_args": {**self._connect_options}},
                "sys_db_pool_size": _CONNECTIONS,
            }
        )

        @engine.workflow(name="lettabot_task", max_recovery_attempts=1_000_000)
        async def carry_out(task: str) -> None:
            try:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._carry_out(task), loop))
            except Exception as error:
                # An error would be its end. Cancelled like this, in memory only, it is begun again.
                raise asyncio.CancelledError from error

        self._task = carry_out
        # None: this process looks for itself.
        engine.listen_queues([])
        engine.launch()
        # What cannot be written fails, and is done again after a look. Otherwise the engine's threads would wait for
        # PostgreSQL, for longer and longer, also after it is back, and this process could not end before.
        instance = import_module("dbos._dbos")._get_dbos_instance()
        instance._sys_db._retry_connection_errors = False
        common: dict[str, Any] = {
            "partition_concurrency": 1,
            "polling_interval_sec": _POLL_EVERY,
            "on_conflict": "always_update",
        }
        tasks = engine.register_queue(_QUEUE, worker_concurrency=_AT_ONCE, **common)
        self._poller = QueuePoller(instance, [tasks, engine.register_queue(_BACKGROUND, **common)])

    async def _carry_out(self, task: str) -> None:
        """Until it is done. Should the engine begin it twice, both wait for the same."""
        doing = self._doing.get(task)
        if doing is None:
            self._doing[task] = doing = asyncio.create_task(self._attempt(task))
            doing.add_done_callback(lambda _: self._done(task))
        await doing

    async def _attempt(self, task: str) -> None:
        assert self._work is not None  # noqa: S101
        while True:
            try:
                pause = await self._work(task)
            except Exception:
                logger.exception("A task failed because of a bug in this service; it is started again")
                pause = AFTER_MISTAKE
            if pause is None:
                return
            await asyncio.sleep(pause)

    def _done(self, task: str) -> None:
        self._doing.pop(task)
        for after in _WRITTEN_AFTER:
            asyncio.get_running_loop().call_later(after, self._ring)

    def _ring(self) -> None:
        if self._poller is not None:
            self._poller.ring()

    async def _look_at(self, dbos: "type[DBOS]", queue: str) -> None:
        """Have done what nobody works on, and clear away what is done."""
        pending = await self._call(
            lambda: dbos.list_workflows(status="PENDING", queue_name=queue, load_input=False, load_output=False)
        )
        begun: dict[str, set[str]] = {}
        for task in pending:
            begun.setdefault(task.executor_id or "", set()).add(task.workflow_id)
        await self._resume_idle(dbos, queue, begun.pop(self._slot, set()))
        for slot, tasks in begun.items():
            # Others have taken this process for dead.
            for name in tasks & self._doing.keys():
                self._doing[name].cancel()
            await self._take_over(dbos, queue, slot, tasks)
        await self._call(lambda: _clear(dbos, queue))

    async def _resume_idle(self, dbos: "type[DBOS]", queue: str, begun: set[str]) -> None:
        """Of what this process has begun, as the engine has it, what nobody here works on: its end, or something on the
        way to its beginning, could not be written. What is idle in one look only is just being begun or ended."""
        idle = begun - self._doing.keys()
        stuck = idle & self._idle.get(queue, set())
        self._idle[queue] = idle - stuck
        if stuck:
            logger.warning("Jobs are queued again, because nobody worked on them", extra={"jobs": len(stuck)})
            await self._resume(dbos, queue, stuck)

    async def _take_over(self, dbos: "type[DBOS]", queue: str, slot: str, tasks: set[str]) -> None:
        if not await self._liveness.is_dead(slot) or not await self._locks.acquire(slot):
            return
        try:
            logger.warning("A process has died; its jobs go on here", extra={"jobs": len(tasks)})
            await self._resume(dbos, queue, tasks)
        finally:
            await self._locks.release(slot)

    async def _resume(self, dbos: "type[DBOS]", queue: str, tasks: Iterable[str]) -> None:
        names = sorted(tasks)
        await self._call(lambda: dbos.resume_workflows(names, queue_name=queue))

    async def _call(self, work: Callable[[], T], patience: float | None = _PATIENCE) -> T:
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._calls, work), patience)
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)) from error


def _clear(dbos: "type[DBOS]", queue: str) -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - _KEPT_FOR))
    # What is done ends with an error if only its success could not be written.
    done = dbos.list_workflows(
        status=["SUCCESS", "ERROR"], queue_name=queue, end_time=before, limit=500, load_input=False, load_output=False
    )
    if done:
        dbos.delete_workflows([task.workflow_id for task in done])


def _slot(number: int) -> str:
    return f"lettabot-{number}"
