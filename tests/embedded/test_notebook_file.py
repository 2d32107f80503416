"""The notebook's file: it lasts, it is private, it is shared between processes, and when it is bad it says so."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.embedded.gateway import EmbeddedGateway
from adapters.embedded.notebook import VERSION, Notebook, NotebookError
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from ports.contract.samples import events_of, text_of

ADD_MANY = """
import sys
from pathlib import Path
from adapters.embedded.notebook import Notebook

path, who = sys.argv[1:]
notebook = Notebook(Path(path))
[agent] = notebook.enrol(["lettabot"])
for number in range(25):
    notebook.add_todos(agent.id, [f"{who}-{number}", "shared"])
print(agent.id)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "notebook.sqlite"


@pytest.mark.anyio
async def test_agents_and_notes_survive_a_restart(path: Path) -> None:
    first = EmbeddedGateway(path, ("anna", "bert"))
    before = await first.agents()
    await events_of(first, before[1], "add milk to my list")
    await first.close()
    second = EmbeddedGateway(path, ("anna", "bert"))
    assert list(await second.agents()) == list(before)
    assert "milk" in text_of(await events_of(second, before[1], "todos"))
    await second.close()


@pytest.mark.anyio
async def test_a_name_that_goes_and_comes_back_is_the_same_agent(path: Path) -> None:
    notebook = Notebook(path)
    [anna] = notebook.enrol(["anna"])
    [bert] = notebook.enrol(["bert"])
    assert list(notebook.enrol(["bert", "anna", "anna"])) == [anna, bert], "oldest first, each once"
    assert anna.id.startswith("agent-")
    assert anna.id != bert.id


def test_nobody_else_may_read_the_file(path: Path) -> None:
    notebook = Notebook(path)
    notebook.enrol(["lettabot"])
    files = list(path.parent.iterdir())
    assert path in files
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * len(files)
    notebook.close()


def test_the_schema_has_a_version(path: Path) -> None:
    Notebook(path).close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_several_processes_may_start_and_write_at_once(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADD_MANY, str(path), who],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for who in "abcdef"
    ]
    ids = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    assert len(ids) == 1
    notebook = Notebook(path)
    todos = notebook.todos(ids.pop().strip())
    assert sorted(todos) == sorted([f"{who}-{number}" for who in "abcdef" for number in range(25)] + ["shared"])
    notebook.close()


@pytest.mark.anyio
async def test_two_gateways_on_one_file_see_each_others_notes(path: Path) -> None:
    one, other = EmbeddedGateway(path), EmbeddedGateway(path)
    [agent] = await one.agents()
    assert list(await other.agents()) == [agent]
    await asyncio.gather(
        *(events_of(gateway, agent, f"add {number} to my list") for number, gateway in enumerate([one, other] * 10))
    )
    assert text_of(await events_of(one, agent, "todos")).count("\n") == 20
    await one.close()
    await other.close()


def test_a_file_that_is_no_notebook_is_named_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("dear diary, " * 1000)
    with pytest.raises(NotebookError, match=r"notebook\.sqlite cannot be used.*move the file away"):
        EmbeddedGateway(path)
    assert path.read_text() == "dear diary, " * 1000


def test_a_damaged_notebook_is_named(path: Path) -> None:
    notebook = Notebook(path)
    [agent] = notebook.enrol(["lettabot"])
    notebook.add_todos(agent.id, [f"{number} {'x' * 200}" for number in range(200)])
    notebook.close()
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xaa" * (len(content) - 8192 - 4096)
    path.write_bytes(content)
    with pytest.raises(NotebookError, match=r"notebook\.sqlite cannot be used"):
        Notebook(path)


def test_some_other_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookies (name)")
    with pytest.raises(NotebookError, match="some other program's SQLite file"):
        Notebook(path)


def test_a_notebook_of_a_newer_version_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(NotebookError, match="written by a newer lettabot"):
        Notebook(path)


@pytest.mark.parametrize("place", ["a directory", "below a file"])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    if place == "a directory":
        path = tmp_path
    else:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "notebook.sqlite"
    with pytest.raises(NotebookError, match=f"The notebook {path} cannot be used"):
        EmbeddedGateway(path)


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["add milk to my list", "todos"])
async def test_a_file_that_vanishes_fails_the_turn_before_it_is_accepted(path: Path, text: str) -> None:
    gateway = EmbeddedGateway(path)
    [agent] = await gateway.agents()
    await asyncio.to_thread(path.unlink)
    for work in (gateway.check(), events_of(gateway, agent, text)):
        with pytest.raises(FailureError) as raised:
            await work
        assert raised.value.failure.code is FailureCode.BACKEND_UNAVAILABLE
        assert raised.value.failure.delivery is Delivery.NO
        assert str(path) in raised.value.failure.cause
    await gateway.close()


@pytest.mark.anyio
async def test_a_turn_that_cannot_write_fails_and_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.embedded.notebook.PATIENCE", 0.05)
    gateway = EmbeddedGateway(path)
    [agent] = await gateway.agents()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(FailureError) as raised:
            await events_of(gateway, agent, "add milk; eggs to my list")
        assert raised.value.failure.delivery is Delivery.NO
        assert "empty" in text_of(await events_of(gateway, agent, "todos")), "reading goes on"
        other.execute("ROLLBACK")
    other.close()
    assert "milk" in text_of(await events_of(gateway, agent, "add milk to my list"))
    await gateway.close()


@pytest.mark.anyio
async def test_after_closing_nothing_is_delivered(path: Path) -> None:
    gateway = EmbeddedGateway(path)
    [agent] = await gateway.agents()
    await gateway.close()
    await gateway.close()
    with pytest.raises(FailureError) as raised:
        await events_of(gateway, agent, "todos")
    assert raised.value.failure.delivery is Delivery.NO


def test_the_module_loads_no_heavy_library() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, adapters.embedded.gateway; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    heavy = {"litestar", "letta_client", "aiohttp", "httpx", "pydantic", "structlog", "ruamel"}
    assert not heavy & set(loaded)
