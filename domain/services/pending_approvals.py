"""How a turn gets past tool calls that wait for approval: a bounded number of tries, none of which can deliver twice.

A backend may list other calls than it waits for, or none. It is believed when it says which ones it expects."""

from collections.abc import Sequence

import msgspec

from domain.model.approvals import denial_of, verdict_of
from domain.model.events import ApprovalRequest
from domain.model.failures import Failure, FailureError
from domain.model.turn import Turn, TurnRequest, UserMessage
from domain.services.approval_guard import ApprovalGuard
from ports.abilities import ToolApprovals

MOST_TRIES = 5
# The id of no call at all: a verdict on it is refused, and the refusal names the calls that wait.
_NO_CALL = "unknown"


class PendingApprovals:
    """Of one turn; `plain` is how it is sent if nothing waits."""

    def __init__(
        self, approvals: ToolApprovals | None, guard: ApprovalGuard, request: TurnRequest, plain: Turn
    ) -> None:
        self._approvals = approvals
        self._guard = guard
        self._request = request
        self._plain = plain
        self._tries = 0
        self._names: dict[str, str] = {}

    async def next_turn(self, refused: Turn, failure: Failure) -> Turn:
        """What to deliver after the backend has refused that turn; raises `FailureError` if nothing is left to try."""
        message = self._plain.message
        self._tries += 1
        if message is None or self._tries == MOST_TRIES or self._tried_in_vain(refused, failure):
            raise FailureError(self._with_names(failure))
        plain = msgspec.structs.replace(self._plain, attempt=self._tries, conversation=refused.conversation)
        if refused.verdict is not None:
            if not failure.waiting:
                # Somebody else has answered in the meantime.
                return plain
            verdict, rest = denial_of(message, failure.waiting)
        elif waiting := await self._listed(refused, message):
            self._names |= {call.call_id: call.name for call in waiting}
            verdict, rest = await self._guard.verdict(self._request, message, waiting)
        else:
            verdict, rest = denial_of(message, failure.waiting or (_NO_CALL,))
        return msgspec.structs.replace(plain, verdict=verdict, message=rest)

    async def _listed(self, refused: Turn, message: UserMessage) -> Sequence[ApprovalRequest]:
        """Calls that cannot be listed can still be denied, but not approved."""
        if self._approvals is None:
            return ()
        try:
            return await self._approvals.approvals(refused)
        except FailureError:
            if verdict_of(message, ())[0].approve:
                raise
            return ()

    @staticmethod
    def _tried_in_vain(refused: Turn, failure: Failure) -> bool:
        verdict = refused.verdict
        return verdict is not None and not verdict.approve and set(verdict.call_ids) == set(failure.waiting)

    def _with_names(self, failure: Failure) -> Failure:
        waiting = failure.waiting or tuple(self._names)
        named = tuple(f"{self._names[id_]} ({id_})" if self._names.get(id_) else id_ for id_ in waiting)
        return msgspec.structs.replace(failure, waiting=named)
