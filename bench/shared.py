"""What sharing the state costs: several processes, or PostgreSQL, beside the one process that shares nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contenders import MODELS, Target, cpu_of, free_port, openai_target, serve_command, start, wait_for
from bench.load import load
from bench.rows import block
from bench.script import Script

_CONNECTIONS = 64


@contextmanager
def service(letta: Mapping[str, str], workers: int = 1, state: str = "") -> Iterator[Target]:
    """In a directory of its own."""
    with TemporaryDirectory() as directory:
        port = free_port()
        configured = {"LETTABOT_CONFIG_YAML": f"server: {{api: {{state: '{state}'}}}}"} if state else {}
        command = [*serve_command(port), "--workers", str(workers)]
        process = start(Path(directory), command, port, {**letta, **configured})
        try:
            wait_for(process, MODELS)
            yield openai_target(port, process)
        finally:
            process.stop()


def postgres_cpu() -> float:
    """Seconds of CPU time so far of all processes of PostgreSQL on this machine."""
    found = 0.0
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == "postgres":
                found += cpu_of(int(comm.parent.name))
        except OSError:
            continue
    return found


async def cpu_of_turn(target: Target, script: Script, rounds: int, stream: bool) -> float:
    """Seconds of CPU of one turn, of 64 agents at once."""
    first = block(_CONNECTIONS * rounds)
    before = target.process.cpu_of_all()
    done = await load(
        target.address,
        _CONNECTIONS,
        rounds,
        lambda number: target.turn(script, first + number, number // rounds, stream),
    )
    return (target.process.cpu_of_all() - before) / done.requests
