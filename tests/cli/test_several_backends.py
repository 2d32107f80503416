"""Two backends behind one service: one list of agents, and one that is down takes only its own away."""

from collections.abc import Iterator

import httpx
import pytest

from tests.cli.conftest import KEY, Lettabot, client_of, question
from tests.cli.fake_letta import FakeLetta
from tests.cli.processes import Place, wait_until

ANNA = "agent-00000000-0000-4000-8000-00000000000a"
CARL = "agent-00000000-0000-4000-8000-00000000000c"


def backends(first: FakeLetta, second: FakeLetta) -> str:
    return (
        f"{{backends: {{home: {{mode: docker, baseUrl: '{first.url}'}}, "
        f"other: {{mode: docker, baseUrl: '{second.url}'}}}}}}"
    )


@pytest.fixture
def first() -> Iterator[FakeLetta]:
    letta = FakeLetta([(ANNA, "anna")]).start()
    yield letta
    letta.stop()


@pytest.fixture
def second() -> Iterator[FakeLetta]:
    """It has an agent with the same id and name, as a copy of a database has."""
    letta = FakeLetta([(ANNA, "anna"), (CARL, "carl")]).start()
    yield letta
    letta.stop()


@pytest.fixture
def client(place: Place, first: FakeLetta, second: FakeLetta) -> Iterator[httpx.Client]:
    with client_of(place.serve(LETTABOT_CONFIG_YAML=backends(first, second), LETTABOT_API_KEY=KEY)) as client:
        yield client


def ask(client: httpx.Client, model: str | None, text: str) -> httpx.Response:
    return client.post("/v1/chat/completions", json=question(text, **({"model": model} if model else {})))


def test_each_message_reaches_the_agent_that_was_asked_for(
    client: httpx.Client, first: FakeLetta, second: FakeLetta
) -> None:
    models = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert models == ["anna", "other/anna", "carl"]
    for model in ("anna", "home/anna", ANNA, None):
        assert ask(client, model, f"home {model}").status_code == 200
    for model in ("other/anna", f"other/{ANNA}", "carl", CARL, "other/carl"):
        assert ask(client, model, f"other {model}").status_code == 200
    assert len(first.heard) == 4
    assert len(second.heard) == 5
    assert all(text.startswith("home") for text in first.heard)
    assert all(text.startswith("other") for text in second.heard)
    assert ask(client, "nobody", "hi").status_code == 404


def test_a_backend_that_is_down_takes_only_its_own_agents_out_of_service(
    client: httpx.Client, second: FakeLetta
) -> None:
    assert len(client.get("/v1/models").json()["data"]) == 3
    second.stop()
    assert ask(client, "anna", "hi").status_code == 200
    away = ask(client, "carl", "hi")
    assert (away.status_code, away.json()["error"]["code"]) == (503, "backend_unavailable")
    assert len(client.get("/v1/models").json()["data"]) == 3
    assert ask(client, "nobody", "hi").status_code == 404
    wait_until(lambda: ready(client) == (200, {"home": True, "other": False}), "one is down, and said to be")


def ready(client: httpx.Client) -> tuple[int, dict[str, bool]]:
    answer = client.get("/health/ready")
    return answer.status_code, {name: report["ready"] for name, report in answer.json()["backends"].items()}


def test_one_that_was_never_reached(place: Place, first: FakeLetta, second: FakeLetta) -> None:
    config = backends(first, second)
    first.stop()
    with client_of(place.serve(LETTABOT_CONFIG_YAML=config, LETTABOT_API_KEY=KEY)) as client:
        assert ask(client, "carl", "hi").status_code == 200
        for model in ("nobody", None):
            answer = ask(client, model, "hi")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")


def test_the_commands_show_the_backends(lettabot: Lettabot, first: FakeLetta, second: FakeLetta) -> None:
    config = backends(first, second)
    listed = lettabot("agents", LETTABOT_CONFIG_YAML=config).stdout.splitlines()
    assert [line.split()[-1] for line in listed] == ["BACKEND", "home", "other", "other"]
    checked = lettabot("check", LETTABOT_CONFIG_YAML=config)
    assert checked.exit_code == 0
    assert f"ok     backend home: Letta answers at {first.url}\n" in checked.stdout
    second.stop()
    checked = lettabot("check", LETTABOT_CONFIG_YAML=config)
    assert checked.exit_code == 1
    assert "ok     backend home" in checked.stdout
    assert f"NOT OK backend other: {second.url} does not answer" in checked.stdout
    listed = lettabot("agents", LETTABOT_CONFIG_YAML=config).output.splitlines()
    assert any(line.startswith(f"other: {second.url} does not answer") for line in listed)
