"""The rows of the table: what is compared, and what is wanted."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.contenders import (
    HEALTH,
    MODELS,
    Contenders,
    Target,
    contenders,
    free_port,
    serve_command,
    start,
    wait_for,
)
from bench.load import load
from bench.measures import (
    CHUNKS,
    Measure,
    answers_a_second,
    block,
    chunks_a_second,
    cpu_of_whole_answer,
    cpu_per_chunk,
    first_word,
    in_turns,
    models_a_second,
    ratio,
    streams,
)
from bench.results import Row
from bench.script import Script

_PACE = 0.002
_MICRO, _MILLI, _MEBI = 1e6, 1e3, 2**20


async def streamed_chunks(all_: Contenders, rounds: int) -> list[Row]:
    burst, paced = Script(CHUNKS), Script(CHUNKS, _PACE)
    service, floor = await in_turns(rounds, [all_.lettabot, all_.floor], cpu_per_chunk(burst, 6))
    service_beside, naive = await in_turns(rounds, [all_.lettabot, all_.naive], cpu_per_chunk(burst, 1))
    slow_service, slow_floor = await in_turns(rounds, [all_.lettabot, all_.floor], cpu_per_chunk(paced, 2))
    return [
        _of_cpu("a streamed chunk, burst: service / floor", service, floor, limit=1.5),
        Row(
            what="the same: naive way / service",
            value=ratio(naive, service_beside),
            limit=8,
            at_least=True,
            detail=f"{median(naive) * _MICRO:.0f} µs / {median(service_beside) * _MICRO:.1f} µs, one answer a stream",
        ),
        _of_cpu("a streamed chunk, 2 ms apart: service / floor", slow_service, slow_floor, limit=1.25, digits=0),
    ]


async def responses(all_: Contenders, rounds: int) -> list[Row]:
    """The Responses API, beside chat completions."""
    chat, asked = all_.lettabot, all_.lettabot.with_responses
    chunk, chunk_of_response = await in_turns(rounds, [chat, asked], cpu_per_chunk(Script(CHUNKS), 6))
    whole, whole_response = await in_turns(rounds, [chat, asked], cpu_of_whole_answer)
    return [
        _of_cpu("a streamed chunk: responses / chat completions", chunk_of_response, chunk, limit=1.3),
        _of_cpu("a whole answer: responses / chat completions", whole_response, whole, limit=1.2, digits=0),
    ]


async def metrics(all_: Contenders, rounds: int) -> list[Row]:
    """What it costs that all is counted."""
    watched, unwatched = await in_turns(4 * rounds, [all_.lettabot, all_.unwatched], cpu_of_whole_answer)
    return [_of_cpu("a whole answer: with metrics / without", watched, unwatched, limit=1.03, digits=0)]


async def http_layer(all_: Contenders, rounds: int) -> list[Row]:
    [chunks] = await in_turns(rounds, [all_.in_process], chunks_a_second)
    answers, nothing = await in_turns(rounds, [all_.in_process, all_.empty], answers_a_second)
    models, no_models = await in_turns(rounds, [all_.in_process, all_.empty], models_a_second)
    return [
        Row(
            what="chunks a second, HTTP layer alone, 16 streams",
            value=median(chunks),
            limit=300_000,
            at_least=True,
            portable=False,
        ),
        Row(
            what="whole answers a second, HTTP layer alone, 64 connections: service / empty handler",
            value=ratio(answers, nothing),
            limit=0.75,
            at_least=True,
            detail=f"{median(answers):,.0f} / {median(nothing):,.0f}",
        ),
        Row(
            what="`GET /v1/models` a second, 16 connections: service / empty handler",
            value=ratio(models, no_models),
            limit=0.75,
            at_least=True,
            detail=f"{median(models):,.0f} / {median(no_models):,.0f}",
        ),
    ]


async def latency(all_: Contenders, rounds: int) -> list[Row]:
    service, direct = await in_turns(rounds, [all_.lettabot, all_.stand_in], first_word)
    added = median(a - b for a, b in zip(service, direct, strict=True))
    return [
        Row(
            what="added to the first word, one connection",
            value=added * _MILLI,
            limit=2,
            unit=" ms",
            portable=False,
            detail=f"{median(service) * _MILLI:.2f} ms instead of {median(direct) * _MILLI:.2f} ms",
        )
    ]


async def history(all_: Contenders, rounds: int) -> list[Row]:
    """What the ignored part of a request costs."""
    megabytes = 4
    message = b'{"role":"assistant","content":"' + b"All that was said before. " * 40 + b'"},'
    told = message * (megabytes * 10**6 // len(message))

    async def cpu_of_a_request(target: Target, sent: bytes) -> float:
        first = block(10)
        before = target.process.cpu()
        await load(
            target.address,
            1,
            10,
            lambda number: target.turn(Script(1), first + number, 0, stream=False, history=sent),
        )
        return (target.process.cpu() - before) / 10

    differences = [
        await cpu_of_a_request(all_.in_process, told) - await cpu_of_a_request(all_.in_process, b"")
        for _ in range(rounds + 1)
    ]
    return [
        Row(
            what="CPU of 1 MB of ignored history",
            value=median(differences[1:]) / megabytes * _MILLI,
            limit=2,
            unit=" ms",
            portable=False,
        )
    ]


async def growth(all_: Contenders, rounds: int) -> list[Row]:
    """What more streams and more agents do to the cost of one."""

    def cpu_of_a_chunk(connections: int, longer: Script, shorter: Script) -> Measure:
        # The difference of two lengths leaves the cost of the requests out.
        async def cpu(target: Target, script: Script) -> float:
            before = target.process.cpu()
            await streams(target, script, connections)
            return target.process.cpu() - before

        async def measure(target: Target) -> float:
            more = await cpu(target, longer) - await cpu(target, shorter)
            return more / (connections * (longer.chunks - shorter.chunks))

        return measure

    few, many = cpu_of_a_chunk(1, Script(1_000, 0.001), Script(1)), cpu_of_a_chunk(1_000, Script(20, 0.1), Script(1, 2))
    with TemporaryDirectory() as directory, contenders(Path(directory), 1_000) as thousand:
        chunks = [(await few(thousand.lettabot), await many(thousand.lettabot)) for _ in range(rounds)]
    with TemporaryDirectory() as directory, contenders(Path(directory), 10_000) as large:
        answers, beside = await in_turns(rounds, [all_.lettabot, large.lettabot], _cpu_of_answers)
    return [
        Row(
            what="CPU of a chunk: 1,000 streams / 1 stream",
            value=median(b / a for a, b in chunks),
            limit=1.25,
            detail=" / ".join(f"{median(each) * _MICRO:.0f} µs" for each in reversed(list(zip(*chunks, strict=True)))),
        ),
        _of_cpu("a request: 10,000 agents on the server / 64", beside, answers, limit=1.25, digits=0),
    ]


def _of_cpu(what: str, above: Sequence[float], below: Sequence[float], limit: float, digits: int = 1) -> Row:
    """How much more CPU one thing takes than another; both in seconds."""
    return Row(
        what=f"CPU of {what}",
        value=ratio(above, below),
        limit=limit,
        detail=" / ".join(f"{median(each) * _MICRO:.{digits}f} µs" for each in (above, below)),
    )


async def _cpu_of_answers(target: Target) -> float:
    first = block(16 * 20)
    before = target.process.cpu()
    done = await load(target.address, 16, 20, lambda number: target.turn(Script(1), first + number, number // 20))
    return (target.process.cpu() - before) / done.requests


def cold_start(all_: Contenders, rounds: int) -> list[Row]:
    """Without and with Letta; a file system cache that is warm, as after an update of the service."""
    rows = []
    for name, environment, models_within in (("embedded", {}, 1.0), ("with Letta", all_.letta(), 1.8)):
        health, models, memory = [], [], []
        for _ in range(rounds + 1):
            with TemporaryDirectory() as directory:
                port, began = free_port(), time.perf_counter()
                process = start(Path(directory), serve_command(port), port, environment)
                health.append(wait_for(process, HEALTH, b"200") - began)
                models.append(wait_for(process, MODELS, b"200") - began)
                time.sleep(0.3)
                memory.append(process.rss())
                process.stop()
        for what, values, limit in (("/health", health, 0.9), ("/v1/models", models, models_within)):
            rows.append(
                Row(
                    what=f"cold start to the first 200 on `{what}`, {name}",
                    value=median(values[1:]),
                    limit=limit,
                    unit=" s",
                    portable=False,
                )
            )
        rows.append(
            Row(what=f"idle memory, {name}", value=median(memory) / _MEBI, limit=90, unit=" MiB", portable=False)
        )
    return rows


async def beside(all_: Contenders, stranger: Target, at_once: int, rounds: int) -> list[Row]:
    """Another server, which answers what it likes, with `at_once` turns at a time: no more than a comparison."""

    async def answers(target: Target) -> float:
        first = block(at_once * 20)
        done = await load(
            target.address,
            at_once,
            20,
            lambda number: target.turn(Script(1), first + number, number // 20, stream=False),
        )
        return done.requests / done.seconds

    async def events(target: Target) -> float:
        done = await streams(target, Script(CHUNKS), at_once)
        return done.events / done.seconds

    rows = []
    for what, measure in (("whole answers", answers), ("streamed events", events)):
        service, its = await in_turns(rounds, [all_.lettabot, stranger], measure)
        rows.append(
            Row(
                what=f"{what} a second: service / the other one",
                value=ratio(service, its),
                limit=1,
                at_least=True,
                detail=f"{median(service):,.0f} / {median(its):,.0f}",
            )
        )
    return rows
