"""The delivery of one turn, to its end: what to do when the backend refuses, breaks, or hangs.

Writes into the turn's log. Nothing is ever sent again unless it surely was not delivered."""

import asyncio
import logging
import random
import uuid
from contextlib import aclosing

import msgspec

from domain.model.events import Accepted, Failed
from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.model.remainder import ContradictionError, remainder
from domain.model.turn import Turn
from domain.model.turn_rules import TurnRules
from domain.services.approving import Approving
from domain.services.conversations import Conversations
from domain.services.live_turn import LiveTurn
from domain.services.wording import Wording
from ports.agent_gateway import AgentGateway, RunRecord

# Seconds. Between looks at a busy conversation, or at a run that went on without us.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 3.0
# A backend needs this long to write down what a stopped run leaves behind.
SETTLING = 1.0
# A stop works at the agent's next word. The client waits for it no longer than the first, the lane than the second.
CLIENT_WAITS_FOR_STOP = 10.0
HURRIED_CLIENT_WAITS = 1.5
LANE_WAITS_FOR_STOP = 60.0

# What may be the connection only.
_BROKEN = frozenset({FailureCode.CONNECTION_LOST, FailureCode.DELIVERY_UNKNOWN})

logger = logging.getLogger(__name__)


class Delivering:
    """Of one gateway. `deliver` raises `BackendError`."""

    def __init__(
        self,
        gateway: AgentGateway,
        conversations: Conversations,
        approving: Approving,
        wording: Wording,
        rules: TurnRules,
    ) -> None:
        self._gateway = gateway
        self._conversations = conversations
        self._approving = approving
        self._wording = wording
        self._rules = rules

    async def deliver(self, live: LiveTurn) -> None:
        """Fill the log up to and with `Ended`."""
        loop = asyncio.get_running_loop()
        stopper: asyncio.Task[None] | None = None

        def time_out() -> None:
            nonlocal stopper
            stopper = loop.create_task(self.stop(live, FailureCode.TURN_TIMEOUT))

        timer = loop.call_later(self._rules.turn_timeout, time_out)
        try:
            await self._deliver(live)
            await self._approving.asked(live.request, live.log.events)
        except BackendError as error:
            if error.failure.code is FailureCode.CANCELLED and live.attempting:
                raise BackendError(await self._fate_of_stopped(live, error.failure)) from error
            raise
        finally:
            timer.cancel()
            if stopper is not None:
                stopper.cancel()
            if live.request.passing and live.turn is not None and live.turn.conversation is not None:
                await self._close(live.turn.conversation)

    async def resume(self, live: LiveTurn, give_up_at: float) -> bool:
        """Fill the log of a turn whose message another process has delivered, perhaps; that process is no more.

        False: the backend does not know of it. Raises `BackendError`: what became of its run, or, with an unknown
        delivery, that it cannot be asked. Until `give_up_at` (in the event loop's time) a run that goes on is waited
        for, even if it makes no progress."""
        lost = BackendError(Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "its process died"))
        try:
            turn = await self._turn(live)
            live.attempt(turn)
            run_id = live.run_id or await self._find_run(turn, give_up_at)
            if run_id is None:
                return False
            await self._gateway.record(run_id)
        except BackendError as error:
            raise BackendError(msgspec.structs.replace(error.failure, delivery=Delivery.UNKNOWN)) from error
        live.log.append(Accepted(run_id))
        live.accepted(run_id)
        try:
            await self._recover(live, run_id, lost, give_up_at)
        except BackendError as error:
            if error is lost:
                raise BackendError(await self._fate_of_dead(turn, run_id, lost.failure)) from error
            if error.failure.code is FailureCode.CANCELLED:
                raise BackendError(await self._fate_of_stopped(live, error.failure)) from error
            raise
        await self._approving.asked(live.request, live.log.events)
        return True

    async def stop(self, live: LiveTurn, why: FailureCode, in_a_hurry: bool = False) -> None:
        """Stop the run, by its id, as soon as there is one. To be cancelled when the turn has come to its end.

        `in_a_hurry`: the client is not to wait for long until it is told what became of it."""
        if live.stopping is not None or live.log.ended:
            return
        live.stopping = why
        log = live.log
        asking = asyncio.create_task(self._cancel(live))
        try:
            client_waits = HURRIED_CLIENT_WAITS if in_a_hurry else CLIENT_WAITS_FOR_STOP
            await asyncio.sleep(client_waits)
            # One that may stop at any moment may forget the message.
            delivery = Delivery.UNKNOWN if in_a_hurry else live.delivery
            log.append(Failed(Failure(why, delivery, "it did not stop")))
            await asyncio.sleep(LANE_WAITS_FOR_STOP - client_waits)
            if live.task is not None:
                live.task.cancel()
        finally:
            asking.cancel()

    async def _deliver(self, live: LiveTurn) -> None:
        loop = asyncio.get_running_loop()
        live.turn = turn = await self._turn(live)
        if live.after_death:
            await self._find_run(turn, loop.time() + self._rules.busy_timeout)
        busy_until = loop.time() + self._rules.busy_timeout
        pause = FIRST_PAUSE
        tried: set[FailureCode] = set()
        while True:
            try:
                await self._attempt(live, turn)
            except BackendError as error:
                failure = error.failure
                if failure.delivery is not Delivery.NO:
                    raise
                live.not_delivered()
                if failure.code is FailureCode.CONVERSATION_BUSY and loop.time() < busy_until:
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue
                if failure.code in tried:
                    raise
                tried.add(failure.code)
                turn = await self._second_try(live, turn, error)
            else:
                return

    async def _turn(self, live: LiveTurn) -> Turn:
        return Turn(
            live.request.agent,
            self._wording.message(live.request, live.said),
            await self._conversations.of(live.request),
            delivery_id=live.delivery_id or str(uuid.uuid4()),
            deduplicated=live.deduplicated,
        )

    async def _find_run(self, turn: Turn, give_up_at: float) -> str | None:
        """The run that this turn has led to, if any; when no other is going on in its conversation."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            search = await self._gateway.find_run(turn)
            if not search.undecided or loop.time() >= give_up_at:
                return search.run_id
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _second_try(self, live: LiveTurn, turn: Turn, refused: BackendError) -> Turn:
        """What to deliver instead of what the backend has refused."""
        if refused.failure.code is FailureCode.CONVERSATION_GONE:
            conversation = await self._conversations.instead_of(turn.conversation, live.request)
            if conversation is not None:
                return msgspec.structs.replace(turn, conversation=conversation)
        if refused.failure.code is FailureCode.APPROVAL_PENDING and turn.message is not None:
            waiting = await self._gateway.approvals(turn)
            if waiting:
                verdict, message = await self._approving.verdict(live.request, turn.message, waiting)
                return msgspec.structs.replace(turn, verdict=verdict, message=message)
        raise refused

    async def _attempt(self, live: LiveTurn, turn: Turn) -> None:
        live.attempt(turn)
        log = live.log
        try:
            async with aclosing(self._gateway.run(turn)) as events:
                async for event in events:
                    log.append(event)
                    if isinstance(event, Accepted):
                        live.accepted(event.run_id)
        except BackendError as error:
            if error.failure.code not in _BROKEN or error.failure.delivery is Delivery.NO:
                raise
            run_id = live.run_id or await self._found_later(live, turn)
            if run_id is None:
                raise
            await self._recover(live, run_id, error)

    async def _found_later(self, live: LiveTurn, turn: Turn) -> str | None:
        """The run of a turn whose connection broke before it told; None if the backend knows of none, or is away."""
        try:
            run_id = await self._find_run(turn, asyncio.get_running_loop().time() + self._rules.turn_timeout)
        except BackendError:
            return None
        if run_id is not None:
            live.log.append(Accepted(run_id))
            live.accepted(run_id)
        return run_id

    async def _recover(self, live: LiveTurn, run_id: str, lost: BackendError, wait_at_least_until: float = 0.0) -> None:
        """The connection broke, the run goes on: finish the answer from what the backend writes down."""
        loop = asyncio.get_running_loop()
        give_up_at = max(loop.time() + self._rules.recovery_timeout, wait_at_least_until)
        unreachable = False
        pause = FIRST_PAUSE
        while loop.time() < give_up_at:
            try:
                record = await self._gateway.record(run_id)
            except BackendError:
                unreachable = True
            else:
                if self._catch_up(live, record, lost):
                    give_up_at = max(give_up_at, loop.time() + self._rules.recovery_timeout)
                if record.over:
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if unreachable and live.turn is not None:
            # The server was away, and its runs are dead: they would keep the conversation locked.
            lost = BackendError(await self._fate_of_dead(live.turn, run_id, lost.failure))
        raise lost

    def _catch_up(self, live: LiveTurn, record: RunRecord, lost: BackendError) -> bool:
        """Write into the log what is new in the record; say whether there was anything."""
        try:
            new = remainder(live.log.events[live.run_began :], record.events)
        except ContradictionError:
            raise lost from None
        for event in new:
            if isinstance(event, Failed):
                raise BackendError(_with_fate(event.failure, record))
            live.log.append(event)
        return bool(new)

    async def _fate_of_dead(self, turn: Turn, run_id: str, lost: Failure) -> Failure:
        try:
            await self._gateway.cancel(turn, run_id)
            record = await self._gateway.record(run_id)
        except BackendError:
            return lost
        return lost if record.kept else msgspec.structs.replace(lost, delivery=Delivery.NO)

    async def _fate_of_stopped(self, live: LiveTurn, stopped: Failure) -> Failure:
        """A stop in the first step leaves no trace of the message; later, the agent remembers it (recorded, Letta)."""
        stopped = msgspec.structs.replace(stopped, code=live.stopping or stopped.code)
        if live.run_id is None:
            return stopped
        await asyncio.sleep(SETTLING)
        try:
            record = await self._gateway.record(live.run_id)
        except BackendError:
            return stopped
        if record.kept:
            live.kept = tuple(event for event in record.events if not isinstance(event, Failed))
        return msgspec.structs.replace(stopped, delivery=Delivery.YES if record.kept else Delivery.NO)

    async def _cancel(self, live: LiveTurn) -> None:
        run = await live.run()
        if run is None:
            return
        try:
            await self._gateway.cancel(*run)
        except BackendError as error:
            logger.warning("A turn could not be stopped; the agent goes on: %s", error)

    async def _close(self, conversation: str) -> None:
        try:
            await self._gateway.close_conversation(conversation)
        except BackendError as error:
            logger.warning("A conversation that nobody needs any more could not be deleted: %s", error)


def _with_fate(failure: Failure, record: RunRecord) -> Failure:
    if record.kept or failure.code is FailureCode.CANCELLED:
        # A run that was cancelled may still be writing down what it leaves behind.
        return failure
    return msgspec.structs.replace(failure, delivery=Delivery.NO)
