"""`lettabot server` where it cannot start: exit code 1, and one message that names the place and says what to do."""

import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoints.server import listen
from entrypoints.start_error import CannotStartError
from tests.cli.conftest import Lettabot
from tests.cli.processes import LETTABOT, PATIENCE, Place, Running


def the_message_of(failed: Running) -> str:
    """One line, and no traceback."""
    assert failed.process.wait(PATIENCE) == 1
    [message] = [line for line in failed.err.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in failed.err
    return message


def test_a_broken_key_file_is_named_and_left_alone(place: Place) -> None:
    contents = ["", "not JSON", '{"apiKey": "a\\nb"}']
    files = [place.write(f"{number}/lettabot-api.json", content) for number, content in enumerate(contents)]
    started = [place.start(["server", "--port", "0"], {"DATA_DIR": str(file.parent)}) for file in files]
    for content, file, failed in zip(contents, files, started, strict=True):
        message = the_message_of(failed)
        assert str(file) in message
        assert "Repair it, delete it" in message
        assert "LETTABOT_API_KEY" in message
        assert "a\\nb" not in message
        assert file.read_text() == content


def test_a_key_file_that_is_a_directory_is_named(place: Place) -> None:
    place.key_file.mkdir()
    message = the_message_of(place.run("server", "--port", "0"))
    assert f"{place.key_file} cannot be read: Is a directory" in message


def test_without_a_place_for_the_key_the_server_does_not_start(place: Place) -> None:
    place.write("file", "")
    failed = place.run("server", "--port", "0", DATA_DIR="file/below")
    assert str(place.directory / "file/below/lettabot-api.json") in the_message_of(failed)
    assert failed.out == ""


def test_in_a_directory_that_must_not_be_written_to_the_server_does_not_start(place: Place) -> None:
    place.directory.chmod(0o500)
    failed = place.start(["server", "--port", "0"], {}, preexec=_obey_file_modes)
    message = the_message_of(failed)
    assert f"{place.key_file} cannot be written: Permission denied" in message
    assert failed.out == ""
    assert not list(place.directory.iterdir())


def test_with_a_key_of_its_own_the_notebook_still_needs_a_place(place: Place) -> None:
    place.write("file", "")
    message = the_message_of(place.run("server", "--port", "0", DATA_DIR="file/below", LETTABOT_API_KEY="k"))
    assert "lettabot-embedded.sqlite" in message


def _obey_file_modes() -> None:
    # Root may write everywhere, unless it gives that up: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH.
    if os.getuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_a_port_in_use_is_said_in_one_line(place: Place, taken_port: str) -> None:
    message = the_message_of(place.run("server", "--port", taken_port, LETTABOT_API_KEY="k"))
    assert f"127.0.0.1:{taken_port}: Address already in use" in message
    assert "--port" in message


@pytest.mark.parametrize("host", ["..", "a" * 80, "203.0.113.1"])
def test_an_address_that_is_not_ours_is_said_in_one_line(host: str) -> None:
    with pytest.raises(CannotStartError, match=rf"Cannot listen on {host}:0: .*--host"):
        listen(host, 0)


@pytest.mark.parametrize(
    ("yaml", "named"),
    [
        ("server: [", "lettabot.yaml: line 1"),
        ("server: {api: {port: many}}", "lettabot.yaml: server.api.port"),
        ("server: {mode: sideways}", "lettabot.yaml: server.mode"),
        ("agents: {name: anna}", "lettabot.yaml: agents"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_named(
    lettabot: Lettabot, tmp_path: Path, yaml: str, named: str
) -> None:
    (tmp_path / "lettabot.yaml").write_text(yaml)
    failed = lettabot("server")
    assert failed.exit_code == 1
    assert named in failed.stderr
    assert not (tmp_path / "lettabot-api.json").exists()


def test_a_configuration_that_is_not_there_is_an_error(place: Place) -> None:
    assert "elsewhere.yaml: there is no such file" in the_message_of(place.run("server", "--config", "elsewhere.yaml"))


@pytest.mark.parametrize(
    ("yaml", "advice"),
    [
        ("server: {mode: api}", "LETTA_API_KEY"),
        ("server: {mode: docker}", "LETTA_BASE_URL"),
        ("agent: {name: anna}", "LETTA_BASE_URL"),
    ],
)
def test_half_of_letta_is_an_error_and_never_the_built_in_agent(
    lettabot: Lettabot, tmp_path: Path, yaml: str, advice: str
) -> None:
    (tmp_path / "lettabot.yaml").write_text(yaml)
    failed = lettabot("server")
    assert failed.exit_code == 1
    assert advice in failed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lettabot.yaml"]


@pytest.mark.parametrize("name", ["PSYCOPG_IMPL", "PSYCOPG_WAIT_FUNC"])
@pytest.mark.parametrize("command", [("server", "--port", "0"), ("check",), ("key", "show")])
def test_a_driver_of_postgresql_that_is_not_there_is_named(place: Place, name: str, command: tuple[str, ...]) -> None:
    place.write("lettabot.yaml", "server: {api: {state: 'postgresql://me:secret@127.0.0.1:1/state'}}")
    failed = place.run(*command, **{name: "nonsense"})
    assert failed.process.returncode == 1
    assert name in failed.out + failed.err
    assert "Traceback" not in failed.err


def test_a_working_directory_that_is_gone_is_said_in_one_line(place: Place) -> None:
    gone = "mkdir gone && cd gone && rmdir ../gone && exec lettabot server --port 0"
    path = f"{Path(LETTABOT[0]).parent}:{os.environ['PATH']}"
    message = the_message_of(place.start(["-c", gone], {"PATH": path}, command=("sh",)))
    assert message == (
        "Error: The working directory is not there: No such file or directory. Start lettabot in another one."
    )


def test_a_user_without_a_home_is_served(lettabot: Lettabot, monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    assert lettabot("check").exit_code == 0
