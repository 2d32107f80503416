"""The API key in a file, `{"apiKey": "..."}`: the same file that the old LettaBot wrote.

All or nothing: at every moment the file is missing or whole, also when several processes start at once."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.file_trust import look_at
from adapters.keys.atomic_files import draft_beside, fill, reason, replace_content, settle
from domain.model.api_key import is_sendable
from ports.key_store import KeyStoreError

_FIELD = "apiKey"
# What file systems without hard links (FAT, some network and container mounts) answer when asked for one.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
# Seconds. On such file systems only, another process may be between making the file and filling it.
_FILLING = 0.5


class FileKeyStore:
    """`ports.KeyStore` over one JSON file. A file that it cannot make sense of is never overwritten."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return str(self._path)

    def read(self) -> str | None:
        document = self._document()
        return None if document is None else str(document[_FIELD])

    def create(self, key: str) -> str:
        kept = self.read()
        if kept is not None:
            return kept
        content = self._content({}, key)
        with self._writing():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with draft_beside(self._path, content) as draft:
                try:
                    # Unlike a rename, a link never replaces what another process put there first.
                    os.link(draft, self._path)
                except FileExistsError:
                    pass
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    self._create_without_links(content)
            settle(self._path)
        kept = self.read()
        if kept is None:
            raise KeyStoreError(
                f"{self.place} cannot be made: there is something of that name, such as a broken symbolic link. "
                "Move it away."
            )
        return kept

    def replace(self, key: str) -> None:
        content = self._content(self._document() or {}, key)
        with self._writing():
            replace_content(self._path, content)

    def _document(self) -> dict[str, object] | None:
        content = self._bytes()
        if content is None:
            return None
        try:
            document = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            raise self._broken("is not JSON") from None
        key = document.get(_FIELD) if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(key, str) or not key:
            raise self._broken(f'has no "{_FIELD}" with a key in it')
        if not is_sendable(key):
            raise self._broken("has a key with line breaks, control characters or blanks around it")
        return document

    def _bytes(self) -> bytes | None:
        if (finding := look_at(self._path)) is not None and finding.refused:
            raise KeyStoreError(finding.text)
        give_up = time.monotonic() + _FILLING
        while True:
            try:
                content = self._path.read_bytes()
            except FileNotFoundError:
                return None
            except (OSError, ValueError) as error:
                raise KeyStoreError(
                    f"{self.place} cannot be read: {reason(error)}. Make it readable for this service, "
                    "or set LETTABOT_API_KEY to a key of your own."
                ) from error
            if content or time.monotonic() > give_up:
                return content
            time.sleep(0.02)

    def _content(self, document: dict[str, object], key: str) -> bytes:
        if not is_sendable(key):
            raise KeyStoreError(
                f"This key is not written to {self.place}: it is empty, or has line breaks, control characters "
                "or blanks around it, so that no client could send it."
            )
        return json.dumps({**document, _FIELD: key}, indent=2).encode() + b"\n"

    def _create_without_links(self, content: bytes) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        try:
            fill(descriptor, content)
        except OSError:
            os.unlink(self._path)
            raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            raise KeyStoreError(
                f"{self.place} cannot be written: {reason(error)}. Make its directory writable, set DATA_DIR to "
                "another one, or set LETTABOT_API_KEY to a key of your own."
            ) from error

    def _broken(self, what: str) -> KeyStoreError:
        return KeyStoreError(
            f"{self.place} {what}. Repair it, delete it to have a new key made, "
            "or set LETTABOT_API_KEY to a key of your own."
        )
