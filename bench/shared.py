"""What sharing the state costs: several processes, or PostgreSQL, beside the one process that shares nothing."""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from bench.contenders import (
    KEY,
    MODELS,
    Contenders,
    Target,
    cpu_of,
    free_port,
    openai_target,
    serve_command,
    start,
    wait_for,
)
from bench.load import load
from bench.measures import CHUNKS, Measure, block, first_word, in_turns, ratio
from bench.results import Row
from bench.script import Script

_CONNECTIONS = 64
_MILLI = 1e3


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


def cpu_of_postgres() -> float:
    """Seconds of CPU time so far of all processes of PostgreSQL on this machine."""
    found = 0.0
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == "postgres":
                found += cpu_of(int(comm.parent.name))
        except OSError:
            continue
    return found


async def cpu_of_turn(target: Target, script: Script, rounds: int, stream: bool, chat: str = "") -> float:
    """Seconds of CPU of one turn, of 64 agents at once. `chat`: a chat key for each agent begins so."""
    first = block(_CONNECTIONS * rounds)
    before = target.process.cpu_of_all()
    done = await load(
        target.address,
        _CONNECTIONS,
        rounds,
        lambda number: target.turn(
            script, first + number, number // rounds, stream, chat=chat and f"{chat}{number // rounds}"
        ),
    )
    return (target.process.cpu_of_all() - before) / done.requests


def _of_turn(script: Script, rounds: int, stream: bool) -> Measure:
    """Seconds of CPU of one such turn."""
    return lambda target: cpu_of_turn(target, script, rounds, stream)


_PLAIN = _of_turn(Script(1), 15, stream=False)


async def _with_postgres(target: Target) -> float:
    """Seconds of CPU of one plain turn, in the service and in PostgreSQL."""
    before = cpu_of_postgres()
    service_only = await _PLAIN(target)
    return service_only + (cpu_of_postgres() - before) / (_CONNECTIONS * 15)


async def _beside(one: Target, target: Target, rounds: int, measure: Measure, what: str, limit: float) -> Row:
    """A cost, beside that of one process."""
    alone, shared = await in_turns(rounds, [one, target], measure)
    return Row(
        what=f"CPU of {what} / 1 process",
        value=ratio(shared, alone),
        limit=limit,
        detail=f"{median(shared) * _MILLI:.2f} ms / {median(alone) * _MILLI:.2f} ms",
    )


async def plain_turns(all_: Contenders, rounds: int) -> list[Row]:
    """The row that a smoke run has, too."""
    with service(all_.letta()) as one, service(all_.letta(), workers=2) as two:
        cost = await _beside(one, two, rounds, _PLAIN, "a plain turn, 64 connections: 2 workers on SQLite", 1.5)
    return [
        cost,
        Row(
            what="whole answers a second, 2 workers / 1, computed from that CPU, with a core for each",
            value=2 / cost.value,
            limit=1.7,
            at_least=True,
        ),
    ]


async def shared_state(all_: Contenders, rounds: int, postgres: str) -> list[Row]:
    """`postgres`: the URL of an empty database; empty: those rows are left out."""
    rows = await plain_turns(all_, rounds)
    letta = all_.letta()
    with ExitStack() as stack:
        one = stack.enter_context(service(letta))
        shared = {"2 workers on SQLite": stack.enter_context(service(letta, workers=2))}
        if postgres:
            shared["PostgreSQL"] = stack.enter_context(service(letta, state=postgres))
            cost = partial(_beside, one, shared["PostgreSQL"], rounds)
            rows += [
                await cost(_PLAIN, "a plain turn, 64 connections: state in PostgreSQL", 1.5),
                await cost(_with_postgres, "a plain turn with PostgreSQL's own CPU: state in PostgreSQL", 2.5),
            ]
        streamed = f"a streamed turn of {CHUNKS} chunks"
        for name, target in shared.items():
            for what, script, each in (("2 ms apart", Script(CHUNKS, 0.002), 1), ("in a burst", Script(CHUNKS), 3)):
                measure = _of_turn(script, each, stream=True)
                rows.append(await _beside(one, target, rounds, measure, f"{streamed}, {what}: {name}", 1.1))
        fsync = _seconds_of_fsync()
        for name, target in shared.items():
            alone, beside = await in_turns(rounds, [one, target], first_word)
            added = median(b - a for a, b in zip(alone, beside, strict=True))
            rows.append(
                Row(
                    what=f"added to the first word, one connection, beyond one fsync: {name}",
                    value=(added - fsync) * _MILLI,
                    limit=1 if "SQLite" in name else 2,
                    unit=" ms",
                    portable=False,
                    detail=f"{added * _MILLI:.2f} ms with an fsync of {fsync * _MILLI:.2f} ms",
                )
            )
        rows.append(await _handover(one, shared["2 workers on SQLite"], rounds))
        rows.append(await _new_chat(one, rounds))
        rows.append(await _start_of_job(one))
    rows.append(await _idle(letta))
    return rows


