"""Writes small files all or nothing: at every moment a file is missing, old, or new, also after a power cut."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def draft_beside(path: Path, content: bytes) -> Iterator[str]:
    """The content, safe on the disk, under a name of its own that is gone afterwards."""
    target = path.resolve()
    descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        fill(descriptor, content)
        yield draft
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def replace_content(path: Path, content: bytes) -> None:
    """Where the path is a symbolic link, the link stays and what it points to is replaced."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with draft_beside(path, content) as draft:
        os.replace(draft, target)
    settle(path)


def settle(path: Path) -> None:
    """Make the file's new name outlive a power cut. Not every system can do that; the file is good anyway."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path.resolve().parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def fill(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
