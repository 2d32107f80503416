"""One real App Server of Letta Code for the whole run, and the service in front of it as a process of its own."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.letta_code_server.lab import LettaCodeLab
from tests.letta_server.conftest import Service
from tests.letta_server.lab_run import for_test_run
from tests.letta_server.proxy import Proxy

Serve = Callable[..., Service]


@pytest.fixture(scope="session")
def lab() -> Iterator[LettaCodeLab]:
    yield from for_test_run(LettaCodeLab, "LETTA CODE")


@pytest.fixture
def crashing(request: pytest.FixtureRequest) -> Iterator[LettaCodeLab]:
    """An App Server of one's own, to be killed."""
    request.getfixturevalue("lab")
    own = LettaCodeLab()
    try:
        own.start()
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="session")
def proxy(lab: LettaCodeLab) -> Iterator[Proxy]:
    with Proxy(lab.url) as proxy:
        yield proxy


def _config(url: str, server: str = "", api: str = "") -> str:
    more = f", {server}" if server else ""
    return f"{{server: {{mode: letta-code, baseUrl: '{url}'{more}, api: {{maxWaitingTurns: 30, {api}}}}}}}"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts services before an App Server."""
    started: list[Service] = []

    def start(url: str = "", server: str = "", api: str = "", options: Sequence[str] = (), config: str = "") -> Service:
        directory = tmp_path / f"service-{len(started)}"
        directory.mkdir()
        service = Service(directory, "", config=config or _config(url, server, api), options=options)
        started.append(service)
        return service

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="session")
def service(lab: LettaCodeLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"), "", config=_config(lab.url))
    yield service
    service.stop()
