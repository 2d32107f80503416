"""`lettabot check`, `agents`, `key` and `chat`: what they print, and their exit codes."""

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT

import pytest

from tests.cli.conftest import Lettabot
from tests.cli.fake_letta import ANNA, BERT, FAILING, HALTING, OTHER_BERT, FakeLetta
from tests.cli.processes import PATIENCE, Place, wait_until

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def letta() -> Iterator[FakeLetta]:
    with FakeLetta([(ANNA, "anna"), (BERT, "bert"), (OTHER_BERT, "bert")]) as letta:
        yield letta


@pytest.fixture(scope="module")
def locked_letta() -> Iterator[FakeLetta]:
    with FakeLetta(password="the-right-one") as letta:
        yield letta


class TestCheck:
    def test_with_nothing_configured_all_is_well_and_not_letta(self, lettabot: Lettabot, tmp_path: Path) -> None:
        checked = lettabot("check")
        assert checked.exit_code == 0
        configuration, key, state, backend, abilities, agents = checked.stdout.splitlines()
        assert configuration == "ok     configuration: none; environment and defaults only"
        assert key == "ok     API key: none yet; 'lettabot server' makes one at its first start"
        assert state == f"ok     state: in {tmp_path / 'lettabot-state.sqlite'}, when it is first needed"
        assert backend.startswith("ok     backend: the built-in notebook agent")
        assert backend.endswith("not Letta")
        can = "answer, check credential, find by name, conversations, list of conversations, names of conversations"
        assert abilities == f"         it can: {can}, forks, history"
        assert agents == "ok     agents: 1 on offer; 'lettabot agents' lists them"
        assert not (tmp_path / "lettabot-api.json").exists()

    def test_all_is_well_with_letta(self, lettabot: Lettabot, letta: FakeLetta, tmp_path: Path) -> None:
        (tmp_path / "lettabot.yaml").write_text(f"server: {{baseUrl: '{letta.url}'}}\nfeatures: {{}}\n")
        checked = lettabot("check", LETTABOT_API_KEY="k")
        assert checked.exit_code == 0
        assert "ok     configuration: lettabot.yaml\n" in checked.stdout
        assert "info: " in checked.stdout
        assert "features" in checked.stdout
        assert "ok     API key: the environment variable LETTABOT_API_KEY\n" in checked.stdout
        assert f"ok     backend: Letta answers at {letta.url}\n" in checked.stdout
        assert "ok     agents: 3 on offer" in checked.stdout

    def test_letta_does_not_answer(self, lettabot: Lettabot) -> None:
        checked = lettabot("check", LETTA_BASE_URL=NOBODY_LISTENS)
        assert checked.exit_code == 1
        assert f"NOT OK backend: {NOBODY_LISTENS} does not answer; is Letta running" in checked.stdout

    def test_letta_refuses_the_key(self, lettabot: Lettabot, locked_letta: FakeLetta) -> None:
        checked = lettabot("check", LETTA_BASE_URL=locked_letta.url, LETTA_API_KEY="the-wrong-one")
        assert checked.exit_code == 1
        assert f"NOT OK backend: {locked_letta.url} refuses the Letta API key; correct LETTA_API_KEY" in checked.stdout
        assert "the-wrong-one" not in checked.output

    def test_configured_agents_that_are_missing_or_ambiguous(
        self, lettabot: Lettabot, letta: FakeLetta, tmp_path: Path
    ) -> None:
        (tmp_path / "lettabot.yaml").write_text("agents: [{name: anna}, {name: bert}, {name: carl}]")
        checked = lettabot("check", LETTA_BASE_URL=letta.url)
        assert checked.exit_code == 1
        *_, bert, carl, others = checked.stdout.splitlines()
        assert bert.startswith("NOT OK agents: bert: several agents have this name; configure the id")
        assert BERT in bert
        assert OTHER_BERT in bert
        assert carl.startswith("NOT OK agents: carl: there is no such agent; make it in Letta")
        assert others.startswith("ok     agents: 1 on offer")

    def test_no_configured_agent_exists(self, lettabot: Lettabot, letta: FakeLetta) -> None:
        checked = lettabot("check", LETTA_BASE_URL=letta.url, LETTA_AGENT_NAME="carl")
        assert checked.exit_code == 1
        assert checked.stdout.splitlines()[-1].startswith("NOT OK agents: carl: there is no such agent")

    def test_letta_has_no_agents(self, lettabot: Lettabot) -> None:
        with FakeLetta([]) as empty:
            checked = lettabot("check", LETTA_BASE_URL=empty.url)
        assert checked.exit_code == 1
        assert checked.stdout.splitlines()[-1] == "NOT OK agents: There are none; make one in Letta."

    def test_the_rest_is_checked_though_the_key_is_broken(
        self, lettabot: Lettabot, letta: FakeLetta, tmp_path: Path
    ) -> None:
        (tmp_path / "lettabot-api.json").write_text("{}")
        checked = lettabot("check", LETTA_BASE_URL=letta.url)
        assert checked.exit_code == 1
        assert f"NOT OK API key: {tmp_path / 'lettabot-api.json'} has no" in checked.stdout
        assert "ok     agents: 3 on offer" in checked.stdout

    def test_the_state_cannot_be_used(self, lettabot: Lettabot, tmp_path: Path) -> None:
        (tmp_path / "lettabot-state.sqlite").write_text("this is not a database, but long enough to be one " * 9)
        checked = lettabot("check")
        assert checked.exit_code == 1
        assert f"NOT OK state: in {tmp_path / 'lettabot-state.sqlite'}: file is not a database" in checked.stdout

    def test_the_state_is_in_a_database_that_is_not_there(self, lettabot: Lettabot, tmp_path: Path) -> None:
        (tmp_path / "lettabot.yaml").write_text("server: {api: {state: 'postgresql://me:secret@127.0.0.1:1/state'}}")
        checked = lettabot("check", LETTABOT_API_KEY="k")
        assert checked.exit_code == 1
        assert "NOT OK state: in PostgreSQL: " in checked.stdout
        assert "secret" not in checked.stdout

    def test_the_notebook_cannot_be_used(self, lettabot: Lettabot, tmp_path: Path) -> None:
        (tmp_path / "lettabot-embedded.sqlite").write_text("this is not a database, but long enough to be one " * 9)
        checked = lettabot("check")
        assert checked.exit_code == 1
        assert "NOT OK backend: " in checked.stdout
        assert "lettabot-embedded.sqlite" in checked.stdout

    def test_the_configuration_cannot_be_read(self, lettabot: Lettabot, tmp_path: Path) -> None:
        (tmp_path / "lettabot.yaml").write_text("server: {api: {port: many}}")
        checked = lettabot("check")
        assert checked.exit_code == 1
        assert "lettabot.yaml: server.api.port" in checked.stderr


