"""kill -9 at random moments: no accepted job is lost, none is delivered twice, their order holds, chats keep theirs.

LETTABOT_KILL_ROUNDS: how many of them."""

import os
import random
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.state.letta import CountingLetta
from tests.state.service import Service, outcomes

pytestmark = pytest.mark.state

ROUNDS = int(os.environ.get("LETTABOT_KILL_ROUNDS", "10"))
PLACES = [("anna", None), ("anna", "groceries"), ("bert", None), ("bert", "letters")]


class Clients:
    """They leave jobs and ask questions, and know what they were told. `accepted`: per place, in order, (text, id)."""

    def __init__(self, service: Service) -> None:
        self.accepted: dict[tuple[str, str | None], list[tuple[str, str]]] = {place: [] for place in PLACES}
        self.sent: list[str] = []
        self.answers: dict[str, str] = {}
        self.unanswered: dict[str, tuple[str, str | None]] = {}
        self.problems: list[str] = []
        self._service = service
        self._number = 0

    def leave_jobs(self, count: int) -> None:
        with self._service.client() as client:
            for _ in range(count):
                place = random.choice(PLACES)
                text = self._text("job", place)
                body = {"message": text, "agent": place[0]}
                try:
                    told = client.post("/api/v1/chat/async", json=body, headers=_headers(place))
                except httpx.HTTPError:
                    continue
                if told.status_code != 202:
                    self.problems.append(told.text)
                    continue
                self.accepted[place].append((text, told.json()["jobId"]))

    def ask(self) -> None:
        """One question with an idempotency key; it stays open if there is no answer."""
        place = random.choice(PLACES)
        text = self._text("question", place)
        self.unanswered[text] = place
        self.ask_again(text)

    def ask_again(self, text: str) -> None:
        place = self.unanswered[text]
        body = {"model": place[0], "messages": [{"role": "user", "content": text}]}
        headers = {**_headers(place), "Idempotency-Key": re.sub(r"\W", "-", text)}
        try:
            with self._service.client() as client:
                told = client.post("/v1/chat/completions", json=body, headers=headers)
        except httpx.HTTPError:
            return
        if told.status_code == 200:
            self.answers[text] = told.json()["choices"][0]["message"]["content"]
            del self.unanswered[text]
        elif told.json()["error"]["code"] == "delivery_unknown":
            self.answers[text] = "unknown"
            del self.unanswered[text]

    def _text(self, what: str, place: tuple[str, str | None]) -> str:
        self._number += 1
        text = f"{what} {self._number} {place[0]} {place[1]}"
        self.sent.append(text)
        return text


def _headers(place: tuple[str, str | None]) -> dict[str, str]:
    return {} if place[1] is None else {"X-Letta-Chat-Key": place[1]}


@pytest.mark.parametrize("redis", [True, False], ids=["redis", "no redis"])
@pytest.mark.parametrize("options", [(), ("--workers", "3")], ids=["one process", "workers"])
def test_kill_after_kill(tmp_path: Path, state: str, options: Sequence[str], redis: bool) -> None:
    letta = CountingLetta(redis)
    letta.start()
    service = Service(tmp_path, letta.url, state)
    service.start(options=options)
    clients, key = Clients(service), service.key
    for number in range(ROUNDS if redis else max(2, ROUNDS // 4)):
        asking = threading.Thread(target=clients.ask)
        asking.start()
        leaving = threading.Thread(target=clients.leave_jobs, args=(random.randint(1, 6),))
        leaving.start()
        time.sleep(random.uniform(0.0, 1.5))
        if options and number % 3:
            service.kill_a_worker()
            asking.join()
            leaving.join()
            continue
        service.kill()
        asking.join()
        leaving.join()
        service.start(upgraded=number % 2 == 0, options=options)
    states = outcomes(service, {text: id_ for accepted in clients.accepted.values() for text, id_ in accepted})
    for text in list(clients.unanswered):
        clients.ask_again(text)
    service.stop()
    letta.stop()
    assert service.shown_key() == key
    check(letta, clients, states, redis)


def check(letta: CountingLetta, clients: Clients, states: dict[str, dict[str, str]], redis: bool) -> None:
    told = letta.texts
    assert {text: told.count(text) for text in told if told.count(text) > 1} == {}
    assert set(told) <= set(clients.sent)
    for text, job in states.items():
        if job["status"] == "completed":
            assert job["response"] == f"Done: {text}"
            assert told.count(text) == 1
        else:
            # Nobody can know: it is said, and not sent again.
            assert not redis
            assert (job["status"], job["code"]) == ("failed", "delivery_unknown")
    for text, answer in clients.answers.items():
        assert answer in (f"Done: {text}", "unknown")
        assert answer == "unknown" or told.count(text) == 1
    assert not clients.unanswered
    assert not clients.problems
    for place, accepted in clients.accepted.items():
        in_order = [text for text, _ in accepted if text in told]
        assert [text for text in told if text in set(in_order)] == in_order, place
    for agent, chat in PLACES:
        used = {run.conversation for run in letta.runs if run.text.endswith(f" {agent} {chat}")}
        assert len(used) <= 1, f"the chat {chat} has lost its conversation"
        assert chat is not None or used <= {None}
    assert letta.most_at_once == 1
