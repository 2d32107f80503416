"""Jobs that outlive lettabot, and several workers, in front of a real Letta server with and without Redis."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.letta_server.admin import LettaAdmin
from tests.letta_server.conftest import KEY, Service, eventually, question
from tests.letta_server.lab import LettaLab

pytestmark = pytest.mark.letta

ROUNDS = 4


@pytest.fixture(params=["redis", "no redis"])
def any_lab(request: pytest.FixtureRequest) -> LettaLab:
    lab = request.getfixturevalue("lab" if request.param == "redis" else "lab_without_redis")
    assert isinstance(lab, LettaLab)
    return lab


def test_jobs_outlive_kill_after_kill(any_lab: LettaLab, tmp_path: Path) -> None:
    admin = LettaAdmin(any_lab.base_url)
    agent = admin.create_agent("works through the night")
    service = Service(tmp_path, any_lab.base_url)
    accepted: dict[str, str] = {}
    for number in range(ROUNDS):
        for again in range(2):
            text = f"[[drip 3 0.4]] job {number} {again}"
            told = service.http.post("/api/v1/chat/async", json={"message": text, "agent": agent})
            assert told.status_code == 202, told.text
            accepted[text] = told.json()["jobId"]
        time.sleep(random.uniform(0.3, 3.0))
        service.kill()
        service.start()
    reports: dict[str, dict[str, Any]] = {}

    def all_have_ended() -> bool:
        for text, id_ in accepted.items():
            reports[text] = service.http.get(f"/api/v1/chat/async/{id_}").json()
        return all(report["status"] in ("completed", "failed") for report in reports.values())

    eventually(all_have_ended, 120)
    service.stop()
    heard = admin.user_messages(agent)
    assert len(heard) == len(set(heard)), "a job was delivered twice"
    completed = [text for text, report in reports.items() if report["status"] == "completed"]
    assert [text for text in heard if text in completed] == completed
    assert all(reports[text]["response"] == "w1 w2 w3" for text in completed)
    failures = {report.get("code") for report in reports.values() if report["status"] == "failed"}
    # Without Redis nobody can know of a job whose process died just when it was sent.
    assert failures <= (set() if any_lab.has_redis else {"delivery_unknown"})


def test_three_workers_take_turns(any_lab: LettaLab, tmp_path: Path) -> None:
    admin = LettaAdmin(any_lab.base_url)
    agent = admin.create_agent("has many clients")
    service = Service(tmp_path, any_lab.base_url, options=("--workers", "3"))
    texts = [f"[[say answer {number}]]" for number in range(9)]
    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(lambda text: Service.ask(service, agent, text), texts))
    assert answers == [f"answer {number}" for number in range(9)]
    assert sorted(admin.user_messages(agent)) == texts
    service.stop()


def test_a_retry_that_comes_to_another_worker(any_lab: LettaLab, tmp_path: Path) -> None:
    admin = LettaAdmin(any_lab.base_url)
    agent = admin.create_agent("is asked again")
    service = Service(tmp_path, any_lab.base_url, options=("--workers", "3"))
    text = "[[drip 10 0.4]]"

    def ask(patience: float) -> httpx.Response:
        # Each time on a new connection, which any worker may get.
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.post(
            f"{service.url}/v1/chat/completions", json=question(agent, text), headers=headers, timeout=patience
        )

    for _ in range(4):
        with pytest.raises(httpx.TimeoutException):
            ask(0.7)
    answer = ask(60)
    assert answer.json()["choices"][0]["message"]["content"] == " ".join(f"w{n}" for n in range(1, 11))
    assert admin.user_messages(agent) == [text]
    service.stop()
