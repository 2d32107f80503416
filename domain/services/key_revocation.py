"""Ends what goes on for API keys that were revoked or have expired."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence, Set

from domain.model.failures import FailureError
from domain.services.api_keys import ApiKeys
from domain.services.jobs import Jobs
from domain.services.turns import Turns

# Seconds between two looks, if there is anything that belongs to a key which can be revoked.
LOOK_EVERY = 1.0

logger = logging.getLogger(__name__)


class KeyRevocation:
    """Of one process; each looks after its own turns, and after all jobs."""

    def __init__(self, keys: ApiKeys, turns: Turns, jobs: Jobs) -> None:
        self._keys = keys
        self._turns = turns
        self._jobs = jobs

    async def watch(self) -> None:
        """Until it is cancelled. Turns do not wait until somebody's many jobs are cancelled."""
        await asyncio.gather(self._again_and_again(self._end_turns), self._again_and_again(self._cancel_jobs))

    async def _again_and_again(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await look()
            except FailureError as error:
                # The next look is soon. Nobody is taken for revoked because that cannot be known.
                logger.debug("Whether all API keys still hold cannot be seen: %s", error)
            except Exception:
                logger.exception(
                    "What belongs to revoked API keys could not be ended, because of a bug in this service"
                )

    async def _end_turns(self) -> None:
        for owner in await self._without_key(self._turns.owners()):
            self._turns.end_turns_of(owner)

    async def _cancel_jobs(self) -> None:
        for owner in await self._without_key(self._jobs.owners()):
            await self._jobs.cancel_jobs_of(owner)

    async def _without_key(self, owners: Set[str]) -> Sequence[str]:
        return [owner for owner in owners if await self._keys.holder(owner) is None]
