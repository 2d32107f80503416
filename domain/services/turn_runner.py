"""Sends the message of a turn to the agent, and writes the answer into the turn's log.

Nothing is ever sent again unless it surely was not delivered. What to do about a broken answer is decided elsewhere
(`AnswerRecovery`), and so is whether the message is to be sent at all (`IdempotentRunner`)."""

import asyncio
import random
import uuid
from contextlib import aclosing

import msgspec

from domain.model.events import Accepted, Ended
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.run_record import RunSearch
from domain.model.turn import Turn, TurnRequest
from domain.model.turn_record import History
from domain.model.turn_rules import TurnRules
from domain.services.answer_recovery import FIRST_PAUSE, LONGEST_PAUSE, AnswerRecovery
from domain.services.approval_guard import ApprovalGuard
from domain.services.backends import Backends
from domain.services.conversation_heads import ConversationHeads
from domain.services.conversations import Conversations
from domain.services.message_composer import MessageComposer
from domain.services.pending_approvals import PendingApprovals
from domain.services.turn_progress import TurnProgress
from domain.services.turn_stopper import TurnStopper


class DeliveryPlan(msgspec.Struct, frozen=True):
    """What is known before the message of a turn is sent."""

    delivery_id: str | None = None
    """Names the delivery on the backend; None: a new id is made."""
    deduplicated: bool = False
    """As in `Turn`."""
    history: History | None = None
    """What was said in the conversation before, where other processes may know more."""
    after_crash: bool = False
    """A process has crashed whose turn was before this one, and may still be running on the backend."""
    began_at: float | None = None
    """When another process began this turn, in seconds since 1970."""


