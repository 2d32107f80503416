"""`lettabot init`: what it finds, asks, writes and refuses, and what it never tells whom."""

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli.commands import main
from entrypoints.cli.detection import UsualPorts
from entrypoints.cli.init import HEADERS
from tests.cli.conftest import Lettabot
from tests.cli.fake_letta import FakeLetta
from tests.cli.processes import Place, wait_until
from tests.cli.usual_ports import OLLAMA, Speaker, nobody, port_of, ports

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture
def ollama() -> Iterator[Speaker]:
    speaker = Speaker(OLLAMA)
    yield speaker
    speaker.stop()


@pytest.fixture
def letta() -> Iterator[FakeLetta]:
    with FakeLetta() as letta:
        yield letta


class Init:
    """Runs the command in an empty directory, with these usual ports."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "lettabot.yaml"

    def __call__(self, *arguments: str, usual: UsualPorts | None = None, typed: str = "", **environment: str) -> Result:
        result = CliRunner().invoke(
            main, ["init", *arguments], obj=usual or ports(), input=typed, env=environment, prog_name="lettabot"
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result


@pytest.fixture
def init(lettabot: Lettabot, tmp_path: Path) -> Init:
    # The other fixture has emptied the environment, and gone to the directory.
    return Init(tmp_path)


class TestWithoutQuestions:
    def test_nothing_is_found_so_the_built_in_agent_it_is(self, init: Init) -> None:
        done = init("--yes")
        assert done.exit_code == 0
        assert "mode: embedded" in init.file.read_text()
        assert "ok     backend: the built-in notebook agent" in done.output

    def test_a_letta_on_its_usual_port_is_taken(self, init: Init, letta: FakeLetta) -> None:
        done = init("--yes", usual=ports(letta=port_of(letta.url)))
        assert done.exit_code == 0
        assert f'mode: docker\n  baseUrl: "{letta.url}"' in init.file.read_text()
        assert f"Letta answers at {letta.url}" in done.output

    def test_an_openai_server_on_its_usual_port_is_taken(self, init: Init, ollama: Speaker) -> None:
        done = init("--yes", usual=ports(openai=ollama.port))
        assert done.exit_code == 0
        assert f'mode: openai\n  baseUrl: "http://127.0.0.1:{ollama.port}"' in init.file.read_text()

    def test_the_key_of_something_else_is_sent_to_nothing_that_was_only_found(
        self, init: Init, letta: FakeLetta, ollama: Speaker
    ) -> None:
        done = init("--yes", "--backend", "docker", usual=ports(letta=port_of(letta.url)), LETTA_API_KEY=SECRET)
        assert done.exit_code == 0
        assert letta.keys
        assert not any(SECRET in (key or "") for key in letta.keys)
        assert "Unset LETTA_API_KEY before you start lettabot" in done.stderr
        assert "apiKey" not in init.file.read_text()

    def test_the_environment_s_backend_comes_before_one_that_is_found(self, init: Init, letta: FakeLetta) -> None:
        with FakeLetta(password=SECRET) as named:
            usual = ports(letta=port_of(letta.url))
            done = init("--yes", usual=usual, LETTA_BASE_URL=named.url, LETTA_API_KEY=SECRET)
            assert done.exit_code == 0
            assert named.url in init.file.read_text()
            assert 'apiKey: "${LETTA_API_KEY}"' in init.file.read_text()
            assert SECRET not in init.file.read_text() + done.output
        assert not letta.keys

    def test_a_key_alone_is_letta_cloud_s(self, init: Init) -> None:
        # Nothing is sent there: no proxy is where this one is said to be.
        dead = f"http://127.0.0.1:{nobody()}"
        done = init("--yes", LETTA_API_KEY=SECRET, LETTA_BASE_URL="https://api.letta.com", HTTPS_PROXY=dead)
        assert done.exit_code == 1
        assert 'mode: api\n  apiKey: "${LETTA_API_KEY}"' in init.file.read_text()

    def test_what_is_named_is_taken_with_the_key_in_the_environment(self, init: Init) -> None:
        with FakeLetta(password=SECRET) as named:
            done = init("--yes", "--backend", "docker", "--url", named.url, LETTA_API_KEY=SECRET)
            assert done.exit_code == 0
            assert SECRET not in done.output

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--yes", "--backend", "docker"), "--url http://localhost:8283"),
            (("--yes", "--backend", "api"), "LETTA_API_KEY"),
            (("--yes", "--url", "http://localhost:1"), "--backend"),
            (("--yes", "--backend", "embedded", "--url", "http://localhost:1"), "--backend"),
            (("--yes", "--backend", "docker", "--url", "http://me:pw@localhost"), "the URL of a Letta server"),
        ],
    )
    def test_what_is_missing_or_wrong_is_said_and_nothing_written(
        self, init: Init, arguments: tuple[str, ...], words: str
    ) -> None:
        refused = init(*arguments)
        assert refused.exit_code in (1, 2)
        assert words in " ".join(refused.stderr.split())
        assert "pw" not in refused.stderr
        assert not init.file.exists()

    def test_a_backend_that_does_not_answer_leaves_the_file_and_exit_code_1(self, init: Init) -> None:
        done = init("--yes", "--backend", "docker", "--url", f"http://127.0.0.1:{nobody()}")
        assert done.exit_code == 1
        assert "NOT OK backend" in done.output
        assert "is kept" in done.stderr
        assert init.file.exists()


class TestWithQuestions:
    def test_what_is_found_is_offered_first(self, init: Init, letta: FakeLetta, ollama: Speaker) -> None:
        usual = ports(letta=port_of(letta.url), openai=ollama.port)
        done = init(usual=usual, typed="\n\n")
        assert done.exit_code == 0
        assert f"1  Letta 0.16.8, at {letta.url}" in done.output
        assert "2  Ollama, 1 model, at" in done.output
        assert letta.url in init.file.read_text()

    def test_a_key_that_is_typed_makes_the_file_private_and_is_not_shown(self, init: Init) -> None:
        with FakeLetta(password=SECRET) as locked:
            done = init(typed=f"1\n{locked.url}\n{SECRET}\n")
            assert done.exit_code == 0, done.output
            assert SECRET in init.file.read_text()
            assert stat.S_IMODE(init.file.stat().st_mode) == 0o600
            assert SECRET not in done.output

    def test_a_key_with_odd_characters_is_read_as_it_was_typed(self, init: Init) -> None:
        odd = 'it\'s: #"quoted"\\ - {odd}'
        with FakeLetta(password=odd) as locked:
            assert init(typed=f"1\n{locked.url}\n{odd}\n").exit_code == 0

    def test_a_key_that_would_be_taken_for_a_variable_is_refused(self, init: Init) -> None:
        refused = init(typed="1\nhttp://127.0.0.1:1\n${HOME}\n")
        assert refused.exit_code == 1
        assert "LETTA_API_KEY" in refused.stderr
        assert not init.file.exists()

    @pytest.mark.parametrize("typed", ["", "1\n", "1\nhttp://127.0.0.1:1\n"])
    def test_the_end_of_the_input_leaves_nothing_behind(self, init: Init, typed: str) -> None:
        ended = init(typed=typed)
        assert ended.exit_code == 1
        assert ended.stderr.endswith("Aborted!\n")
        assert not list(init.file.parent.iterdir())

    def test_ctrl_c_leaves_nothing_behind(self, place: Place) -> None:
        # The environment's backend is asked about before any usual port is looked at.
        running = place.start(["init"], {"LETTA_BASE_URL": "http://127.0.0.1:1"})
        wait_until(lambda: "Take that?" in running.out, "the question")
        assert running.stop(SIGINT) == 1
        assert not list(place.directory.iterdir())

    def test_nor_does_ctrl_c_while_a_backend_is_waited_for(self, place: Place) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            running = place.start(["init", "--yes", "--backend", "docker", "--url", url], {})
            wait_until(lambda: "state: " in running.out, "the lines before the backend's")
            assert (place.directory / "lettabot.yaml").exists()
            assert running.stop(SIGINT) == 1
        assert not (place.directory / "lettabot.yaml").exists()


class TestWhatIsThere:
    @pytest.mark.parametrize("content", ["server:\n  mode: embedded\n", "", "not even: [yaml"])
    def test_a_file_is_never_overwritten(self, init: Init, content: str) -> None:
        init.file.write_text(content)
        refused = init("--yes")
        assert refused.exit_code == 1
        assert "was not changed" in refused.stderr
        assert init.file.read_text() == content

    def test_nor_is_a_link_that_leads_nowhere(self, init: Init, tmp_path: Path) -> None:
        init.file.symlink_to(tmp_path / "elsewhere")
        assert init("--yes").exit_code == 1
        assert not (tmp_path / "elsewhere").exists()

    def test_another_file_may_be_named(self, init: Init) -> None:
        init.file.write_text("")
        done = init("--yes", "--config", "other.yaml")
        assert done.exit_code == 0
        assert "lettabot server --config other.yaml" in done.output

    def test_a_directory_that_cannot_be_written_is_told(self, init: Init) -> None:
        refused = init("--yes", "--config", "nowhere/lettabot.yaml")
        assert refused.exit_code == 1
        assert "cannot be written" in refused.stderr

    @pytest.mark.parametrize("name", ["LETTABOT_CONFIG", "LETTABOT_CONFIG_YAML"])
    def test_what_would_be_read_instead_is_told(self, init: Init, name: str) -> None:
        environment = {name: "{server: {mode: embedded}}"}
        refused = init("--yes", usual=None, typed="", **environment)
        assert refused.exit_code == 1
        assert name in refused.stderr
        assert not init.file.exists()


def test_the_line_for_open_webui_is_that_of_the_documentation(init: Init) -> None:
    assert f"\n{HEADERS}\n" in (ROOT / "docs" / "clients.md").read_text()
    assert json.loads(HEADERS)
    shown = init("--yes", PORT="8081").output
    assert HEADERS in shown
    assert "http://localhost:8081/v1" in shown
    assert "lettabot key show" in shown
    assert os.listdir(init.file.parent)
