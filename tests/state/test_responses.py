"""Responses where processes are many, and where they are killed."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.responses_client import events_in
from tests.state.letta import CountingLetta
from tests.state.service import PATIENCE, Service

pytestmark = pytest.mark.state

CHAT = {"X-Letta-Chat-Key": "groceries"}
ROUNDS = 3


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta(thinks=0.3)
    letta.start()
    yield letta
    letta.stop()


def ended(service: Service, response_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        # A new connection each time: another worker.
        with service.client() as client:
            told = client.get(f"/v1/responses/{response_id}")
        assert told.status_code == 200, told.text
        body: dict[str, Any] = told.json()
        if body["status"] not in ("queued", "in_progress"):
            return body
        assert time.monotonic() < deadline, body
        time.sleep(0.2)


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


@pytest.mark.parametrize("options", [(), ("--workers", "3")], ids=["one process", "workers"])
def test_responses_in_the_background_survive_kills(
    tmp_path: Path, state: str, letta: CountingLetta, options: Sequence[str]
) -> None:
    service = Service(tmp_path, letta.url, state)
    service.start(options=options)
    assert service.key
    accepted: dict[str, str] = {}
    seen: dict[str, list[str]] = {}

    def read(text: str) -> None:
        """As far as the service lives."""
        body = {"model": "anna", "input": text, "background": True, "stream": True}
        lines = seen.setdefault(text, [])
        try:
            with service.client() as client, client.stream("POST", "/v1/responses", json=body, headers=CHAT) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: {"):
                        lines.append(line)
                        accepted.setdefault(text, json.loads(line.removeprefix("data: "))["response"]["id"])
        except (httpx.HTTPError, KeyError):
            return

    for number in range(ROUNDS):
        readers = [threading.Thread(target=read, args=(f"message {number} {which}",)) for which in range(2)]
        for reader in readers:
            reader.start()
        give_up = time.monotonic() + PATIENCE
        while len(accepted) <= number and time.monotonic() < give_up:
            time.sleep(0.01)
        # While it waits, while the agent thinks, when it has ended.
        time.sleep(number * 0.2)
        service.kill()
        for reader in readers:
            reader.join()
        service.start(options=options)
    try:
        ends = {text: ended(service, id_) for text, id_ in accepted.items()}
        assert len(accepted) >= ROUNDS
        assert {text: text_of(end) for text, end in ends.items()} == {text: f"Done: {text}" for text in accepted}
        delivered = [run.text for run in letta.runs]
        assert sorted(text for text in delivered if text in accepted) == sorted(accepted), "one delivery each"
        with service.client() as client:
            for text, id_ in accepted.items():
                events = events_in(client.get(f"/v1/responses/{id_}", params={"stream": "true"}).text)
                assert [event["sequence_number"] for event in events] == list(range(len(events)))
                told = [json.loads(line.removeprefix("data: ")) for line in seen[text]]
                for before, now in zip(told, events, strict=False):
                    assert (before["type"], before.get("delta")) == (now["type"], now.get("delta"))
    finally:
        service.stop()


def test_any_worker_knows_a_response_and_goes_on_from_it(tmp_path: Path, state: str, letta: CountingLetta) -> None:
    service = Service(tmp_path, letta.url, state)
    service.start(options=("--workers", "3"))
    try:
        previous: str | None = None
        for number in range(6):
            body = {"model": "anna", "input": f"message {number}", "previous_response_id": previous}
            with service.client() as client:
                told = client.post("/v1/responses", json=body, headers=CHAT if previous is None else {})
            assert told.status_code == 200, told.text
            response = told.json()
            with service.client() as client:
                assert client.get(f"/v1/responses/{response['id']}").json() == response
                if previous is not None:
                    refused = client.post("/v1/responses", json={**body, "input": "too late"})
                    assert refused.json()["error"]["code"] == "previous_response_not_last"
            previous = response["id"]
        assert [run.text for run in letta.runs] == [f"message {number}" for number in range(6)]
        assert len({run.conversation for run in letta.runs}) == 1
    finally:
        service.stop()


def test_a_retry_that_comes_to_another_worker_gets_the_same_response(
    tmp_path: Path, state: str, letta: CountingLetta
) -> None:
    service = Service(tmp_path, letta.url, state)
    service.start(options=("--workers", "3"))
    try:
        body = {"model": "anna", "input": "hello", "stream": True}
        told: list[list[dict[str, Any]]] = []

        def ask() -> None:
            with service.client() as client:
                answer = client.post("/v1/responses", json=body, headers={"Idempotency-Key": "key-1"})
            told.append([dict(event) for event in events_in(answer.text)])

        asking = [threading.Thread(target=ask) for _ in range(6)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        ask()
        assert len(letta.runs) == 1
        assert all(events == told[0] for events in told)
    finally:
        service.stop()
