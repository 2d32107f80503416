"""What every `KeyStore` must do, and what is particular to the file and to the environment."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.keys.environment import EnvironmentKeyStore
from adapters.keys.file import FileKeyStore
from adapters.sql.keys import PostgresKeyStore
from domain.model.api_key import is_sendable
from ports.key_store import KeyStore, KeyStoreError
from tests.fakes.key_store import FakeKeyStore
from tests.postgres.server import PostgresServer

OLD, NEW, OTHER = "old-key", "new-key", "other-key"
ROOT = Path(__file__).parents[2]


class KeyStoreContract:
    """`full` keeps the key OLD, `empty` keeps none. `keeps` is False for a store that can only be read."""

    keeps = True

    def test_an_empty_store_has_no_key(self, empty: KeyStore) -> None:
        assert empty.read() is None

    def test_a_kept_key_is_read_again_and_again(self, full: KeyStore) -> None:
        assert [full.read(), full.read()] == [OLD, OLD]

    def test_create_leaves_a_kept_key_alone_and_returns_it(self, full: KeyStore) -> None:
        assert full.create(NEW) == OLD
        assert full.read() == OLD

    def test_create_keeps_a_first_key_or_says_why_not(self, empty: KeyStore) -> None:
        if self.keeps:
            assert empty.create(NEW) == NEW
            assert empty.create(OTHER) == NEW
            assert empty.read() == NEW
        else:
            with pytest.raises(KeyStoreError):
                empty.create(NEW)
            assert empty.read() is None

    def test_replace_keeps_the_new_key_or_says_why_not(self, full: KeyStore) -> None:
        if self.keeps:
            full.replace(NEW)
            assert full.read() == NEW
        else:
            with pytest.raises(KeyStoreError):
                full.replace(NEW)
            assert full.read() == OLD

    def test_replace_in_an_empty_store_keeps_the_key_or_says_why_not(self, empty: KeyStore) -> None:
        if self.keeps:
            empty.replace(NEW)
            assert empty.read() == NEW
        else:
            with pytest.raises(KeyStoreError):
                empty.replace(NEW)

    def test_the_place_is_in_words_and_does_not_tell_the_key(self, full: KeyStore) -> None:
        assert full.place
        assert OLD not in full.place
        assert OLD not in repr(full)


class TestPostgresql(KeyStoreContract):
    @pytest.fixture
    def empty(self, postgres: PostgresServer) -> KeyStore:
        return PostgresKeyStore(postgres.new_database())

    @pytest.fixture
    def full(self, empty: KeyStore) -> KeyStore:
        empty.replace(OLD)
        return empty


class TestFakeKeyStore(KeyStoreContract):
    @pytest.fixture
    def empty(self) -> KeyStore:
        return FakeKeyStore()

    @pytest.fixture
    def full(self) -> KeyStore:
        return FakeKeyStore(OLD)


class TestEnvironmentKeyStore(KeyStoreContract):
    keeps = False

    @pytest.fixture(params=[{}, {"LETTABOT_API_KEY": ""}])
    def empty(self, request: pytest.FixtureRequest) -> KeyStore:
        return EnvironmentKeyStore(request.param)

    @pytest.fixture
    def full(self) -> KeyStore:
        return EnvironmentKeyStore({"LETTABOT_API_KEY": OLD})

    @pytest.mark.parametrize("key", ["sec\nret", "secret ", "\tsecret", "secret\x00"])
    def test_a_key_that_cannot_be_sent_is_an_error_that_names_the_variable_and_not_the_key(self, key: str) -> None:
        with pytest.raises(KeyStoreError, match="LETTABOT_API_KEY") as raised:
            EnvironmentKeyStore({"LETTABOT_API_KEY": key}).read()
        assert "secret" not in str(raised.value)


class TestFileKeyStore(KeyStoreContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "data" / "lettabot-api.json"

    @pytest.fixture
    def empty(self, path: Path) -> KeyStore:
        return FileKeyStore(path)

    @pytest.fixture
    def full(self, path: Path) -> KeyStore:
        path.parent.mkdir()
        path.write_text(json.dumps({"apiKey": OLD}))
        return FileKeyStore(path)

    def test_the_file_is_what_the_old_lettabot_wrote(self, path: Path, empty: KeyStore) -> None:
        empty.create(NEW)
        assert json.loads(path.read_text()) == {"apiKey": NEW}

    def test_the_file_is_for_its_owner_only(self, path: Path, empty: KeyStore) -> None:
        before = os.umask(0)
        try:
            empty.create(NEW)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            path.chmod(0o644)
            empty.replace(OTHER)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        finally:
            os.umask(before)

    def test_nothing_else_is_left_behind(self, path: Path, empty: KeyStore) -> None:
        empty.create(NEW)
        empty.replace(OTHER)
        assert list(path.parent.iterdir()) == [path]

    def test_replace_keeps_the_other_fields(self, path: Path, full: KeyStore) -> None:
        path.write_text('{"note": "ünchanged", "apiKey": "old-key", "n": 123456789012345678901234567890}')
        full.replace(NEW)
        assert json.loads(path.read_text()) == {
            "note": "ünchanged",
            "apiKey": NEW,
            "n": 123456789012345678901234567890,
        }

    def test_replace_follows_a_symbolic_link(self, tmp_path: Path, path: Path, full: KeyStore) -> None:
        link = tmp_path / "link.json"
        link.symlink_to(path)
        FileKeyStore(link).replace(NEW)
        assert link.is_symlink()
        assert full.read() == NEW

    def test_a_byte_order_mark_does_no_harm(self, path: Path, full: KeyStore) -> None:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert full.read() == OLD

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"not json",
            b"[]",
            b"null",
            b'"secret"',
            b"{}",
            b'{"apiKey": null}',
            b'{"apiKey": ""}',
            b'{"apiKey": 5}',
            b'{"apiKey": ["secret"]}',
            b'{"apikey": "secret"}',
            b'{"apiKey": "sec\\nret"}',
            b'{"apiKey": "secret "}',
            b'{"apiKey": "secret\\ud83d"}',
            b'{"apiKey": "secret\xff"}',
            b"[" * 100_000,
        ],
    )
    def test_a_broken_file_is_an_error_that_names_it_and_helps_and_it_is_never_overwritten(
        self, path: Path, full: KeyStore, content: bytes
    ) -> None:
        path.write_bytes(content)
        for attempt in (full.read, lambda: full.create(NEW), lambda: full.replace(NEW)):
            with pytest.raises(KeyStoreError) as raised:
                attempt()
            assert str(path) in str(raised.value)
            assert "delete it" in str(raised.value)
            assert "secret" not in str(raised.value)
        assert path.read_bytes() == content

    def test_a_directory_in_its_place_is_an_error(self, path: Path, empty: KeyStore) -> None:
        path.mkdir(parents=True)
        for attempt in (empty.read, lambda: empty.create(NEW), lambda: empty.replace(NEW)):
            with pytest.raises(KeyStoreError, match="cannot be read"):
                attempt()

    def test_a_file_in_place_of_the_directory_is_an_error(self, path: Path, empty: KeyStore) -> None:
        path.parent.write_text("")
        with pytest.raises(KeyStoreError, match=str(path)):
            empty.create(NEW)

    def test_a_symbolic_link_to_nothing_is_an_error(self, path: Path, empty: KeyStore) -> None:
        path.parent.mkdir()
        path.symlink_to(path.parent / "nothing")
        with pytest.raises(KeyStoreError, match="symbolic link"):
            empty.create(NEW)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_directory_that_is_not_writable_is_an_error_that_says_what_to_do(
        self, path: Path, empty: KeyStore
    ) -> None:
        path.parent.mkdir(mode=0o500)
        for attempt in (lambda: empty.create(NEW), lambda: empty.replace(NEW)):
            with pytest.raises(KeyStoreError, match=r"cannot be written.*DATA_DIR"):
                attempt()

    def test_a_disk_that_refuses_is_an_error_that_says_what_to_do(
        self, path: Path, empty: KeyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
        for attempt in (lambda: empty.create(NEW), lambda: empty.replace(NEW)):
            with pytest.raises(KeyStoreError, match=r"cannot be written.*DATA_DIR"):
                attempt()
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize("key", ["", "a\nb", " a"])
    def test_a_key_that_cannot_be_sent_is_not_kept(self, empty: KeyStore, key: str) -> None:
        for attempt in (empty.create, empty.replace):
            with pytest.raises(KeyStoreError):
                attempt(key)
        assert empty.read() is None


class TestFileKeyStoreWithoutHardLinks(TestFileKeyStore):
    """On FAT, say, or in some network and container mounts."""

    @pytest.fixture(autouse=True)
    def no_links(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", refuse(errno.EOPNOTSUPP))


RACER = """
import sys, os, errno
from pathlib import Path
from adapters.keys.file import FileKeyStore
from domain.model.api_key import new_key
if sys.argv[2] == "without":
    def refuse(*args, **more): raise OSError(errno.EOPNOTSUPP, "no links")
    os.link = refuse
store = FileKeyStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(store.create(new_key()), flush=True)
"""


@pytest.mark.parametrize("links", ["with", "without"])
def test_processes_that_start_at_once_end_up_with_one_key(tmp_path: Path, links: str) -> None:
    for attempt in range(3):
        path = tmp_path / str(attempt) / "deep" / "lettabot-api.json"
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, str(path), links],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(8)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        keys = {racer.communicate(timeout=30)[0].strip() for racer in racers}
        assert len(keys) == 1
        assert all(is_sendable(key) for key in keys)
        assert FileKeyStore(path).read() in keys
        assert list(path.parent.iterdir()) == [path]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def refuse(number: int) -> Callable[..., None]:
    def refusing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refusing
