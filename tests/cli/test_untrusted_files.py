"""Files in which somebody else may write are not used, whatever the command, and weak keys are warned about."""

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest

from adapters.embedded.notebook import Notebook, NotebookError
from adapters.keys.file import FileKeyStore
from adapters.keys.named_keys import FileNamedKeyStore
from adapters.locks.file import FileLocks
from adapters.sql.database import open_database
from domain.model.api_key import weakness
from domain.model.failures import FailureError
from ports.key_store import KeyStoreError
from tests.cli.conftest import Lettabot
from tests.cli.processes import PATIENCE, Place

KEY = "a-key-that-nobody-can-guess"


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_text("{}")
    file.chmod(0o666)
    return file


def test_the_key_in_such_a_file_is_not_used(open_to_all: Path) -> None:
    open_to_all.write_text('{"apiKey": "planted"}')
    store = FileKeyStore(open_to_all)
    for use in (store.read, lambda: store.create("another"), lambda: store.replace("another")):
        with pytest.raises(KeyStoreError, match="chmod o-w"):
            use()
    assert "planted" in open_to_all.read_text()


def test_named_keys_in_such_a_file_are_not_used_even_if_it_becomes_one_later(open_to_all: Path) -> None:
    open_to_all.chmod(0o600)
    ring = FileNamedKeyStore(open_to_all)
    assert ring.all() == ()
    open_to_all.chmod(0o606)
    with pytest.raises(KeyStoreError, match="chmod o-w"):
        ring.all()
    open_to_all.chmod(0o600)
    assert ring.all() == ()


@pytest.mark.parametrize("ending", ["", "-wal", ".writing"])
def test_a_state_in_such_a_file_is_not_used(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"state{ending}"
    file.touch()
    file.chmod(0o666)
    with pytest.raises(FailureError) as refused:
        asyncio.run(open_database(f"sqlite:///{tmp_path / 'state'}"))
    assert "chmod o-w" in str(refused.value.failure.cause)


def test_such_a_lock_is_not_used(open_to_all: Path) -> None:
    with pytest.raises(FailureError) as refused:
        asyncio.run(FileLocks(open_to_all).acquire("a name"))
    assert "chmod o-w" in str(refused.value.failure.cause)


def test_a_notebook_in_such_a_file_is_not_used(open_to_all: Path) -> None:
    with pytest.raises(NotebookError, match="chmod o-w"):
        Notebook(open_to_all)


FILES = {
    "lettabot-api.json": f'{{"apiKey": "{KEY}"}}',
    "lettabot-keys.json": '{"keys": []}',
    "lettabot-keys.json.lock": "",
    "lettabot.yaml": "server: {mode: embedded}",
    "lettabot-embedded.sqlite": "",
    "lettabot-state.sqlite": "",
    "lettabot-state.sqlite-wal": "",
    "lettabot-state.sqlite.lock": "",
}


@pytest.mark.parametrize("name", FILES)
def test_the_server_does_not_start_with_such_a_file_and_check_says_so(
    lettabot: Lettabot, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    file.chmod(0o666)
    started = lettabot("server", "--port", "0")
    assert started.exit_code == 1
    *_, message = started.stderr.splitlines()
    assert message.startswith(f"Error: Everybody on this machine may write {file}")
    assert message.endswith(f"chmod o-w {file}")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    checked = lettabot("check")
    assert checked.exit_code == 1
    assert f"chmod o-w {file}" in checked.output


def test_files_that_are_not_used_do_not_matter(lettabot: Lettabot, tmp_path: Path) -> None:
    for name in ("lettabot-api.json", "lettabot-state.sqlite", "lettabot-embedded.sqlite"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o666)
    inline = "server: {api: {state: memory, embeddedDatabase: another.sqlite}}"
    checked = lettabot("check", LETTABOT_API_KEY=KEY, LETTABOT_CONFIG_YAML=inline)
    assert checked.exit_code == 0
    assert "chmod" not in checked.output


def test_a_directory_in_which_everybody_may_write_is_warned_about(place: Place) -> None:
    """Such as one that was opened to a container."""
    place.write("lettabot-api.json", f'{{"apiKey": "{KEY}"}}').chmod(0o600)
    place.directory.chmod(0o777)
    place.write("lettabot-keys.json", '{"keys": []}')
    server = place.serve()
    assert server.err.count(f"put another file in its place. If that is not meant: chmod o-w {place.directory}") == 1
    server.stop()
    checked = place.run("check")
    assert checked.process.returncode == 0
    assert "         warning: Everybody may write in the directory of" in checked.out


def test_what_the_service_makes_itself_is_trusted_whatever_the_umask(place: Place) -> None:
    for umask in (0, 0o002):
        shutil.rmtree(place.directory)
        place.directory.mkdir()
        before = os.umask(umask)
        try:
            assert place.run("key", "create", "alice").process.returncode == 0
            server = place.serve()
            assert server.stop() == 0
        finally:
            os.umask(before)
        assert [file for file in place.directory.iterdir() if stat.S_IMODE(file.stat().st_mode) & 0o022] == []
        assert place.serve().stop() == 0


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("k", "can be guessed"),
        ("short-one", "can be guessed"),
        ("a" * 40, "can be guessed"),
        ("YOUR_API_KEY", "can be guessed"),
        (f'"{KEY}"', "quotes around it"),
        (f"'{KEY}'", "quotes around it"),
        (f"' {KEY} '", "quotes around it"),
        (f"{KEY} # for the staff", "a comment, perhaps"),
        (f"Bearer {KEY}", "begins with 'Bearer'"),
        ("${LETTABOT_API_KEY_FROM_VAULT}", "the name of a variable"),
        ("$(cat /run/secrets/key)", "the name of a variable"),
    ],
)
def test_a_weak_or_odd_key_is_told_and_never_shown(key: str, says: str) -> None:
    weak = weakness(key)
    assert weak is not None
    assert says in weak
    assert len(key) < 2 or key not in weak


@pytest.mark.parametrize("key", [KEY, "0123456789abcdef" * 4, "sk-proj-Zq8x", "correct horse battery staple"])
def test_a_good_key_is_not_warned_about(key: str) -> None:
    assert (weakness(key) is None) == (len(key) >= 16)


@pytest.mark.parametrize("from_file", [False, True])
def test_a_weak_key_works_with_a_warning(place: Place, from_file: bool) -> None:
    environment = {} if from_file else {"LETTABOT_API_KEY": "'quoted'"}
    place.write("lettabot-api.json", '{"apiKey": "\'quoted\'"}').chmod(0o600)
    server = place.serve(**environment)
    place_of_it = str(place.key_file) if from_file else "the environment variable LETTABOT_API_KEY"
    warning = f"The API key in {place_of_it} has quotes around it"
    assert warning in server.err
    assert server.stop() == 0
    assert "'quoted'" not in server.err
    checked = place.run("check", **environment)
    assert checked.process.wait(PATIENCE) == 0
    assert f"         warning: {warning}" in checked.out
    assert "'quoted'" not in checked.out
