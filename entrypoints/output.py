"""Standard output and standard error of the service: whoever reads them slowly, or not at all, cannot stop it.

They may be a pipe that nobody reads, a terminal that Ctrl-S has halted, a full disk, or closed. What can be written
without waiting is written at once, so that it is out before a crash. The rest waits for a thread, and beyond some room
is dropped."""

import atexit
import contextlib
import io
import os
import select
import socket
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

# Bytes that may wait for a reader, and seconds for which the end of the process waits for it.
ROOM = 1_000_000
LAST_WORDS = 1.0


class _Waiting(NamedTuple):
    """What could not be written yet."""

    data: bytes
    lines: int
    """How many are lost with it."""
    is_rest: bool = False
    """Whether its beginning has been written."""


class Output(io.TextIOBase):
    """A text stream to a file descriptor; neither `write` nor `flush` ever waits or raises `OSError`.

    `loss_line`: makes the line that says how many were lost."""

    def __init__(self, stream: Any) -> None:
        self.loss_line: Callable[[int], str] = "{} lines of output were lost.\n".format
        self._descriptor: int = stream.fileno()
        self._encoding: str = stream.encoding
        self._is_terminal: bool = stream.isatty()
        self._write_at_once = _writing_at_once(self._descriptor)
        self._begin()
        if hasattr(os, "register_at_fork"):
            # Threads do not survive a fork, and what waits here is the parent's.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # Reentrant, because a signal handler may write in the middle of a write.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[_Waiting] = deque()
        self._size = 0
        self._lost = 0
        self._is_torn = False
        self._thread: threading.Thread | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._is_terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if data and (self._size or not self._was_written(data)):
                self._keep(data)
        return len(text)

    def flush(self) -> None:
        """Nothing: what has not been written yet cannot be."""

    def drain(self, seconds: float) -> None:
        """Wait for so long at most until everything is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._size == 0, seconds)

    def _was_written(self, data: bytes) -> bool:
        """At once, or lost; False: it has to wait. Of what is written in part, the rest waits."""
        if self._write_at_once is None:
            return False
        whole = self._mended(self._after_loss(data))
        try:
            count = self._write_at_once(whole)
        except BlockingIOError:
            return False
        except OSError:
            self._lost += _lines(data)
            return True
        lines, self._lost, self._is_torn = self._lost, 0, False
        if count < len(whole):
            self._append(_Waiting(whole[count:], lines + _lines(data), is_rest=True))
        return True

    def _keep(self, data: bytes) -> None:
        if self._size and self._size + len(data) > ROOM:
            self._lost += _lines(data)
            return
        waiting = _Waiting(self._after_loss(data), self._lost + _lines(data))
        self._lost = 0
        self._append(waiting)

    def _after_loss(self, data: bytes) -> bytes:
        return self.loss_line(self._lost).encode(self._encoding, "backslashreplace") + data if self._lost else data

    def _mended(self, data: bytes) -> bytes:
        return b"\n" + data if self._is_torn else data

    def _append(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._size += len(waiting.data)
        if self._thread is None:
            thread = threading.Thread(target=self._write_queue, name="output", daemon=True)
            # At the very end of Python none can be started.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread
        self._changed.notify_all()

    def _write_queue(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                waiting = self._queue.popleft()
                data = self._mended(waiting.data)
            written = self._write_through(data)
            with self._changed:
                self._size -= len(waiting.data)
                if written == len(data):
                    self._is_torn = False
                    if self._lost and not self._queue:
                        self._keep(b"")
                else:
                    self._lost += waiting.lines
                    self._is_torn |= written > 0 or waiting.is_rest
                self._changed.notify_all()

    def _write_through(self, data: bytes) -> int:
        """Waits as long as it takes; how much could be written."""
        written = 0
        while written < len(data):
            try:
                written += os.write(self._descriptor, data[written:])
            except BlockingIOError:
                # Another process that shares the file has made it non-blocking.
                select.select((), (self._descriptor,), (), 1.0)
            except OSError:
                break
        return written


def unblock_output() -> None:
    """From here on, what this process prints and logs goes through an `Output`. At the exit a moment is left for it."""
    _occupy_standard_descriptors()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        try:
            setattr(sys, name, Output(stream))
        except (OSError, ValueError):
            # It is no file of the system; nothing can block there.
            setattr(sys, name, stream)
    atexit.register(finish_output)


def finish_output() -> None:
    """Call it before a process ends without Python's own end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Output):
            stream.drain(LAST_WORDS)
        else:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def _lines(data: bytes) -> int:
    return data.count(b"\n") or bool(data)


def _writing_at_once(descriptor: int) -> Callable[[bytes], int] | None:
    """Writes as much as fits and returns how much, or raises `OSError`; None: this file can only be waited for.

    A flag on the descriptor itself would also hold for other processes that share it: a shell, say."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return partial(os.write, descriptor)
    if stat.S_ISSOCK(mode) and hasattr(socket, "MSG_DONTWAIT"):
        own = socket.socket(fileno=os.dup(descriptor))
        return lambda data: own.send(data, socket.MSG_DONTWAIT)
    try:
        # Linux opens the pipe or the terminal a second time.
        path, flags = f"/proc/self/fd/{descriptor}", os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return partial(os.write, os.open(path, os.O_WRONLY | flags))
    except (OSError, AttributeError):
        return None


def _occupy_standard_descriptors() -> None:
    """Where one is closed, the next file or connection would get its number, and what libraries print."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
