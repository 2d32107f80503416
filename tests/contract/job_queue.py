"""What every job queue must do. Subclass it with a `queue` fixture."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from ports.job_queue import JobQueue


class Worker:
    """Does tasks. `done` is the order in which they ended; `pauses` are what a task wants to wait after each attempt,
    `holding` what it waits for in all of them, and `mistakes` what they fail with."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.pauses: dict[str, list[float]] = {}
        self.holding: dict[str, asyncio.Event] = {}
        self.mistakes: dict[str, list[BaseException]] = {}

    async def work(self, task: str) -> float | None:
        self.begun.append(task)
        if (hold := self.holding.get(task)) is not None:
            await hold.wait()
        if mistakes := self.mistakes.get(task):
            raise mistakes.pop(0)
        if pauses := self.pauses.get(task):
            return pauses.pop(0)
        self.done.append(task)
        return None


async def until(condition: Callable[[], bool], patience: float = 20.0) -> None:
    give_up = asyncio.get_running_loop().time() + patience
    while not condition():
        await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() < give_up, "it did not come true in time"


class JobQueueContract:
    """The queue serves a `Worker`."""

    @pytest.fixture
    def worker(self) -> Worker:
        return Worker()

    async def test_tasks_of_a_lane_are_done_in_order(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        tasks = [f"task {number:03}" for number in range(12)]
        for task in tasks:
            await queue.put(task, f"lane {int(task[-3:]) % 2}")
        await until(lambda: len(worker.done) == 12)
        for lane in (tasks[::2], tasks[1::2]):
            assert [task for task in worker.done if task in lane] == lane
        assert sorted(worker.begun) == tasks

    async def test_one_at_a_time_in_a_lane_and_lanes_side_by_side(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        worker.holding["a 1"] = asyncio.Event()
        for task in ("a 1", "a 2", "b 1"):
            await queue.put(task, task[0])
        await until(lambda: worker.done == ["b 1"])
        assert "a 2" not in worker.begun
        worker.holding["a 1"].set()
        await until(lambda: worker.done == ["b 1", "a 1", "a 2"])

    async def test_a_task_goes_on_after_a_pause_and_holds_its_lane_only(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        worker.pauses["a 1"] = [0.05, 3.0]
        for task in ("a 1", "a 2", "b 1"):
            await queue.put(task, task[0])
        await until(lambda: len(worker.done) == 3)
        assert worker.done == ["b 1", "a 1", "a 2"]
        assert worker.begun.count("a 1") == 3

    async def test_a_task_is_there_once(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        worker.holding["task"] = asyncio.Event()
        for _ in range(3):
            await queue.put("task", "lane")
        await until(lambda: worker.begun == ["task"])
        await queue.put("task", "lane")
        worker.holding["task"].set()
        await until(lambda: worker.done == ["task"])
        await asyncio.sleep(0.3)
        assert worker.begun == ["task"]

    @pytest.mark.parametrize("mistake", [ValueError("bug"), asyncio.CancelledError()])
    async def test_work_that_fails_is_begun_again_and_its_lane_is_not_lost(
        self, queue: JobQueue, worker: Worker, mistake: BaseException
    ) -> None:
        queue.serve(worker.work)
        worker.mistakes["a 1"] = [mistake]
        for task in ("a 1", "a 2"):
            await queue.put(task, "a")
        await until(lambda: worker.done == ["a 1", "a 2"])
        assert worker.begun == ["a 1", "a 1", "a 2"]

    async def test_a_task_that_is_done_can_be_put_again(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        for times in (1, 2):
            await queue.put("task", "lane")
            await until(lambda times=times: worker.done == ["task"] * times)  # type: ignore[misc]
            # That it is done is known a moment later.
            await asyncio.sleep(1)

    async def test_lanes_aside_are_others_than_those_of_the_same_name(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        worker.holding["task"] = asyncio.Event()
        await queue.put("task", "lane")
        await queue.put("call", "lane", background=True)
        await until(lambda: worker.done == ["call"])
        worker.holding["task"].set()

    async def test_closing_does_not_wait_for_what_is_not_done(self, queue: JobQueue, worker: Worker) -> None:
        queue.serve(worker.work)
        worker.holding["task"] = asyncio.Event()
        await queue.put("task", "lane")
        await until(lambda: worker.begun == ["task"])
        async with asyncio.timeout(10):
            await queue.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.holding["task"].wait(), 0.1)
        assert worker.done == []
