"""What every `NamedKeyStore` must do, and what is particular to the file."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from adapters.keys.named_keys import FileNamedKeyStore
from adapters.sql.keys import PostgresNamedKeyStore
from domain.model.api_key import NamedKey, digest_of
from ports.key_store import KeyStoreError, NamedKeyStore
from tests.fakes.key_store import FakeNamedKeyStore
from tests.postgres.server import PostgresServer

ALICE = NamedKey("alice", digest_of(b"a"), 1.5)
BOB = NamedKey("bob", digest_of(b"b"), 2.0, agents=("helper", "agent-1"), chat_headers=False, expires_at=99.0)
ROOT = Path(__file__).parents[2]


class KeyRingContract:
    def test_an_empty_ring(self, ring: NamedKeyStore) -> None:
        assert list(ring.all()) == []
        assert not ring.remove("alice")

    def test_keys_are_kept_as_they_were(self, ring: NamedKeyStore) -> None:
        ring.add(ALICE)
        ring.add(BOB)
        assert list(ring.all()) == [ALICE, BOB]

    def test_a_name_is_for_one_key(self, ring: NamedKeyStore) -> None:
        ring.add(ALICE)
        with pytest.raises(KeyStoreError, match="alice"):
            ring.add(NamedKey("alice", digest_of(b"c"), 3.0))
        assert list(ring.all()) == [ALICE]

    def test_a_name_that_is_given_again_is_another_key(self, ring: NamedKeyStore) -> None:
        ring.add(ALICE)
        ring.remove("alice")
        ring.add(NamedKey("alice", digest_of(b"c"), 3.0))
        assert ring.all()[0].id not in (ALICE.id, "alice", "")

    def test_what_is_removed_is_gone(self, ring: NamedKeyStore) -> None:
        ring.add(ALICE)
        ring.add(BOB)
        assert ring.remove("alice")
        assert not ring.remove("alice")
        assert list(ring.all()) == [BOB]


class TestFake(KeyRingContract):
    @pytest.fixture
    def ring(self) -> NamedKeyStore:
        return FakeNamedKeyStore()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new directory" / "lettabot-keys.json"


class TestFile(KeyRingContract):
    @pytest.fixture
    def ring(self, file: Path) -> NamedKeyStore:
        return FileNamedKeyStore(file)


class TestPostgresql(KeyRingContract):
    @pytest.fixture
    def ring(self, postgres: PostgresServer) -> NamedKeyStore:
        return PostgresNamedKeyStore(postgres.new_database())


OLD = {"name": "alice", "digest": digest_of(b"a"), "made_at": 1, "agents": [], "chat_headers": True, "expires_at": None}


def test_a_key_of_before_keys_had_ids_is_known_by_its_name(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"keys": [OLD]}))
    ring = FileNamedKeyStore(file)
    assert [(key.name, key.id) for key in ring.all()] == [("alice", "alice")]
    ring.add(BOB)
    assert [key.id for key in FileNamedKeyStore(file).all()] == ["alice", BOB.id]


def test_a_key_of_before_keys_had_ids_in_postgresql(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    ring = PostgresNamedKeyStore(url)
    ring.add(BOB)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lettabot_keys (name, content) VALUES ('alice', %s)", (json.dumps(OLD).encode(),)
        )
        assert [key.id for key in ring.all()] == [BOB.id, "alice"]
        connection.execute("UPDATE lettabot_keys SET content = 'x' WHERE name = 'alice'")
    with pytest.raises(KeyStoreError, match="cannot be understood"):
        ring.all()


def test_what_another_machine_has_changed_is_seen(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    ours, theirs = PostgresNamedKeyStore(url), PostgresNamedKeyStore(url)
    theirs.add(ALICE)
    assert list(ours.all()) == [ALICE]
    theirs.remove("alice")
    assert list(ours.all()) == []


def test_a_database_that_is_not_there_is_an_error_without_its_password() -> None:
    ring = PostgresNamedKeyStore("postgresql://lettabot:secret@127.0.0.1:1/state")
    for attempt in (ring.all, lambda: ring.add(ALICE), lambda: ring.remove("alice")):
        with pytest.raises(KeyStoreError, match="the database state") as raised:
            attempt()
        assert "secret" not in str(raised.value)


def test_another_process_sees_every_change(file: Path) -> None:
    ours, theirs = FileNamedKeyStore(file), FileNamedKeyStore(file)
    theirs.add(ALICE)
    assert list(ours.all()) == [ALICE]
    theirs.add(BOB)
    assert list(ours.all()) == [ALICE, BOB]
    theirs.remove("alice")
    assert list(ours.all()) == [BOB]
    file.unlink()
    assert list(ours.all()) == []


def test_the_file_is_private_and_holds_no_key(file: Path) -> None:
    FileNamedKeyStore(file).add(NamedKey("alice", digest_of(b"secret"), 1.0))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"secret" not in file.read_bytes()
    assert json.loads(file.read_text())["keys"][0]["name"] == "alice"


@pytest.mark.parametrize("content", ["", "{", '{"keys": 5}', '{"keys": [{"name": "alice"}]}', "\x00"])
def test_a_file_that_makes_no_sense_is_an_error_and_left_alone(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    ring = FileNamedKeyStore(file)
    for attempt in (ring.all, lambda: ring.add(ALICE), lambda: ring.remove("alice")):
        with pytest.raises(KeyStoreError, match=r"lettabot-keys\.json"):
            attempt()
    assert file.read_text() == content


def test_commands_at_the_same_moment_lose_no_key(file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from adapters.keys.named_keys import FileNamedKeyStore;"
        "from domain.model.api_key import NamedKey;"
        "[FileNamedKeyStore(Path(sys.argv[1])).add(NamedKey(f'{sys.argv[2]}-{n}', '', 0)) for n in range(10)]"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(file), str(number)], env=environ) for number in range(4)
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert len(FileNamedKeyStore(file).all()) == 40
