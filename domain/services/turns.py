"""Runs turns: each is a task of its own that writes a log. Who reads the log, or stops reading, is not its concern."""

import asyncio
import logging
from contextlib import aclosing

from domain.model.events import Failed
from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.model.turn import Turn
from domain.model.turn_log import TurnLog
from domain.services.rosters import Rosters
from ports.agent_gateway import AgentGateway

logger = logging.getLogger(__name__)


class Turns:
    """The turns of one gateway; agents that turn out to be gone are taken off the roster."""

    def __init__(self, gateway: AgentGateway, rosters: Rosters) -> None:
        self._gateway = gateway
        self._rosters = rosters
        self._running: set[asyncio.Task[None]] = set()

    def start(self, turn: Turn) -> TurnLog:
        """Deliver the user message and return, at once, the log that the answer will appear in."""
        log = TurnLog()
        task = asyncio.create_task(self._run(turn, log))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return log

    async def let_go(self) -> None:
        """End the logs of all running turns with a failure, because the service stops.

        Nothing is cancelled on the backend: the agent finishes the turn, and remembers it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, turn: Turn, log: TurnLog) -> None:
        try:
            async with aclosing(self._gateway.run(turn)) as events:
                async for event in events:
                    log.append(event)
            failure = Failure(FailureCode.INTERNAL_ERROR, Delivery.YES, "the gateway yielded no end")
        except BackendError as error:
            failure = error.failure
        except asyncio.CancelledError:
            # Before the first event nobody knows whether the message arrived.
            failure = Failure(FailureCode.SHUTTING_DOWN, Delivery.YES if log.events else Delivery.UNKNOWN)
        except Exception as error:
            logger.exception("A turn failed by a mistake of this service")
            failure = Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, type(error).__name__)
        if log.ended:
            return
        if failure.code is FailureCode.MODEL_NOT_FOUND:
            self._rosters.forget(turn.agent)
        log.append(Failed(failure))
        logger.warning(
            "turn failed",
            extra={
                "agent": turn.agent.id,
                "code": str(failure.code),
                "delivery": str(failure.delivery),
                "cause": failure.cause,
            },
        )
