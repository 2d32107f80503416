"""What large jobs cost while they wait."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.state.letta import CountingLetta
from tests.state.service import Service, outcomes

pytestmark = pytest.mark.state

MEGABYTE = 1_000_000
COUNT = 20
SIZE = 10 * MEGABYTE


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta()
    letta.start()
    yield letta
    letta.stop()


def memory_of(service: Service) -> int:
    """Bytes that are in memory."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in service.pids)


def test_messages_are_in_memory_only_while_they_are_delivered(tmp_path: Path, letta: CountingLetta) -> None:
    """Twenty messages of 10 MB, each in a chat of its own, while Letta is away; also after a restart."""
    service = Service(tmp_path, letta.url, api="maxOpenJobBytes: 500000000")
    service.start()
    accepted: dict[str, str] = {}
    with service.client() as client:
        assert client.get("/v1/models").status_code == 200
        letta.is_away = True
        before = memory_of(service)
        for number in range(COUNT):
            text = f"{number}:" + "x" * SIZE
            chat = {"X-Letta-Chat-Key": f"chat {number}"}
            told = client.post("/api/v1/chat/async", json={"message": text, "agent": "anna"}, headers=chat)
            assert told.status_code == 202, told.text
            accepted[text] = told.json()["jobId"]
        most = 0
        for _ in range(80):
            most = max(most, memory_of(service))
            time.sleep(0.2)
    assert most - before < 400 * MEGABYTE
    service.stop()
    service.start()
    for _ in range(80):
        most = max(most, memory_of(service))
        time.sleep(0.2)
    assert most - before < 400 * MEGABYTE
    letta.is_away = False
    ended = outcomes(service, accepted)
    assert {job["status"] for job in ended.values()} == {"completed"}
    assert sorted(letta.texts) == sorted(accepted)
    service.stop()
