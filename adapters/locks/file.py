"""Locks between the processes of one machine: byte ranges of one file, which the system frees when a process ends."""

import errno
import fcntl
import hashlib
import os
from pathlib import Path

from adapters.file_trust import look_at
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

_TAKEN = {errno.EACCES, errno.EAGAIN}


class FileLocks:
    """`ports.ProcessLocks`. Nobody else in this process may open the file: closing it would free all locks (POSIX)."""

    suspect_after = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._taken: set[str] = set()

    async def acquire(self, name: str) -> bool:
        if name in self._taken:
            return False
        try:
            if self._descriptor is None:
                if (finding := look_at(self._path)) is not None and finding.refused:
                    raise FailureError(_unavailable(finding.text))
                self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place_of(name))
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise FailureError(_unavailable(f"{self._path} cannot be locked: {error.strerror}")) from error
        self._taken.add(name)
        return True

    async def is_free(self, name: str) -> bool:
        # There is no other way to look than to try; somebody who tries at this moment tries again.
        if not await self.acquire(name):
            return False
        await self.release(name)
        return True

    async def release(self, name: str) -> None:
        if name in self._taken and self._descriptor is not None:
            self._taken.discard(name)
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _place_of(name))

    async def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._taken.clear()


def _unavailable(cause: str) -> Failure:
    return Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)


def _place_of(name: str) -> int:
    """A byte of the file, which need not be that long."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:7])
