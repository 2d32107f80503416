"""Runs turns: each is a task of its own that writes a log. Clients read logs; who reads what is decided here.

A request begins a turn, or is a retry that reads the turn it asks for again. A turn that nobody reads any more is
stopped or not, as the operator wants it."""

import asyncio
import logging
import math
from collections.abc import Coroutine, Mapping, Set

import msgspec

from domain.model.events import Ended, Failed
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.lane import LocalLaneKey
from domain.model.turn import TurnRequest
from domain.model.turn_rules import OnDisconnect, TurnRules
from domain.services.idempotent_runner import IdempotentRunner
from domain.services.lanes import Lanes, Place
from domain.services.live_turn import LiveTurn
from domain.services.message_composer import MessageComposer
from domain.services.retry_index import RetryAction, RetryIndex
from domain.services.roster_cache import RosterCache
from domain.services.turn_log import TurnLog
from domain.services.turn_runner import TurnRunner
from ports.lane_tickets import LaneTickets, Ticket

# Seconds for which a turn that lost its last reader is left alone: clients that lost a connection come back at once.
GRACE = 2.0

logger = logging.getLogger(__name__)


class TurnSubscription:
    """One client's hold on one turn. Has to be left, whatever happens."""

    def __init__(self, turns: "Turns", live: LiveTurn, log: TurnLog, identity: Identity, replayed: bool) -> None:
        self.reader = log.reader()
        self._replayed = replayed
        self._turns = turns
        self._live = live
        self._identity = identity
        self._left = False

    @property
    def replayed(self) -> bool:
        """Whether this answer was meant for an earlier request; in shared state, known with the first event."""
        return self._replayed or self._live.replayed

    @property
    def is_delivered(self) -> bool:
        """Whether the message may have reached the agent, as far as is known here."""
        return self._live.attempting

    def send_nothing(self) -> None:
        """Find out what became of an earlier attempt, if there was one; but do not send the message."""
        self._live.recall_only = True

    async def stop(self) -> None:
        """Have the agent stop, as soon as that is possible."""
        await self._turns.stop(self._live)

    def leave(self, whole: bool, will_ask_again: bool) -> None:
        """`whole`: the client got all there was. `will_ask_again`: it is one of those who do, when they time out."""
        if not self._left:
            self._left = True
            self._turns.left(self._live, self._identity, whole, will_ask_again)


class RepeatedFailureError(Exception):
    """This request has failed a short while ago, after its message was delivered; it gets the same failure again."""

    def __init__(self, failure: Failure, repeated_for: float) -> None:
        super().__init__(failure.code)
        self.failure = failure
        self.repeated_for = repeated_for


