"""The delivery of one turn, to its end: what to do when the backend refuses, breaks, or hangs.

Writes into the turn's log. Nothing is ever sent again unless it surely was not delivered."""

import asyncio
import logging
import random
import uuid
from contextlib import aclosing

import msgspec

from domain.model.events import Accepted, Ended, Failed
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn
from domain.model.turn_rules import TurnRules
from domain.services.answer_recovery import FIRST_PAUSE, LONGEST_PAUSE, AnswerRecovery
from domain.services.approval_guard import ApprovalGuard
from domain.services.conversations import Conversations
from domain.services.live_turn import LiveTurn
from domain.services.message_composer import MessageComposer
from domain.services.pending_approvals import PendingApprovals
from ports.agent_gateway import AgentGateway, RunSearch

# Seconds. A stop works at the agent's next word. The client waits for it no longer than the first (or second), the lane
# than the third.
CLIENT_WAITS_FOR_STOP = 10.0
HURRIED_CLIENT_WAITS = 1.5
LANE_WAITS_FOR_STOP = 60.0

logger = logging.getLogger(__name__)


class TurnRunner:
    """Of one gateway. `deliver` raises `FailureError`."""

    def __init__(
        self,
        gateway: AgentGateway,
        conversations: Conversations,
        approving: ApprovalGuard,
        wording: MessageComposer,
        recovering: AnswerRecovery,
        rules: TurnRules,
    ) -> None:
        self._gateway = gateway
        self._conversations = conversations
        self._approving = approving
        self._wording = wording
        self._rules = rules
        self._recovering = recovering

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
        except FailureError as error:
            if error.failure.code is FailureCode.CANCELLED and live.attempting:
                raise FailureError(await self._recovering.fate_of_stopped(live, error.failure)) from error
            raise
        finally:
            timer.cancel()
            if stopper is not None:
                stopper.cancel()
            if live.request.ephemeral and live.turn is not None and live.turn.conversation is not None:
                await self._close(live.turn.conversation)

    async def resume(self, live: LiveTurn, give_up_at: float) -> bool:
        """Fill the log of a turn whose message another process has delivered, perhaps; that process is no more.

        False: the backend does not know of it. Raises `FailureError`: what became of its run, or, with an unknown
        delivery, that it cannot be asked. Until `give_up_at` (in the event loop's time) a run that goes on is waited
        for, even if it makes no progress."""
        lost = Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN, "its process died")
        try:
            turn = await self._turn(live)
            live.attempt(turn)
            search = RunSearch(live.run_id) if live.run_id else await self._recovering.find_run(turn, give_up_at)
            if (run_id := search.run_id) is None and not search.alike:
                return False
            if run_id is None or await self._gateway.record(turn, run_id) is None:
                raise FailureError(_without_trace())
        except FailureError as error:
            raise FailureError(msgspec.structs.replace(error.failure, delivery=Delivery.UNKNOWN)) from error
        live.found(run_id)
        try:
            await self._recovering.follow(live, turn, run_id, lost, give_up_at)
        except FailureError as error:
            if error.failure.code is lost.code:
                raise FailureError(await self._recovering.fate_of_dead(turn, run_id, error.failure)) from error
            if error.failure.code is FailureCode.CANCELLED:
                raise FailureError(await self._recovering.fate_of_stopped(live, error.failure)) from error
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
        if live.after_crash:
            await self._recovering.find_run(turn, loop.time() + self._rules.busy_timeout)
        busy_until = loop.time() + self._rules.busy_timeout
        pause = FIRST_PAUSE
        tried: set[FailureCode] = set()
        waiting = PendingApprovals(self._gateway, self._approving, live.request, turn)
        while True:
            try:
                await self._attempt(live, turn)
            except FailureError as error:
                failure = error.failure
                if failure.delivery is not Delivery.NO:
                    raise
                live.not_delivered()
                if failure.code is FailureCode.CONVERSATION_BUSY and loop.time() < busy_until:
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue
                if failure.code is FailureCode.APPROVAL_PENDING:
                    turn = await waiting.instead_of(turn, failure)
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
            self._wording.compose(live.request, live.said),
            await self._conversations.of(live.request),
            delivery_id=live.delivery_id or str(uuid.uuid4()),
            deduplicated=live.deduplicated,
        )

    async def _second_try(self, live: LiveTurn, turn: Turn, refused: FailureError) -> Turn:
        """What to deliver instead of what the backend has refused."""
        if refused.failure.code is FailureCode.CONVERSATION_GONE:
            conversation = await self._conversations.instead_of(turn.conversation, live.request)
            if conversation is not None:
                return msgspec.structs.replace(turn, conversation=conversation)
        raise refused

    async def _attempt(self, live: LiveTurn, turn: Turn) -> None:
        live.attempt(turn)
        log = live.log
        try:
            async with aclosing(self._gateway.run(turn)) as events:
                async for event in events:
                    if isinstance(event, Ended):
                        # First: whoever has the answer may approve, even if this service is stopped now.
                        await self._approving.asked(live.request, log.events)
                    log.append(event)
                    if isinstance(event, Accepted):
                        live.accepted(event.run_id)
        except FailureError as error:
            failure = error.failure
            if failure.code is FailureCode.APPROVAL_PENDING:
                failure = await self._recovering.checked_refusal(live, turn, failure)
            if not self._recovering.can_tell_more(failure):
                raise
            await self._recovering.finish(live, turn, failure)
            await self._approving.asked(live.request, log.events)

    async def _cancel(self, live: LiveTurn) -> None:
        run = await live.run()
        if run is None:
            return
        try:
            await self._gateway.cancel(*run)
        except FailureError as error:
            logger.warning("A turn could not be stopped; the agent goes on: %s", error)

    async def _close(self, conversation: str) -> None:
        try:
            await self._gateway.close_conversation(conversation)
        except FailureError as error:
            logger.warning("A conversation that nobody needs any more could not be deleted: %s", error)


def _without_trace() -> Failure:
    """Looking again would not tell more."""
    detail = "The agent backend does not know what became of this message."
    return Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "no run of it is known", detail=detail)
