"""What clients get while the state cannot be read or written, and that it passes."""

import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.postgres.server import PostgresServer
from tests.state.letta import CountingLetta
from tests.state.service import Service, outcomes

pytestmark = pytest.mark.state

CHAT = "/v1/chat/completions"
JOBS = "/api/v1/chat/async"


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta()
    letta.start()
    yield letta
    letta.stop()


@pytest.fixture(params=[(), ("--workers", "2")], ids=["one process", "workers"])
def service(request: pytest.FixtureRequest, tmp_path: Path, letta: CountingLetta) -> Iterator[Service]:
    directory = tmp_path / "data"
    directory.mkdir()
    service = Service(directory, letta.url)
    service.start(options=request.param)
    yield service
    service.stop()


def ask(service: Service, text: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"model": "anna", "messages": [{"role": "user", "content": text}]}
    with service.client() as client:
        return client.post(CHAT, json=body, headers=named)


def leave_job(service: Service, text: str) -> httpx.Response:
    with service.client() as client:
        return client.post(JOBS, json={"message": text, "agent": "bert"})


def assert_refused(service: Service, letta: CountingLetta) -> None:
    """Nothing that needs the state is delivered, and whoever asks is told to come back."""
    before = list(letta.texts)
    for number, headers in enumerate(({"X_Letta_Chat_Key": f"chat {time.time()}"}, {"Idempotency_Key": "key"})):
        answer = ask(service, f"refused {number}", **headers)
        assert answer.status_code == 503, answer.text
        assert answer.json()["error"]["code"] == "state_unavailable"
        assert "Nothing was delivered" in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "true"
        assert int(answer.headers["Retry-After"]) > 0
    answer = leave_job(service, "refused job")
    assert (answer.status_code, answer.json()["success"]) == (503, False)
    assert letta.texts == before


def assert_works(service: Service, letta: CountingLetta, name: str) -> None:
    assert ask(service, f"{name} in a chat", X_Letta_Chat_Key=name).status_code == 200
    for _ in range(2):
        assert ask(service, f"{name} with a key", Idempotency_Key=name).json()["model"] == "anna"
    job = leave_job(service, f"{name} as a job")
    assert job.status_code == 202, job.text
    assert outcomes(service, {"job": job.json()["jobId"]})["job"]["status"] == "completed"
    for text in (f"{name} in a chat", f"{name} with a key", f"{name} as a job"):
        assert letta.texts.count(text) == 1


def limit_files(service: Service, size: int) -> None:
    """No file of the service can grow beyond this size: what a full disk does."""
    for pid in service.pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk(service: Service, letta: CountingLetta) -> None:
    assert_works(service, letta, "before")
    letta.thinks = 3.0
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(ask(service, "begun before", Idempotency_Key="begun")))
    asking.start()
    time.sleep(1.0)
    letta.thinks = 0.15
    limit_files(service, 4096)
    assert_refused(service, letta)
    asking.join()
    assert answers[0].status_code == 200, "what was delivered before is answered"
    limit_files(service, resource.RLIM_INFINITY)
    assert_works(service, letta, "after")
    again = ask(service, "begun before", Idempotency_Key="begun")
    assert again.json()["choices"] == answers[0].json()["choices"]
    assert letta.texts.count("begun before") == 1


def test_a_disk_that_is_full_while_a_job_ends(service: Service, letta: CountingLetta) -> None:
    letta.thinks = 3.0
    accepted = {text: leave_job(service, text).json()["jobId"] for text in ("ends meanwhile", "waits behind it")}
    time.sleep(1.5)
    letta.thinks = 0.15
    limit_files(service, 4096)
    time.sleep(5)
    limit_files(service, resource.RLIM_INFINITY)
    ended = outcomes(service, accepted)
    assert [job["response"] for job in ended.values()] == ["Done: ends meanwhile", "Done: waits behind it"]
    assert letta.texts == list(accepted)
    assert_works(service, letta, "after")


def test_a_directory_that_is_read_only(service: Service, letta: CountingLetta) -> None:
    assert service.key, "is in a file from now on"
    options = ("--workers", "2") if service.workers else ()
    service.stop()
    for path in service.directory.glob("lettabot-state.sqlite*"):
        # The service that stops, or fails, takes some of them away itself.
        path.unlink(missing_ok=True)
    service.directory.chmod(0o555)
    try:
        service.start(options=options)
        assert_refused(service, letta)
        if not service.workers:
            assert ask(service, "hello").status_code == 200
    finally:
        service.directory.chmod(0o755)
    assert_works(service, letta, "after")


def test_a_file_that_is_broken(service: Service, letta: CountingLetta) -> None:
    assert ask(service, "hello", X_Letta_Chat_Key="a chat").status_code == 200
    file = service.directory / "lettabot-state.sqlite"
    options = ("--workers", "2") if service.workers else ()
    service.stop()
    file.write_bytes(file.read_bytes()[:1024] + b"\xff" * 20_000)
    for path in service.directory.glob("lettabot-state.sqlite-*"):
        # The service that stops, or fails, takes some of them away itself.
        path.unlink(missing_ok=True)
    service.start(options=options)
    assert_refused(service, letta)
    for path in service.directory.glob("lettabot-state.sqlite*"):
        # The service that stops, or fails, takes some of them away itself.
        path.unlink(missing_ok=True)
    assert_works(service, letta, "after")


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_a_database_that_is_gone_for_a_while(tmp_path: Path, letta: CountingLetta, options: tuple[str, ...]) -> None:
    postgres = PostgresServer()
    postgres.start()
    service = Service(tmp_path, letta.url, postgres.new_database())
    service.start(options=options)
    assert_works(service, letta, "before")
    letta.thinks = 4.0
    job = leave_job(service, "a job that runs").json()["jobId"]
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(ask(service, "begun before", Idempotency_Key="begun")))
    asking.start()
    time.sleep(2.0)
    letta.thinks = 0.15
    postgres.stop()
    assert_refused(service, letta)
    asking.join()
    assert answers[0].status_code == 200
    postgres.start()
    assert_works(service, letta, "after")
    assert outcomes(service, {"job": job})["job"]["response"] == "Done: a job that runs"
    again = ask(service, "begun before", Idempotency_Key="begun")
    assert again.json()["choices"][0]["message"]["content"] == "Done: begun before"
    assert letta.texts.count("begun before") == letta.texts.count("a job that runs") == 1
    service.stop()
    postgres.remove()


def test_a_service_can_be_stopped_while_its_database_is_gone(tmp_path: Path, letta: CountingLetta) -> None:
    """Also if there are jobs; and whoever has its place then goes on with them."""
    postgres = PostgresServer()
    postgres.start()
    service = Service(tmp_path, letta.url, postgres.new_database(), api="shutdownSeconds: 1")
    service.start()
    letta.thinks = 5.0
    job = leave_job(service, "a job that runs").json()["jobId"]
    time.sleep(2.0)
    postgres.stop()
    time.sleep(12.0)
    began = time.monotonic()
    service.stop()
    # It is killed after 40 s.
    assert time.monotonic() - began < 35
    postgres.start()
    service.start()
    assert outcomes(service, {"job": job})["job"]["response"] == "Done: a job that runs"
    assert letta.texts == ["a job that runs"]
    service.stop()
    postgres.remove()