async def _handover(one: Target, two: Target, rounds: int) -> Row:
    """Eight connections, which both workers have, want the same lane all the time."""

    async def seconds_of_turn(target: Target) -> float:
        first = block(8 * 15)
        done = await load(target.address, 8, 15, lambda number: target.turn(Script(1), first + number, 7, stream=False))
        return done.seconds / done.requests

    alone, shared = await in_turns(rounds, [one, two], seconds_of_turn)
    return Row(
        what="from the end of a turn to the next one in its lane, 2 workers, beyond 1 process",
        value=median(b - a for a, b in zip(alone, shared, strict=True)) * _MILLI,
        limit=20,
        unit=" ms",
        portable=False,
    )


async def _new_chat(one: Target, rounds: int) -> Row:
    """The call that opens a conversation is in it."""
    known, new = [], []
    for turn in range(rounds + 1):
        fresh = f"new {block(1)} "
        new_now = await cpu_of_turn(one, Script(1), 1, stream=False, chat=fresh)
        known_now = await cpu_of_turn(one, Script(1), 1, stream=False, chat=fresh)
        if turn:
            known.append(known_now)
            new.append(new_now)
    return Row(
        what="CPU of the first message of a new chat beyond that of a known one, 1 process, opening it included",
        value=median(b - a for a, b in zip(known, new, strict=True)) * _MILLI,
        limit=2,
        unit=" ms",
        portable=False,
        detail=f"{median(new) * _MILLI:.2f} ms / {median(known) * _MILLI:.2f} ms",
    )


async def _start_of_job(one: Target) -> Row:
    """From its acceptance to its delivery, as the service's own clock has them."""

    def ask(method: str, path: str, body: object = None) -> dict[str, str]:
        request = Request(
            "http://{}:{}".format(*one.address) + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        )
        with urlopen(request, timeout=30) as answer:
            found: dict[str, str] = json.load(answer)
            return found

    def seconds_of_job() -> float:
        message = Script(1).message(block(1))
        began = time.perf_counter()
        job = ask("POST", "/api/v1/chat/async", {"message": message, "agent": "anna0"})["jobId"]
        while ask("GET", f"/api/v1/chat/async/{job}")["status"] in ("queued", "pending"):
            time.sleep(0.002)
        return time.perf_counter() - began

    taken = [await asyncio.to_thread(seconds_of_job) for _ in range(12)]
    return Row(
        what="a job, from its request to its start, idle",
        # The first ones start the engine.
        value=median(taken[2:]) * _MILLI,
        limit=50,
        unit=" ms",
        portable=False,
    )


async def _idle(letta: Mapping[str, str]) -> Row:
    with service(letta, workers=4) as four:
        await cpu_of_turn(four, Script(1), 3, stream=False)
        await asyncio.sleep(8)
        before, seconds = four.process.cpu_of_all(), 10
        await asyncio.sleep(seconds)
        used = four.process.cpu_of_all() - before
    return Row(
        what="idle CPU of 4 workers together, of one core",
        value=used / seconds * 100,
        limit=1,
        unit=" %",
        portable=False,
    )


def _seconds_of_fsync() -> float:
    """Of a few kilobytes, where the states of the bench are."""
    taken = []
    with TemporaryDirectory() as directory, (Path(directory) / "file").open("wb") as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 8192)
            file.flush()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return median(taken)