class Turns:
    """The turns of one gateway; agents that turn out to be gone are taken off the roster."""

    def __init__(
        self,
        recording: IdempotentRunner,
        delivering: TurnRunner,
        wording: MessageComposer,
        retries: RetryIndex,
        lanes: Lanes,
        tickets: LaneTickets,
        rosters: RosterCache,
        rules: TurnRules,
    ) -> None:
        self._recording = recording
        self._delivering = delivering
        self._wording = wording
        self._retries = retries
        self._lanes = lanes
        self._tickets = tickets
        self._rosters = rosters
        self._rules = rules
        self._running: dict[LiveTurn, asyncio.Task[None]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._graces: dict[LiveTurn, asyncio.TimerHandle] = {}
        self._passing = 0
        self._closed = False

    def begin(self, request: TurnRequest, identity: Identity) -> TurnSubscription:
        """Start the turn, or find the one that this request asks for again; either way, at once.

        Raises `FailureError`, of which nothing was delivered (`turn_queue_full`, `idempotency_key_conflict`,
        `shutting_down`), and `RepeatedFailureError`."""
        if self._closed:
            raise FailureError(Failure(FailureCode.SHUTTING_DOWN, Delivery.NO))
        retry = self._retries.find(identity)
        if retry is None:
            return self._start(request, identity, None)
        live = retry.live
        match retry.how:
            case RetryAction.AWAIT_STOP:
                return self._start(request, identity, live)
            case RetryAction.REPEAT_FAILURE:
                last = live.log.events[-1]
                assert isinstance(last, Failed)  # noqa: S101
                repeated_for = math.inf if identity.is_promised else self._rules.repeat_errors_for
                raise RepeatedFailureError(last.failure, repeated_for)
            case RetryAction.REPLAY_INTERRUPTED:
                return self._join(live, live.interrupted(), identity, replayed=True)
            case RetryAction.REPLAY:
                return self._join(live, live.log, identity, replayed=True)

    def left(self, live: LiveTurn, identity: Identity, whole: bool, will_ask_again: bool) -> None:
        """A client has gone: content, or without its answer."""
        live.readers -= 1
        live.left_at = asyncio.get_running_loop().time()
        if whole:
            live.answered = True
            self._retries.served(identity, live)
        elif not live.log.ended:
            live.must_finish |= will_ask_again
            if not live.readers:
                self._graces[live] = asyncio.get_running_loop().call_later(GRACE, self._abandoned, live)
        elif not live.answered and live.notes is not None:
            live.notes.unanswered()

    async def stop(self, live: LiveTurn) -> None:
        """Somebody wants it no more, who has waited for it until now."""
        if not live.attempting:
            # It waits for its turn or for a busy conversation: it was not delivered, and is not going to be.
            if live.task is not None:
                live.task.cancel()
        else:
            await self._delivering.stop(live, FailureCode.CANCELLED)

    def owners(self) -> Set[str]:
        """The ids of the API keys for which turns are going on here; the main key has none."""
        return {live.request.owner for live in self._running if live.request.owner}

    def end_those_of(self, owner: str) -> None:
        """This API key holds no more: its clients get no more, what waits is not delivered, what runs is stopped."""
        for live in [live for live in self._running if live.request.owner == owner and live.stopping is None]:
            logger.info("A turn is ended, because its API key holds no more", extra={"agent": live.request.agent.id})
            if live.attempting:
                self._stop_aside(live, self._delivering.stop(live, FailureCode.KEY_REVOKED, in_a_hurry=True))
            else:
                live.stopping = FailureCode.KEY_REVOKED
                # At once: whatever it is waiting for may take its time to notice.
                live.log.append(Failed(Failure(FailureCode.KEY_REVOKED, live.delivery)))
                if live.task is not None:
                    live.task.cancel()

    async def queue_lengths(self) -> Mapping[LocalLaneKey, int]:
        """Of each conversation in which a turn is running: how many wait behind it, in whichever process.

        Raises `FailureError`."""
        lengths = {**self._lanes.lengths()}
        for lane, others in (await self._tickets.remote_lengths()).items():
            # One of all turns in a lane is not waiting.
            lengths[lane] = lengths.get(lane, -1) + others
        return lengths

    async def let_go(self) -> None:
        """End the logs of all running turns with a failure, because the service stops.

        Nothing is cancelled on the backend: the agent finishes the turn, and remembers it."""
        self._closed = True
        tasks = [*self._running.values(), *self._stopping]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, request: TurnRequest, identity: Identity, predecessor: LiveTurn | None) -> TurnSubscription:
        lane: LocalLaneKey = request.lane
        if request.ephemeral:
            # A lane of its own: it waits for nobody, and nobody waits for it.
            self._passing += 1
            lane = (request.agent.id, self._passing)
        place = self._lanes.enter(lane)
        live = LiveTurn(request, identity, predecessor)
        self._retries.add(identity, live)
        reading = self._join(live, live.log, identity, replayed=False)
        live.task = task = asyncio.create_task(self._run(live, place))
        self._running[live] = task
        task.add_done_callback(lambda _: self._running.pop(live))
        return reading

    def _join(self, live: LiveTurn, log: TurnLog, identity: Identity, replayed: bool) -> TurnSubscription:
        live.readers += 1
        live.served = max(live.served, identity.retry_count)
        if (grace := self._graces.pop(live, None)) is not None:
            grace.cancel()
        return TurnSubscription(self, live, log, identity, replayed)

    def _abandoned(self, live: LiveTurn) -> None:
        self._graces.pop(live, None)
        if live.log.ended or self._closed:
            return
        if (
            not live.attempting
            or self._rules.on_disconnect is OnDisconnect.CANCEL
            or (self._rules.on_disconnect is OnDisconnect.AUTO and not live.must_finish)
        ):
            self._stop_aside(live, self._stop_unless_wanted(live))

    def _stop_aside(self, live: LiveTurn, stop: Coroutine[None, None, None]) -> None:
        stopping = asyncio.create_task(stop)
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        if live.task is not None:
            live.task.add_done_callback(lambda _: stopping.cancel())

    async def _stop_unless_wanted(self, live: LiveTurn) -> None:
        """A retry that has come to another process waits there for what this turn will have said."""
        try:
            wanted = live.attempting and await self._tickets.has_waiter(live.request.lane, live.identity.state_key)
        except FailureError:
            wanted = False
        if not wanted and not live.readers:
            await self.stop(live)

    async def _run(self, live: LiveTurn, place: Place) -> None:
        log = live.log
        ticket: Ticket | None = None
        try:
            if not live.request.ephemeral:
                ticket = await self._tickets.enqueue(live.request.lane, live.identity.state_key)
                if ticket.before > self._rules.max_waiting:
                    cause = f"{ticket.before} turns are in this conversation"
                    raise self._lanes.full(live.request.lane, cause, ticket.before)
            await place.first()
            if ticket is not None:
                live.after_crash = await self._tickets.wait(ticket)
            if live.predecessor is None or not _inherited(live, live.predecessor):
                await self._recording.deliver(live)
            failure = Failure(FailureCode.INTERNAL_ERROR, Delivery.YES, "the gateway yielded no end")
        except FailureError as error:
            failure = error.failure
            if failure.code is FailureCode.CONVERSATION_BUSY:
                come_back = self._lanes.come_back_after(live.request.lane)
                failure = msgspec.structs.replace(failure, retry_after=come_back)
        except asyncio.CancelledError:
            failure = _failure_of_cut(live, self._closed)
        except Exception as error:
            logger.exception("A turn failed by a mistake of this service")
            failure = Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, type(error).__name__)
        finally:
            if ticket is not None:
                self._tickets.release(ticket, carried_out=live.attempting)
            place.leave(carried_out=live.attempting)
        if not log.ended:
            self._failed(live, failure)
        last = log.events[-1]
        if isinstance(last, Ended) or (isinstance(last, Failed) and last.failure.delivery is not Delivery.NO):
            self._wording.delivered(live.request)
            live.predecessor = None
        live.left_at = asyncio.get_running_loop().time()
        live.settle()
        self._retries.settled(live)

    def _failed(self, live: LiveTurn, failure: Failure) -> None:
        agent = live.request.agent
        if failure.code is FailureCode.MODEL_NOT_FOUND:
            self._rosters.forget(agent)
        live.log.append(Failed(failure))
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


def _inherited(live: LiveTurn, stopped: LiveTurn) -> bool:
    """Whether the stopped turn of the same request leaves anything for this one to say instead of delivering again."""
    last = stopped.log.events[-1] if stopped.log.ended else Failed(Failure(FailureCode.CANCELLED, Delivery.UNKNOWN))
    if isinstance(last, Failed) and last.failure.delivery is Delivery.NO:
        return False
    heirloom = stopped.interrupted() if stopped.kept else TurnLog([*stopped.log.events[:-1], last])
    for event in heirloom.events:
        live.log.append(event)
    return True


def _failure_of_cut(live: LiveTurn, shutting_down: bool) -> Failure:
    return Failure(FailureCode.SHUTTING_DOWN if shutting_down else FailureCode.CANCELLED, live.delivery)
