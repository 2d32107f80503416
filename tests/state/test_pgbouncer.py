"""A real PgBouncer before PostgreSQL: in session mode all works, in transaction mode the start is refused."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from adapters.sql.pooling import pooler_refusal
from tests.letta_server.processes import Processes, free_port
from tests.postgres.server import PostgresServer
from tests.state.letta import CountingLetta
from tests.state.service import Service

PGBOUNCER = shutil.which("pgbouncer")

pytestmark = [
    pytest.mark.state,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"),
]

Bouncer = Callable[..., str]
IGNORING = "ignore_startup_parameters = options"


@pytest.fixture
def bouncer(postgres: PostgresServer) -> Iterator[Bouncer]:
    """Starts one; the URL of the database behind it."""
    directory = Path(tempfile.mkdtemp(prefix="lettabot-pgbouncer-"))
    # It refuses to run as root; then it runs as nobody, who must be able to get here.
    directory.chmod(0o755)
    processes = Processes(directory)

    def start(mode: str, *lines: str) -> str:
        address, port = make_url(postgres.new_database()), free_port()
        settings = [
            "[databases]",
            f"{address.database} = host=127.0.0.1 port={address.port} user=lettabot",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = any",
            f"pool_mode = {mode}",
            *lines,
        ]
        file = directory / "pgbouncer.ini"
        file.write_text("\n".join(settings))
        file.chmod(0o644)
        processes.start("pgbouncer", [PGBOUNCER, file], {}, as_nobody=True)
        url = str(address.set(port=port).render_as_string(hide_password=False))
        processes.wait_until("pgbouncer", lambda: _listens(port), 20)
        return url

    yield start
    processes.stop("pgbouncer")
    shutil.rmtree(directory)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("lines", "why"),
    [((), "does not take the settings of a connection"), ((IGNORING,), "gives each transaction another connection")],
    ids=["as it is installed", "options ignored"],
)
def test_transaction_mode_is_refused(bouncer: Bouncer, lines: tuple[str, ...], why: str) -> None:
    refusal = pooler_refusal(bouncer("transaction", *lines))
    assert refusal is not None
    assert why in refusal
    assert "pool_mode = session" in refusal


def test_the_start_says_it(bouncer: Bouncer, tmp_path: Path) -> None:
    service = Service(tmp_path, "http://127.0.0.1:9", bouncer("transaction", IGNORING))
    with pytest.raises(subprocess.CalledProcessError) as raised:
        service.command("server", "--port", "0")
    assert "there is a pooler" in raised.value.stderr


def test_session_mode_works(bouncer: Bouncer, tmp_path: Path) -> None:
    letta = CountingLetta()
    letta.start()
    url = bouncer("session", IGNORING)
    assert pooler_refusal(url) is None
    service = Service(tmp_path, letta.url, url)
    service.start()
    with service.client() as client:
        for _ in range(2):
            body = {"model": "anna", "messages": [{"role": "user", "content": "hello"}]}
            answer = client.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": "key"})
            assert answer.status_code == 200, answer.text
    service.stop()
    letta.stop()
    assert letta.texts == ["hello"]


def test_no_pooler_is_no_refusal(postgres: PostgresServer) -> None:
    assert pooler_refusal(postgres.new_database()) is None
    assert pooler_refusal("postgresql://lettabot@127.0.0.1:1/nowhere") is None
