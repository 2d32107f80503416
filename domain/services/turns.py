"""The life of a turn, from the request to its end. Each turn is a task of its own that writes a log; clients read logs.

A request begins a turn, or is a retry that reads the turn it asks for again. How the message is sent stands in
`turn_runner.py`, and what becomes of a turn whose clients have gone in `disconnect_policy.py`."""

import asyncio
import logging
from collections.abc import Mapping, Set

import msgspec

from domain.model.events import Failed
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.lane import LocalLaneKey
from domain.model.retry_rule import RetryAction
from domain.model.turn import TurnRequest
from domain.services.disconnect_policy import DisconnectPolicy
from domain.services.idempotent_runner import IdempotentRunner
from domain.services.live_turn import LiveTurn
from domain.services.message_composer import MessageComposer
from domain.services.response_keeper import ResponseKeeper
from domain.services.retry_index import RetryIndex
from domain.services.roster_cache import RosterCache
from domain.services.turn_log import TurnLog
from domain.services.turn_monitor import TurnMonitor
from domain.services.turn_queue import TurnQueue
from domain.services.turn_stopper import TurnStopper
from domain.services.turn_subscription import TurnSubscription, repeated_failure

logger = logging.getLogger(__name__)


class Turns:
    """The turns of one gateway; agents that turn out to be gone are taken off the roster."""

    def __init__(
        self,
        runner: IdempotentRunner,
        stopper: TurnStopper,
        disconnects: DisconnectPolicy,
        composer: MessageComposer,
        retry_index: RetryIndex,
        queue: TurnQueue,
        roster_cache: RosterCache,
        responses: ResponseKeeper,
        monitor: TurnMonitor,
    ) -> None:
        self._runner = runner
        self._stopper = stopper
        self._disconnects = disconnects
        self._composer = composer
        self._retry_index = retry_index
        self._queue = queue
        self._roster_cache = roster_cache
        self._responses = responses
        self._monitor = monitor
        self._running: set[LiveTurn] = set()
        self._is_closed = False

    def begin(self, request: TurnRequest, identity: Identity) -> TurnSubscription:
        """Start the turn, or find the one that this request asks for again; either way, at once.

        Raises `FailureError`, of which nothing was delivered (`turn_queue_full`, `idempotency_key_conflict`,
        `shutting_down`)."""
        if self._is_closed:
            raise FailureError(Failure(FailureCode.SHUTTING_DOWN, Delivery.NO))
        found = self._retry_index.find(identity)
        if found is None:
            return self._start(request, identity, None)
        earlier, action = found
        match action:
            case RetryAction.AWAIT_STOP:
                return self._start(request, identity, earlier)
            case RetryAction.REFUSE:
                raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
        self._monitor.retried(identity, earlier)
        match action:
            case RetryAction.REPEAT_FAILURE if request.response is None:
                return repeated_failure(earlier.failure())
            case RetryAction.REPLAY_INTERRUPTED:
                return self._join(earlier, TurnLog(earlier.interrupted()), identity, is_replay=True)
            case _:
                return self._join(earlier, earlier.progress.log, identity, is_replay=True)

    async def queue_lengths(self) -> Mapping[LocalLaneKey, int]:
        """Of each conversation in which a turn is running: how many wait behind it, in whichever process.

        Raises `FailureError`."""
        return await self._queue.lengths()

    def owners(self) -> Set[str]:
        """The ids of the API keys for which turns are going on here; the main key has none."""
        return {live.request.owner for live in self._running if live.request.owner}

    def end_turns_of(self, owner: str) -> None:
        """This API key was revoked: its clients get no more, what waits is not delivered, what runs is stopped."""
        for live in [live for live in self._running if live.request.owner == owner]:
            if live.progress.stop_code is None:
                logger.info(
                    "A turn is ended, because its API key holds no more", extra={"agent": live.request.agent.id}
                )
                self._stopper.end(live, FailureCode.KEY_REVOKED)

    async def shut_down(self) -> None:
        """End the logs of all running turns with a failure, because the service stops.

        Nothing is cancelled on the backend: the agent finishes the turn, and remembers it."""
        self._is_closed = True
        self._disconnects.close()
        tasks = [*(live.task for live in self._running if live.task is not None), *self._stopper.tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, request: TurnRequest, identity: Identity, predecessor: LiveTurn | None) -> TurnSubscription:
        live = LiveTurn(request, identity, self._queue.enter(request, identity.state_key), predecessor)
        self._retry_index.add(identity, live)
        subscription = self._join(live, live.progress.log, identity, is_replay=False)
        with self._monitor.begin(live):
            live.task = asyncio.create_task(self._run(live))
        self._running.add(live)
        self._responses.began(live)
        live.task.add_done_callback(lambda _: self._running.discard(live))
        return subscription

    async def _run(self, live: LiveTurn) -> None:
        """The life of the turn: it waits, it is carried out, it has ended."""
        failure = await self._carry_out(live)
        if not live.progress.log.ended:
            self._fail(live, failure)
        if not live.has_left_no_trace:
            self._composer.delivered(live.request)
        self._responses.ended(live)
        self._monitor.ended(live)
        live.end(asyncio.get_running_loop().time())
        self._retry_index.ended(live)

    async def _carry_out(self, live: LiveTurn) -> Failure:
        """Fill the log; the failure with which it ends if it has no end of its own."""
        try:
            start = await self._runner.wait(live)
            if (inherited := live.inherited_answer()) is not None:
                assert live.predecessor is not None  # noqa: S101
                live.progress.answer_as(live.predecessor.progress.response_id)
                live.progress.inherit(inherited)
            else:
                await self._runner.run(live, start)
            return Failure(FailureCode.INTERNAL_ERROR, Delivery.YES, "the gateway yielded no end")
        except FailureError as error:
            if error.failure.code is FailureCode.CONVERSATION_BUSY:
                return msgspec.structs.replace(error.failure, retry_after=live.place.come_back_after())
            return error.failure
        except asyncio.CancelledError:
            code = FailureCode.SHUTTING_DOWN if self._is_closed else FailureCode.CANCELLED
            return Failure(code, live.progress.delivery)
        except Exception as error:
            logger.exception("A turn failed because of a bug in this service")
            return Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, type(error).__name__)
        finally:
            await self._responses.turn_is_over(live)
            live.place.leave(carried_out=live.progress.attempt is not None)

    def _fail(self, live: LiveTurn, failure: Failure) -> None:
        agent = live.request.agent
        if failure.code is FailureCode.MODEL_NOT_FOUND:
            self._roster_cache.forget(agent)
        live.progress.write(Failed(failure))
        logger.log(
            logging.INFO if failure.code is FailureCode.CANCELLED else logging.WARNING,
            "turn failed",
            extra={
                "agent": agent.id,
                "code": str(failure.code),
                "delivery": str(failure.delivery),
                "cause": failure.cause,
            },
        )

    def _join(self, live: LiveTurn, log: TurnLog, identity: Identity, is_replay: bool) -> TurnSubscription:
        live.audience.join(identity.retry_count)
        self._disconnects.came_back(live)
        return TurnSubscription(
            log,
            live.progress,
            is_replay,
            stop=lambda: self._stopper.cancel(live),
            leave=lambda whole, will_ask_again: self._leave(live, identity, whole, will_ask_again),
        )

    def _leave(self, live: LiveTurn, identity: Identity, whole: bool, will_ask_again: bool) -> None:
        """A client has gone: content, or without its answer."""
        live.audience.leave(identity.retry_count, whole, will_ask_again, asyncio.get_running_loop().time())
        if not whole and live.progress.log.ended:
            live.audience.left_unanswered()
        elif not whole and not live.audience.is_watched:
            self._disconnects.lost_last_reader(live)
