"""What is measured of a target, and how targets are compared: in turns."""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median

from bench import wrk
from bench.contenders import Target
from bench.load import Load, first_words, load
from bench.script import Script

STREAMS, CHUNKS = 16, 200

Measure = Callable[[Target], Awaitable[float]]


class Numbers:
    """No request is like another one, in all of a run: equal ones would be retries."""

    def __init__(self) -> None:
        self._next = 0

    def block(self, size: int) -> int:
        first, self._next = self._next, self._next + size
        return first


block = Numbers().block


async def in_turns(rounds: int, targets: Sequence[Target], measure: Measure) -> list[list[float]]:
    """For each target its `rounds` values, after one that does not count."""
    values: list[list[float]] = [[] for _ in targets]
    for turn in range(rounds + 1):
        for target, its_values in zip(targets, values, strict=True):
            value = await measure(target)
            if turn:
                its_values.append(value)
    return values


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of what was measured right after each other."""
    return median(a / b for a, b in zip(above, below, strict=True))


async def streams(target: Target, script: Script, connections: int = STREAMS, rounds: int = 1) -> Load:
    first = block(connections * rounds)
    return await load(
        target.address, connections, rounds, lambda number: target.turn(script, first + number, number // rounds)
    )


def cpu_per_chunk(script: Script, rounds: int) -> Measure:
    """Seconds of the service's CPU time."""

    async def measure(target: Target) -> float:
        before = target.process.cpu()
        done = await streams(target, script, rounds=rounds)
        return (target.process.cpu() - before) / (done.requests * script.chunks)

    return measure


async def cpu_of_whole_answer(target: Target) -> float:
    """Of twenty words, in seconds."""
    answers = STREAMS * 40
    first, before = block(answers), target.process.cpu()
    await load(
        target.address,
        STREAMS,
        40,
        lambda number: target.turn(Script(20), first + number, number // 40, stream=False),
    )
    return (target.process.cpu() - before) / answers


async def chunks_a_second(target: Target) -> float:
    done = await streams(target, Script(CHUNKS), rounds=24)
    return done.requests * CHUNKS / done.seconds


async def answers_a_second(target: Target) -> float:
    """Whole answers, on 64 connections."""
    if target.is_ours and wrk.is_installed():
        return await wrk.answers_a_second(target.address, block(10**6), connections=64, seconds=1)
    first = block(64 * 50)
    done = await load(
        target.address,
        64,
        50,
        lambda number: target.turn(Script(1), first + number, number // 50, stream=False),
    )
    return done.requests / done.seconds


async def models_a_second(target: Target) -> float:
    done = await load(target.address, 16, 200, lambda _: target.models())
    return done.requests / done.seconds


async def first_word(target: Target) -> float:
    first = block(100)
    return await first_words(target.address, 100, lambda number: target.turn(Script(1), first + number, 0))