class TestAgents:
    def test_the_table(self, lettabot: Lettabot, letta: FakeLetta) -> None:
        listed = lettabot("agents", LETTA_BASE_URL=letta.url)
        assert listed.exit_code == 0
        rows = [re.split(r" {2,}", line) for line in listed.stdout.splitlines()]
        assert rows == [
            ["MODEL", "AGENT ID", "CREATED"],
            ["anna", ANNA, "2025-01-01 00:00 UTC"],
            [BERT, BERT, "2025-01-01 00:00 UTC"],
            [OTHER_BERT, OTHER_BERT, "2025-01-01 00:00 UTC"],
        ]
        assert listed.stderr == ""

    def test_the_built_in_agent(self, lettabot: Lettabot) -> None:
        assert re.search(r"(?m)^lettabot  agent-\S+  20\d\d-", lettabot("agents").stdout)

    def test_what_is_not_on_offer_is_said_beside_the_table(
        self, lettabot: Lettabot, letta: FakeLetta, tmp_path: Path
    ) -> None:
        (tmp_path / "lettabot.yaml").write_text("agents: [{name: anna}, {name: bert}]")
        listed = lettabot("agents", LETTA_BASE_URL=letta.url)
        assert listed.exit_code == 0
        assert len(listed.stdout.splitlines()) == 2
        assert BERT in listed.stderr
        assert OTHER_BERT in listed.stderr

    def test_there_are_none(self, lettabot: Lettabot) -> None:
        with FakeLetta([]) as empty:
            assert lettabot("agents", LETTA_BASE_URL=empty.url).stderr == "There are none; make one in Letta.\n"

    def test_letta_does_not_answer(self, place: Place) -> None:
        listed = place.run("agents", LETTA_BASE_URL=NOBODY_LISTENS)
        assert listed.process.returncode == 1
        [message] = listed.err.splitlines()
        assert message.startswith(f"Error: {NOBODY_LISTENS} does not answer; is Letta running")

    def test_letta_refuses_the_key(self, lettabot: Lettabot, locked_letta: FakeLetta) -> None:
        listed = lettabot("agents", LETTA_BASE_URL=locked_letta.url, LETTA_API_KEY="the-wrong-one")
        assert listed.exit_code == 1
        assert "refuses the Letta API key" in listed.stderr


