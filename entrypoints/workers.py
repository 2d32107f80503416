"""Several processes behind one socket: started together, replaced when one dies, and stopped together.

Forked from a process that has imported everything and opened nothing: so they share that memory, and start at once."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import msgspec
import structlog

from entrypoints.output import finish_output
from entrypoints.signals import ending_signals
from entrypoints.start_error import CannotStartError

# Seconds. A worker that dies sooner than that is replaced only after a pause.
_SHORT_LIFE = 5.0

logger = structlog.get_logger("lettabot")

Work = Callable[["WorkerContext"], None]
"""What each worker does, until it is told to stop by a signal."""


class WorkerContext(msgspec.Struct, frozen=True):
    """What one worker is told by the process that watches over it."""

    number: int
    is_first: bool
    """Of all that there have ever been."""
    parent: int
    """Can be read from as soon as the parent is gone."""
    ready: int
    """Wants a byte when the worker can serve."""
    notices: socket.socket
    """Notices of the other workers are read from it."""
    others: tuple[socket.socket, ...]
    """Notices to the other workers are written to these."""
    metrics_directory: str = ""
    """Where the workers keep the values of their metrics. Empty: there are no metrics."""


class _Worker(msgspec.Struct, frozen=True):
    number: int
    ready: int
    since: float


class Workers:
    """Raises `CannotStartError` where processes cannot be forked."""

    def __init__(self, count: int, work: Work, metrics_directory: str = "") -> None:
        if not hasattr(os, "fork"):
            raise CannotStartError("This system cannot have several workers (os.fork); start one, with --workers 1.")
        self._count = count
        self._work = work
        self._metrics_directory = metrics_directory
        self._workers: dict[int, _Worker] = {}
        self._stopping = False
        self._signals = ending_signals()
        # Nothing is ever written: it ends with this process.
        self._life, self._hold = os.pipe()
        # Of each worker the end that it reads, and the end to which the others write. Who takes a worker's place has
        # them, too.
        self._notices = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]

    def run(self) -> int:
        """Until all of them have stopped; the exit code."""
        for sign in self._signals:
            signal.signal(sign, self._pass_on)
        for number in range(self._count):
            if not self._stopping:
                self._start(number, is_first=number == 0)
        code, could_serve = 0, False
        while self._workers:
            pid, status = os.waitpid(-1, 0)
            worker = self._workers.pop(pid, None)
            if worker is None:
                # In a container, the orphans of others come to the first process.
                continue
            could_serve |= bool(os.read(worker.ready, 1))
            os.close(worker.ready)
            self._forget_values(pid)
            if self._stopping:
                continue
            exit_code = os.waitstatus_to_exitcode(status)
            if exit_code > 0 and not could_serve:
                # It has said why, and the next one would say the same.
                code = exit_code
                self._pass_on(signal.SIGTERM, None)
                continue
            logger.warning("a worker has ended; another one takes its place", worker=worker.number, exit_code=exit_code)
            if time.monotonic() - worker.since < _SHORT_LIFE:
                time.sleep(1.0)
            if not self._stopping:
                self._start(worker.number, is_first=False)
        for sign in self._signals:
            signal.signal(sign, signal.SIG_IGN)
        return code

    def _forget_values(self, pid: int) -> None:
        """What a dead worker had open is no more; what it has counted stays."""
        if self._metrics_directory:
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(pid, self._metrics_directory)  # type: ignore[no-untyped-call]

    def _pass_on(self, sign: int, _: FrameType | None) -> None:
        self._stopping = True
        for pid in list(self._workers):
            # One of them may have ended this very moment.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)

    def _start(self, number: int, is_first: bool) -> None:
        ready, is_ready = os.pipe()
        # A signal that comes now is for the parent, who will know of this worker.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        pid = os.fork()
        if pid == 0:
            for sign in self._signals:
                signal.signal(sign, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(self._hold)
            others = tuple(ends[1] for other, ends in enumerate(self._notices) if other != number)
            own = self._notices[number][0]
            self._be_worker(WorkerContext(number, is_first, self._life, is_ready, own, others, self._metrics_directory))
        self._workers[pid] = _Worker(number, ready, time.monotonic())
        os.close(is_ready)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if self._stopping:
            os.kill(pid, signal.SIGTERM)

    def _be_worker(self, context: WorkerContext) -> None:
        code = 1
        try:
            # A Ctrl-C in the terminal is for the parent, who passes it on.
            os.setpgid(0, 0)
            self._work(context)
            code = 0
        except CannotStartError as error:
            logger.error("cannot start", reason=str(error))
        except BaseException:
            logger.exception("a worker failed because of a bug in this service")
        finally:
            finish_output()
            # What the parent has registered for its exit is not for its children.
            os._exit(code)
