"""Who may approve what an agent wants to do. A chat is its key's own. The agent's default history is everybody's:
there, only the key that was asked may approve, or the main key."""

import logging
from collections.abc import Sequence

from domain.model.approvals import refusal_of, verdict_of
from domain.model.events import ApprovalRequest, TurnEvent
from domain.model.failures import FailureError
from domain.model.turn import TurnRequest, UserMessage, Verdict
from ports.approval_store import ApprovalStore

logger = logging.getLogger(__name__)


class ApprovalGuard:
    """Remembers who was asked, where that is needed."""

    def __init__(self, store: ApprovalStore) -> None:
        self._store = store

    async def remember_asked(self, request: TurnRequest, events: Sequence[TurnEvent]) -> None:
        """This is what whoever made that request has been told."""
        if not _is_everybodys(request):
            return
        calls = [event.call_id for event in events if isinstance(event, ApprovalRequest)]
        if not calls:
            return
        try:
            await self._store.keep(request.agent.key, calls, request.owner)
        except FailureError as error:
            logger.warning("Who was asked for an approval cannot be kept; only the main key can give it: %s", error)

    async def verdict(
        self, request: TurnRequest, message: UserMessage, waiting: Sequence[ApprovalRequest]
    ) -> tuple[Verdict, UserMessage | None]:
        """What this message means for the calls that wait, and what is left of it to be delivered.

        Raises `FailureError` (`state_unavailable`)."""
        verdict, rest = verdict_of(message, waiting)
        if verdict.approve and _is_everybodys(request):
            asked = await self._store.asked_of(request.agent.key, request.owner)
            if not asked >= set(verdict.call_ids):
                return refusal_of(waiting), None
        return verdict, rest


def _is_everybodys(request: TurnRequest) -> bool:
    """Whether somebody else may have been asked where this request is going, and this is not the main key's."""
    return bool(request.owner) and request.chat is None and not request.ephemeral