class TestKey:
    def test_there_is_none_yet(self, lettabot: Lettabot, tmp_path: Path) -> None:
        shown = lettabot("key", "show")
        assert (shown.exit_code, shown.stdout) == (1, "")
        assert "'lettabot server' makes one at its first start" in shown.stderr
        assert not list(tmp_path.iterdir())

    def test_show_prints_the_key_and_nothing_else(self, lettabot: Lettabot, tmp_path: Path) -> None:
        (tmp_path / "lettabot-api.json").write_text('{"apiKey": "in-the-file"}')
        assert lettabot("key", "show").output == "in-the-file\n"
        assert lettabot("key", "show", LETTABOT_API_KEY="").output == "in-the-file\n"
        assert lettabot("key", "show", LETTABOT_API_KEY="in-the-environment").output == "in-the-environment\n"

    def test_path_prints_the_path_and_nothing_else(self, lettabot: Lettabot, tmp_path: Path) -> None:
        assert lettabot("key", "path").output == f"{tmp_path / 'lettabot-api.json'}\n"
        assert lettabot("key", "path", DATA_DIR="data").output == f"{tmp_path / 'data' / 'lettabot-api.json'}\n"

    def test_rotate_makes_and_then_replaces_the_key(self, lettabot: Lettabot, tmp_path: Path) -> None:
        first, second = lettabot("key", "rotate"), lettabot("key", "rotate")
        assert first.exit_code == second.exit_code == 0
        assert re.fullmatch(r"[0-9a-f]{64}\n", first.stdout)
        assert first.stdout != second.stdout
        assert lettabot("key", "show").stdout == second.stdout
        assert str(tmp_path / "lettabot-api.json") in second.stderr
        assert "Restart the server" in second.stderr

    def test_rotate_keeps_its_hands_off_the_environment(self, lettabot: Lettabot, tmp_path: Path) -> None:
        rotated = lettabot("key", "rotate", LETTABOT_API_KEY="in-the-environment")
        assert rotated.exit_code == 1
        assert "LETTABOT_API_KEY" in rotated.stderr
        assert "in-the-environment" not in rotated.output
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("command", ["show", "rotate"])
    def test_a_broken_file_is_named_and_left_alone(self, lettabot: Lettabot, tmp_path: Path, command: str) -> None:
        file = tmp_path / "lettabot-api.json"
        file.write_text("{}")
        broken = lettabot("key", command)
        assert broken.exit_code == 1
        assert str(file) in broken.stderr
        assert file.read_text() == "{}"


class TestChat:
    def test_each_line_is_a_message_until_the_end_of_the_input(self, lettabot: Lettabot, letta: FakeLetta) -> None:
        letta.heard.clear()
        chatted = lettabot("chat", typed="hello\n\n   \nhow are you?", LETTA_BASE_URL=letta.url)
        assert chatted.exit_code == 0
        assert chatted.stdout == "You said: hello\nYou said: how are you?\n"
        assert letta.heard == ["hello", "how are you?"]

    def test_without_letta_the_built_in_agent_answers(self, lettabot: Lettabot) -> None:
        lettabot("chat", typed="add milk to my todo list")
        assert "milk" in lettabot("chat", "lettabot", typed="what's on my todo list?").stdout

    def test_an_agent_is_chosen_by_name_or_id(self, lettabot: Lettabot, letta: FakeLetta) -> None:
        for model in ("anna", BERT):
            assert lettabot("chat", model, typed="hi", LETTA_BASE_URL=letta.url).stdout == "You said: hi\n"

    def test_the_answer_appears_while_it_is_made(self, place: Place) -> None:
        with FakeLetta() as letta:
            chat = place.start(["chat"], {"LETTA_BASE_URL": letta.url})
            assert chat.process.stdin is not None
            chat.process.stdin.write(f"{HALTING}\n")
            chat.process.stdin.close()
            wait_until(lambda: chat.out == "Well. ", "the first words")
            letta.let_go.set()
            assert chat.process.wait(PATIENCE) == 0
            assert chat.out == f"Well. You said: {HALTING}\n"

    def test_there_is_no_such_agent(self, lettabot: Lettabot, letta: FakeLetta) -> None:
        for environment in ({"LETTA_BASE_URL": letta.url}, {}):
            refused = lettabot("chat", "nobody", typed="hi", **environment)
            assert refused.exit_code == 1
            assert refused.stderr == "Error: There is no such agent; 'lettabot agents' lists the ones that there are.\n"

    def test_letta_does_not_answer(self, lettabot: Lettabot) -> None:
        refused = lettabot("chat", typed="hi", LETTA_BASE_URL=NOBODY_LISTENS)
        assert refused.exit_code == 1
        assert "does not answer; is Letta running" in refused.stderr

    def test_letta_refuses_the_key(self, lettabot: Lettabot, locked_letta: FakeLetta) -> None:
        refused = lettabot("chat", typed="hi", LETTA_BASE_URL=locked_letta.url)
        assert refused.exit_code == 1
        assert "refuses the Letta API key" in refused.stderr

    def test_a_failed_answer_is_explained_and_the_chat_goes_on(self, lettabot: Lettabot, letta: FakeLetta) -> None:
        chatted = lettabot("chat", typed=f"{FAILING}\nhello", LETTA_BASE_URL=letta.url)
        assert chatted.exit_code == 1
        assert chatted.stdout == "\nYou said: hello\n"
        [sentence] = chatted.stderr.splitlines()
        assert sentence.endswith("Your message was delivered; do not send it again.")

    def test_ctrl_c_ends_the_chat_at_once(self, place: Place) -> None:
        terminal, chat_end = pty.openpty()
        chat = place.start(["chat"], {}, stdin=chat_end)
        os.close(chat_end)
        wait_until(lambda: "you -> lettabot: " in chat.out, "the prompt")
        chat.process.send_signal(SIGINT)
        assert chat.process.wait(PATIENCE) == 1
        assert chat.err.endswith("Aborted!\n")
        os.close(terminal)
