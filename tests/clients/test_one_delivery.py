"""One question is one delivery: real clients with their default retries, counted where the messages arrive.

Each client asks all its questions at once, in one process; each question has an agent of its own (`scripted_letta.py`)
and is its name, too."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.cli.processes import Running, wait_until
from tests.clients.conftest import CLIENTS, KEY, ROOT, installed, serving
from tests.clients.scripted_letta import TEXT, TOOL, TOOL_TEXT, ScriptedLetta

# All clients ask at once: not once in each test process.
pytestmark = pytest.mark.xdist_group("one_delivery")

HERE = Path(__file__).parent
PYTHON, NODE = CLIENTS / "frameworks" / "bin" / "python", CLIENTS / "node" / "node"
MODULES = CLIENTS / "node" / "node_modules"
# Seconds in which a client has told all, starting included. LangChain JS could go on for two minutes.
PATIENCE = 30.0
AT_ONCE = 3
"""Clients, on a small machine."""


class Client(NamedTuple):
    """How to start one, and what it is known to do when nobody stops it.

    `runs_tools`: it tries to run the tool calls that it sees. `ignores_header`: it asks again in spite of
    `x-should-retry: false`. `retries_timeouts`: it asks again when nothing has come in time. `times_out_streams`: its
    time-out counts in the middle of a stream, too; nobody asks again there."""

    program: Path
    script: str
    needs: Path
    runs_tools: bool = False
    ignores_header: bool = False
    retries_timeouts: bool = True
    times_out_streams: bool = True


TRIED = {
    "openai_python": Client(Path(sys.executable), "openai_client.py", Path(sys.executable)),
    "openai_node": Client(NODE, "openai_client.mjs", MODULES / "openai", times_out_streams=False),
    "langchain_python": Client(PYTHON, "langchain_client.py", PYTHON),
    "langchain_js": Client(
        NODE, "langchain_client.mjs", MODULES / "@langchain" / "openai", ignores_header=True, times_out_streams=False
    ),
    "ai_sdk": Client(
        NODE, "ai_sdk_client.mjs", MODULES / "ai", runs_tools=True, ignores_header=True, retries_timeouts=False
    ),
    "pydantic_ai": Client(PYTHON, "pydantic_ai_client.py", PYTHON, runs_tools=True),
    "agents_sdk": Client(PYTHON, "agents_client.py", PYTHON, runs_tools=True),
}
# The same with the Responses API, where a failure after the delivery is an answer: nobody asks again.
RESPONSES = {
    "responses_openai_python": Client(Path(sys.executable), "responses_openai_client.py", Path(sys.executable)),
    "responses_openai_node": Client(NODE, "responses_openai_client.mjs", MODULES / "openai", times_out_streams=False),
    "responses_langchain_python": Client(PYTHON, "responses_langchain_client.py", PYTHON),
    "responses_langchain_js": Client(
        NODE, "responses_langchain_client.mjs", MODULES / "@langchain" / "openai", times_out_streams=False
    ),
    "responses_ai_sdk": Client(
        NODE, "responses_ai_sdk_client.mjs", MODULES / "@ai-sdk" / "openai", retries_timeouts=False
    ),
    "responses_pydantic_ai": Client(PYTHON, "responses_pydantic_ai_client.py", PYTHON),
    "responses_agents_python": Client(PYTHON, "responses_agents_client.py", PYTHON),
    "responses_agents_js": Client(
        NODE, "responses_agents_client.mjs", MODULES / "@openai" / "agents", times_out_streams=False
    ),
}
ALL = TRIED | RESPONSES
# They tell their caller nothing of a stream that failed, or not why (recorded).
SILENT = ("responses_agents_js", "responses_langchain_js")
# What the agent does, and whether the client asks for a whole answer or a stream.
LATE = ("late whole", "late stream", "silent stream")
FAILS = ("tool_then_error whole", "tool_then_error stream")
WITH_TOOL = ("tool_then_text whole", "tool_then_text stream")
ENDLESS = ("endless stream",)
SCENARIOS = (*LATE, *FAILS, *WITH_TOOL, *ENDLESS)


class Got(msgspec.Struct, frozen=True):
    """What a client made of one question. `errors`: the classes of what it raised and of its causes."""

    question: str
    text: str
    tools: list[str]
    errors: list[str]
    says: str

    @property
    def timed_out(self) -> bool:
        return any("Timeout" in error for error in self.errors)


class Outcome(NamedTuple):
    """One question: what the client got, the runs that it began on Letta, the statuses that lettabot answered with."""

    got: Got
    runs: list[str]
    statuses: list[int]


class Trial:
    """Clients that ask, a few of them at once, before one server, before one Letta."""

    def __init__(self, letta: ScriptedLetta, server: Running, directory: Path) -> None:
        self.letta = letta
        self._server = server
        self._directory = directory
        self._asking: Mapping[str, Future[dict[str, Got]]] = {}

    def start(self, names: list[str], pool: ThreadPoolExecutor) -> None:
        if MODULES.exists():
            # Node looks for packages beside the script.
            (self._directory / "node_modules").symlink_to(MODULES)
            for script in HERE.glob("*.mjs"):
                shutil.copy(script, self._directory)
        self._asking = {name: pool.submit(self._ask, name) for name in names if ALL[name].needs.exists()}

    def outcome(self, name: str, scenario: str) -> Outcome:
        installed(ALL[name].needs)
        question = f"{scenario} {name}"
        got = self._asking[name].result().get(question)
        deliveries = self.letta.deliveries[question]
        assert [text for _, text in deliveries] == [question], (
            f"{len(deliveries)} deliveries of one question, answered with {self._statuses(question)}; got: {got}"
        )
        assert got is not None, f"{name} said nothing within {PATIENCE} s. {self._errors(name).read_text()}"
        runs = [run for run, _ in deliveries]
        wait_until(lambda: self.letta.ended.issuperset(runs), "the end of the run")
        return Outcome(got, runs, wait_until(lambda: self._statuses(question), "a line in the log"))

    def _statuses(self, question: str) -> list[int]:
        return [line["status"] for line in self._server.log if line.get("agent") == question and "status" in line]

    def _ask(self, name: str) -> dict[str, Got]:
        client = ALL[name]
        questions = [f"{scenario} {name}" for scenario in SCENARIOS]
        script = [str(self._directory / client.script)]
        if client.script.endswith(".py"):
            script = ["-m", f"tests.clients.{Path(client.script).stem}"]
        with self._errors(name).open("w") as errors:
            process = subprocess.Popen(
                [str(client.program), *script, f"{self._server.url}/v1", KEY, *questions],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                start_new_session=True,
            )
            try:
                out, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                # Node may be the child of a script that starts it.
                os.killpg(process.pid, signal.SIGKILL)
                out, _ = process.communicate()
        told = [msgspec.json.decode(line, type=Got) for line in out.splitlines()]
        return {got.question: got for got in told}

    def _errors(self, name: str) -> Path:
        return self._directory / f"{name}.err"


@pytest.fixture(scope="module")
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """All clients that tests were asked for are asking already."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = {test.callspec.params["name"] for test in tests if test.module is request.module}
    directory = tmp_path_factory.mktemp("one_delivery")
    with (
        ScriptedLetta([f"{scenario} {name}" for name in ALL for scenario in SCENARIOS]) as letta,
        contextmanager(serving)(directory, LETTA_BASE_URL=letta.url) as server,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        trial = Trial(letta, server, directory)
        trial.start([name for name in ALL if name in wanted], pool)
        yield trial


clients = pytest.mark.parametrize("name", TRIED)
responses = pytest.mark.parametrize("name", RESPONSES)
all_clients = pytest.mark.parametrize("name", ALL)


@all_clients
@pytest.mark.parametrize("scenario", LATE)
def test_a_time_out_repeats_no_delivery(trial: Trial, name: str, scenario: str) -> None:
    client = ALL[name]
    got, _, statuses = trial.outcome(name, scenario)

    if scenario == "late stream":
        # The stream has begun when the time is over.
        gets_text, asks_again = not client.times_out_streams, False
    else:
        gets_text = asks_again = client.retries_timeouts
    assert (got.text, got.errors) == (TEXT, []) if gets_text else got.timed_out, got
    # On a busy machine, others may have to ask again as well.
    assert len(statuses) > 1 or not asks_again, "it did not ask again: the test proves less than it should"


@clients
@pytest.mark.parametrize("scenario", FAILS)
def test_an_error_after_the_delivery_repeats_no_delivery(trial: Trial, name: str, scenario: str) -> None:
    got, _, statuses = trial.outcome(name, scenario)

    assert got.errors
    assert "language model failed" in got.says
    if scenario.endswith("stream"):
        assert statuses == [200]
    elif TRIED[name].ignores_header:
        assert statuses[0] == 502
        assert set(statuses[1:]) == {409}
    else:
        assert statuses == [502]


@responses
@pytest.mark.parametrize("scenario", FAILS)
def test_a_response_that_failed_after_the_delivery_is_not_asked_for_again(
    trial: Trial, name: str, scenario: str
) -> None:
    got, _, statuses = trial.outcome(name, scenario)

    assert statuses == [200]
    if name not in SILENT or scenario.endswith("whole"):
        assert got.errors
    if name not in SILENT:
        assert "language model failed" in got.says


@responses
@pytest.mark.parametrize("scenario", WITH_TOOL)
def test_a_response_with_an_agents_own_tool_call_is_no_work_for_the_client(
    trial: Trial, name: str, scenario: str
) -> None:
    got, _, statuses = trial.outcome(name, scenario)

    assert (got.text, got.errors) == (TOOL_TEXT, [])
    assert statuses == [200]


@clients
@pytest.mark.parametrize("scenario", WITH_TOOL)
def test_an_agents_own_tool_call_is_no_work_for_the_client(trial: Trial, name: str, scenario: str) -> None:
    got, _, statuses = trial.outcome(name, scenario)

    assert (got.text, got.errors) == (TOOL_TEXT, [])
    shown = scenario.endswith("stream") and not TRIED[name].runs_tools
    assert got.tools == ([TOOL] if shown else [])
    assert statuses == [200]


@all_clients
@pytest.mark.parametrize("scenario", ENDLESS)
def test_a_client_that_hangs_up_a_stream_stops_its_run(trial: Trial, name: str, scenario: str) -> None:
    got, runs, statuses = trial.outcome(name, scenario)

    assert got.text
    assert got.errors == []
    assert [run for run in trial.letta.cancelled if run in runs] == runs
    assert statuses == [200]
