"""The default histories of all agents take turns: the local backend of Letta Code 0.34.12 runs one conversation named
"default" at a time, whosever it is, and refuses others as if they were stuck (measured)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from adapters.letta_code.conversation import Conversation
from adapters.letta_code.frames import Runtime
from adapters.letta_code.subscriptions import Subscriptions
from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

DEFAULT = "default"
# Seconds. Who waits longer is refused, and comes again: so that a turn whose client has gone is not delivered.
WAITS = 2.0
# So long all agents are asked.
ASKED_WITHIN = 10.0


class DefaultHistories:
    """Of the agents of one App Server, as far as this process knows."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._first_come = asyncio.Lock()

    async def wait(self, conversation: Conversation) -> None:
        """Return when no other one is busy. Raises `FailureError` (`conversation_busy`)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WAITS), self._first_come:
                while (other := self._busy(conversation)) is not None:
                    await other.news()
        if self._busy(conversation) is not None:
            raise _busy()

    async def refuse_if_busy(self, agents: Sequence[Agent]) -> None:
        """Raises `FailureError` (`conversation_busy`) if one of these agents is, for whichever process; else the
        refused one is stuck indeed."""
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                for agent in agents:
                    if not (await self._subscriptions.ready(Runtime(agent.id, DEFAULT))).is_idle:
                        raise _busy()
        except TimeoutError:
            # With so many agents nobody can say; whoever comes again may find it free.
            raise _busy() from None

    def _busy(self, conversation: Conversation) -> Conversation | None:
        for each in self._subscriptions.live():
            if each.runtime.conversation_id == DEFAULT and each is not conversation and not each.waiting:
                return each
        return None


def _busy() -> FailureError:
    cause = "another agent's default history is busy, and Letta Code runs one at a time"
    return FailureError(Failure(FailureCode.CONVERSATION_BUSY, Delivery.NO, cause))
