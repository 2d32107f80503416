"""Stops turns: how, and not which. A turn whose message the backend may have is stopped there, by its run."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Set
from contextlib import contextmanager

from domain.model.events import Failed
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.services.backends import Backends
from domain.services.live_turn import LiveTurn
from domain.services.turn_progress import TurnProgress

# Seconds. A stop works at the agent's next word. The client waits for it no longer than the first (or second), the lane
# than the third.
CLIENT_WAITS_FOR_STOP = 10.0
HURRIED_CLIENT_WAITS = 1.5
LANE_WAITS_FOR_STOP = 60.0

logger = logging.getLogger(__name__)


class TurnStopper:
    """Where a backend cannot stop a run, its agent finishes the turn; only the clients are told that it has ended."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._stopping: set[asyncio.Task[None]] = set()

    def can_stop(self, live: LiveTurn) -> bool:
        """Whether the turn can be ended: it waits, or its backend can stop runs."""
        return live.progress.attempt is None or self._backends.of(live.request.agent).run_cancellation is not None

    async def cancel(self, live: LiveTurn) -> None:
        """Its clients do not want it any more. Return when it has ended, or will not end."""
        if live.progress.attempt is not None:
            await self.stop(live.progress, live.task, FailureCode.CANCELLED)
        elif live.task is not None:
            # It waits for its time or for a busy conversation: it was not delivered, and is not going to be.
            live.task.cancel()

    def end(self, live: LiveTurn, why: FailureCode) -> None:
        """Tell its clients soon that it has ended; stop it behind their backs."""
        progress = live.progress
        if progress.attempt is not None:
            self.in_background(live, self.stop(progress, live.task, why, in_a_hurry=True))
            return
        progress.stop(why)
        # At once: whatever it is waiting for may take its time to notice.
        progress.write(Failed(Failure(why, progress.delivery)))
        if live.task is not None:
            live.task.cancel()

    def in_background(self, live: LiveTurn, stop: Coroutine[None, None, None]) -> None:
        """Carry out that stop until the turn has come to its end."""
        stopping = asyncio.create_task(stop)
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        if live.task is not None:
            live.task.add_done_callback(lambda _: stopping.cancel())

    def tasks(self) -> Set["asyncio.Task[None]"]:
        """The stops that go on in the background."""
        return self._stopping

    async def stop(
        self,
        progress: TurnProgress,
        task: "asyncio.Task[None] | None",
        why: FailureCode,
        in_a_hurry: bool = False,
    ) -> None:
        """Stop the run, by its id, as soon as there is one. To be cancelled when the turn has come to its end.

        `task` carries out the turn; it is cancelled if the run does not end. `in_a_hurry`: the client is told soon
        what became of its message, even if that is not known yet."""
        if progress.stop_code is not None or progress.log.ended:
            return
        progress.stop(why)
        asking = asyncio.create_task(self._cancel_run(progress))
        try:
            client_waits = HURRIED_CLIENT_WAITS if in_a_hurry else CLIENT_WAITS_FOR_STOP
            await asyncio.sleep(client_waits)
            # One that may stop at any moment may forget the message.
            delivery = Delivery.UNKNOWN if in_a_hurry else progress.delivery
            progress.write(Failed(Failure(why, delivery, "it did not stop")))
            await asyncio.sleep(LANE_WAITS_FOR_STOP - client_waits)
            if task is not None:
                task.cancel()
        finally:
            asking.cancel()

    @contextmanager
    def after(self, seconds: float, progress: TurnProgress) -> Iterator[None]:
        """The turn that the current task carries out is stopped (`turn_timeout`) if this takes longer than that."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        stopping: list[asyncio.Task[None]] = []

        def time_out() -> None:
            stopping.append(loop.create_task(self.stop(progress, task, FailureCode.TURN_TIMEOUT)))

        timer = loop.call_later(seconds, time_out)
        try:
            yield
        finally:
            timer.cancel()
            for each in stopping:
                each.cancel()

    async def _cancel_run(self, progress: TurnProgress) -> None:
        run = await progress.run_to_stop()
        if run is None:
            return
        turn, run_id = run
        if (cancellation := self._backends.of(turn.agent).run_cancellation) is None:
            return
        try:
            await cancellation.cancel(turn, run_id)
        except FailureError as error:
            logger.warning("A turn could not be stopped; the agent goes on: %s", error)