class TurnRunner:
    """`run` and `resume` raise `FailureError`."""

    def __init__(
        self,
        backends: Backends,
        conversations: Conversations,
        approval_guard: ApprovalGuard,
        composer: MessageComposer,
        recovery: AnswerRecovery,
        stopper: TurnStopper,
        heads: ConversationHeads,
        rules: TurnRules,
    ) -> None:
        self._backends = backends
        self._conversations = conversations
        self._approval_guard = approval_guard
        self._composer = composer
        self._recovery = recovery
        self._stopper = stopper
        self._heads = heads
        self._rules = rules

    async def run(self, request: TurnRequest, plan: DeliveryPlan, progress: TurnProgress) -> None:
        """Send the message, and fill the log up to and with `Ended`."""
        with self._stopper.after(self._rules.turn_timeout, progress):
            await self._heads.check(request)
            turn = await self._turn(request, plan)
            try:
                if plan.after_crash:
                    await self._recovery.find_run(turn, _now() + self._rules.busy_timeout)
                await self._send_until_taken(request, turn, progress)
            except FailureError as error:
                if error.failure.code is FailureCode.CANCELLED and progress.attempt is not None:
                    raise FailureError(await self._fate_of_stopped(progress, error.failure)) from error
                raise
            finally:
                if request.ephemeral and turn.conversation is not None:
                    await self._conversations.close(turn.agent, turn.conversation)

    async def resume(
        self, request: TurnRequest, plan: DeliveryPlan, run_id: str | None, progress: TurnProgress, give_up_at: float
    ) -> bool:
        """Fill the log of a turn whose message another process has sent, perhaps; that process is no more.

        False: the backend does not know of it. Raises `FailureError`: what became of its run, or, with an unknown
        delivery, that it cannot be asked. `run_id`: of its run, if that is known. Until `give_up_at` (in the event
        loop's time) a run that goes on is waited for, even if it makes no progress."""
        lost = Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN, "its process died")
        try:
            if plan.began_at is not None and await self._conversations.was_assigned(request, plan.began_at):
                raise FailureError(_without_trace("its chat was assigned to another conversation meanwhile"))
            turn = await self._turn(request, plan)
            progress.resume_attempt(turn, run_id)
            search = RunSearch(run_id) if run_id else await self._recovery.find_run(turn, give_up_at)
            if (found := search.run_id) is None and not search.has_similar:
                return False
            if found is None or not await self._recovery.has_record(turn, found):
                raise FailureError(_without_trace())
        except FailureError as error:
            raise FailureError(msgspec.structs.replace(error.failure, delivery=Delivery.UNKNOWN)) from error
        progress.found_run(found)
        try:
            await self._recovery.follow(progress, turn, found, lost, give_up_at)
        except FailureError as error:
            if error.failure.code is lost.code:
                raise FailureError(await self._recovery.fate_of_dead(turn, found, error.failure)) from error
            if error.failure.code is FailureCode.CANCELLED:
                raise FailureError(await self._fate_of_stopped(progress, error.failure)) from error
            raise
        await self._approval_guard.remember_asked(request, progress.log.events)
        return True

    async def _send_until_taken(self, request: TurnRequest, turn: Turn, progress: TurnProgress) -> None:
        busy_until = _now() + self._rules.busy_timeout
        pause = FIRST_PAUSE
        tried: set[FailureCode] = set()
        approvals = PendingApprovals(self._backends.of(turn.agent).approvals, self._approval_guard, request, turn)
        while True:
            try:
                await self._send(request, turn, progress)
            except FailureError as error:
                failure = error.failure
                if failure.delivery is not Delivery.NO:
                    raise
                progress.refused()
                if failure.code is FailureCode.CONVERSATION_BUSY and _now() < busy_until:
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue
                if failure.code is FailureCode.APPROVAL_PENDING:
                    turn = await approvals.next_turn(turn, failure)
                    continue
                if failure.code in tried:
                    raise
                tried.add(failure.code)
                turn = await self._second_try(request, turn, error)
            else:
                return

    async def _send(self, request: TurnRequest, turn: Turn, progress: TurnProgress) -> None:
        """Send the message once."""
        progress.begin_attempt(turn)
        log = progress.log
        try:
            async with aclosing(self._backends.of(turn.agent).gateway.run(turn)) as events:
                async for event in events:
                    if isinstance(event, Ended):
                        # First: whoever has the answer may approve, even if this service is stopped now.
                        await self._approval_guard.remember_asked(request, log.events)
                    log.append(event)
                    if isinstance(event, Accepted):
                        progress.accepted(event.run_id)
        except FailureError as error:
            failure = error.failure
            if failure.code is FailureCode.APPROVAL_PENDING:
                failure = await self._recovery.checked_refusal(progress, turn, failure)
            if not self._recovery.can_tell_more(turn, failure):
                raise
            await self._recovery.finish(progress, turn, failure)
            await self._approval_guard.remember_asked(request, log.events)

    async def _turn(self, request: TurnRequest, plan: DeliveryPlan) -> Turn:
        return Turn(
            request.agent,
            self._composer.compose(request, plan.history),
            await self._conversations.find_or_open(request),
            delivery_id=plan.delivery_id or str(uuid.uuid4()),
            deduplicated=plan.deduplicated and self._backends.of(request.agent).deduplication is not None,
        )

    async def _second_try(self, request: TurnRequest, turn: Turn, refused: FailureError) -> Turn:
        """What to send instead of what the backend has refused."""
        code, there = refused.failure.code, turn.conversation
        if code is FailureCode.CONVERSATION_GONE and there is not None and not request.ephemeral:
            return msgspec.structs.replace(turn, conversation=await self._conversations.replace(there, request))
        if code is FailureCode.CONVERSATION_STUCK and (copy := await self._conversations.fork(there, request)):
            return msgspec.structs.replace(turn, conversation=copy)
        raise refused

    async def _fate_of_stopped(self, progress: TurnProgress, stopped: Failure) -> Failure:
        failure, remembered = await self._recovery.fate_of_stopped(progress, stopped)
        progress.remember(remembered)
        return failure


def _without_trace(cause: str = "no run of it is known") -> Failure:
    """Looking again would not tell more."""
    detail = "The agent backend does not know what became of this message."
    return Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, cause, detail=detail)


def _now() -> float:
    return asyncio.get_running_loop().time()
