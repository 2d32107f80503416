"""Named API keys in a JSON file, `{"keys": [...]}`: digests only, readable for the owner only."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from adapters.file_trust import look_at
from adapters.keys.atomic_files import reason, replace_content
from domain.model.api_key import NamedKey, named_key
from ports.key_store import KeyStoreError

try:
    import fcntl
except ImportError:  # Windows. There, two commands at the very same moment may lose a key.
    fcntl = None  # type: ignore[assignment]


class _Document(msgspec.Struct, frozen=True):
    keys: tuple[dict[str, object], ...] = ()


_decoder = msgspec.json.Decoder(_Document)


class FileNamedKeyStore:
    """`ports.NamedKeyStore` over one file, which is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[NamedKey, ...] = ()

    @property
    def place(self) -> str:
        return str(self._path)

    def all(self) -> Sequence[NamedKey]:
        try:
            status = os.stat(self._path)
            seen = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode, status.st_uid)
            if seen != self._seen:
                _refuse_unless_trusted(self._path)
                self._keys = tuple(map(named_key, _decoder.decode(self._path.read_bytes()).keys))
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._keys = None, ()
        except (OSError, ValueError, msgspec.DecodeError) as error:
            self._seen = None
            raise KeyStoreError(
                f"{self.place} cannot be read: {reason(error)}. Repair it, or delete it and make new keys."
            ) from error
        return self._keys

    def add(self, key: NamedKey) -> None:
        def added(keys: Sequence[NamedKey]) -> Sequence[NamedKey]:
            if any(kept.name == key.name for kept in keys):
                raise KeyStoreError(f"There is a key of the name {key.name} already; revoke it first.")
            return [*keys, key]

        self._change(added)

    def remove(self, name: str) -> bool:
        before = len(self.all())
        self._change(lambda keys: [key for key in keys if key.name != name])
        return len(self.all()) < before

    def _change(self, change: Callable[[Sequence[NamedKey]], Sequence[NamedKey]]) -> None:
        with self._locked():
            document = msgspec.json.encode({"keys": change(self.all())})
            content = msgspec.json.format(document, indent=2)
            try:
                replace_content(self._path, content + b"\n")
            except (OSError, ValueError, RuntimeError) as error:
                raise KeyStoreError(f"{self.place} cannot be written: {reason(error)}.") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One command after the other, or one would lose what the other has added."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_name(f"{self._path.name}.lock")
            _refuse_unless_trusted(lock)
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise KeyStoreError(f"{self.place} cannot be written: {reason(error)}.") from error
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _refuse_unless_trusted(path: Path) -> None:
    if (finding := look_at(path)) is not None and finding.refused:
        raise KeyStoreError(finding.text)
