"""The rows with thousands of slow streams, and the one client that does not read. Once each: they take their time."""

import asyncio
import resource
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contenders import Contenders, Target, contenders
from bench.load import Slow, connect, slow_streams
from bench.results import Row
from bench.script import Script

_MILLI, _KIBI, _MEBI = 1e3, 2**10, 2**20
# Of each process here: descriptors that are neither a stream's nor its upstream's.
_OTHER_FILES = 200


async def soak() -> list[Row]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    two_hops = hard >= 2 * 10_000 + _OTHER_FILES
    with TemporaryDirectory() as directory, contenders(Path(directory), 2_000) as all_:
        rows = await _slow(all_.lettabot, "two hops", streams=2_000, script=Script(20, 1.0), ramp=4, lateness=50)
    with TemporaryDirectory() as directory, contenders(Path(directory), 10_000) as all_:
        rows += await _slow(
            all_.lettabot if two_hops else all_.in_process,
            "two hops" if two_hops else f"HTTP layer alone, because only {hard:,} files may be open here",
            streams=10_000,
            script=Script(6, 5.0),
            ramp=10,
            lateness=None,
        )
    with TemporaryDirectory() as directory, contenders(Path(directory), 200) as all_:
        rows += await _stalled_client(all_)
    return rows


async def _slow(
    target: Target, how: str, *, streams: int, script: Script, ramp: float, lateness: float | None
) -> list[Row]:
    memory: list[int] = []
    # The first of all turns brings what is made once.
    await slow_streams(target.address, 1, 1, lambda _: target.turn(Script(1), 10**6, 0), 0, lambda: None)
    idle = target.process.rss()
    done = await slow_streams(
        target.address,
        streams,
        script.chunks,
        lambda number: target.turn(script, number, number),
        ramp,
        lambda: memory.append(target.process.rss()),
    )
    what = f"{streams:,} slow streams ({script.chunks} chunks, one every {script.delay:g} s)"
    rows = [
        Row(
            what=f"{what}: whole, and in order",
            value=done.whole / streams * 100,
            limit=100,
            unit=" %",
            at_least=True,
            detail=how,
        )
    ]
    if lateness is not None:
        rows += [
            Row(
                what="lateness of a chunk there, 99th percentile",
                value=percentile(done, 99) * _MILLI,
                limit=lateness,
                unit=" ms",
                portable=False,
                detail=f"median {percentile(done, 50) * _MILLI:.1f} ms, worst {percentile(done, 100) * _MILLI:.0f} ms",
            ),
            Row(what="memory of a stream there", value=(memory[0] - idle) / streams / _KIBI, limit=48, unit=" KiB"),
        ]
    return rows


async def _stalled_client(all_: Contenders) -> list[Row]:
    """A client that asks for a long answer and reads nothing of it, among a hundred that read."""
    target = all_.lettabot
    fast, long = Script(200, 0.02), Script(100_000)
    numbers = iter(range(1_000_000))

    async def others() -> Slow:
        return await slow_streams(
            target.address, 100, fast.chunks, lambda at: target.turn(fast, next(numbers), at), 0, lambda: None
        )

    await others()
    undisturbed = await others()
    idle = target.process.rss()
    stalled = await connect(target.address)
    stalled.transport.pause_reading()
    stalled.transport.write(target.turn(long, next(numbers), 150).data)
    # Until the agent has said it all: what is slow then is not the agent.
    await asyncio.sleep(15)
    disturbed = await others()
    grown = target.process.rss() - idle
    stalled.transport.abort()
    answer = long.chunks * len(long_chunk())
    return [
        Row(
            what="100 streams beside a client that reads nothing: lateness, 99th percentile",
            value=percentile(disturbed, 99) * _MILLI,
            limit=max(2 * percentile(undisturbed, 99) * _MILLI, 20),
            unit=" ms",
            portable=False,
            detail=f"without it {percentile(undisturbed, 99) * _MILLI:.1f} ms",
        ),
        Row(
            what="memory for that client / its whole answer as it would be sent",
            value=grown / answer,
            limit=1,
            detail=f"{grown / _MEBI:.1f} MiB / {answer / _MEBI:.1f} MiB",
        ),
    ]


def long_chunk() -> bytes:
    """One chunk as the service sends it, in length."""
    return b"".join(
        (
            b'data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk",',
            b'"created":1700000000,"model":"anna150","choices":[{"index":0,"delta":{"content":"w50000@12345.678901 "},',
            b'"finish_reason":null}]}\n\n',
        )
    )


def percentile(done: Slow, percent: int) -> float:
    """Of the lateness of all chunks, in seconds."""
    return percentile_of(done.lateness, percent)


def percentile_of(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]
