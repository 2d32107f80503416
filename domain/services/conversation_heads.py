"""Which response was the last thing said in each conversation, and whether a request may go on from the one it names.

Only chats have a last response: in an agent's default history, others talk as well."""

import asyncio
import logging
import math

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.lane import LaneKey, name_of
from domain.model.turn import TurnRequest
from ports.response_store import ResponseStore

# Seconds after which it is looked again whether there is any response whose conversation somebody may go on with.
_LOOK_EVERY = 5.0
# Seconds between tries while the state takes nothing, and conversations that are written at each.
TRY_EVERY = 3.0
MOST_UNWRITTEN = 1_000

logger = logging.getLogger(__name__)


class ConversationHeads:
    """In one response store."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store
        self._is_used = False
        self._look_at = -math.inf
        # By lane, what the state has not taken yet.
        self._unwritten: dict[str, str] = {}
        self._writing: asyncio.Task[None] | None = None

    async def check(self, request: TurnRequest) -> None:
        """Raises `FailureError` (`previous_response_not_last`, `state_unavailable`). To be called when it is the turn's
        time: what is said before that counts as well."""
        asked = request.response
        if asked is None or asked.follows is None or request.chat is None:
            return
        head = await self._store.head(name_of(request.lane))
        if head is not None and head not in (asked.follows, asked.record.id):
            raise FailureError(Failure(FailureCode.PREVIOUS_RESPONSE_NOT_LAST, Delivery.NO))

    async def move(self, request: TurnRequest) -> None:
        """The message of this request was delivered. Return when other processes know that; does not raise."""
        if request.chat is None or request.ephemeral:
            return
        # What cannot be asked for cannot be gone on from.
        head = request.response.record.id if request.response is not None and request.response.is_stored else ""
        await self._move(request.lane, head)

    async def leave(self, lane: LaneKey) -> None:
        """This chat goes to another conversation now: nobody goes on there from what was said before. As `move`."""
        if lane[1] is not None:
            await self._move(lane, "")

    async def _move(self, lane_key: LaneKey, head: str) -> None:
        lane = name_of(lane_key)
        if not head and not await self._may_matter():
            return
        self._is_used = True
        self._unwritten[lane] = head
        try:
            await self._store.move_head(lane, head)
        except FailureError as error:
            logger.warning("Which response is the last of a conversation could not be written yet: %s", error)
            if self._writing is None:
                self._writing = asyncio.create_task(self._write_later())
        else:
            self._unwritten.pop(lane, None)

    async def _write_later(self) -> None:
        """Until the state has taken all of them."""
        while self._unwritten:
            await asyncio.sleep(TRY_EVERY)
            for lane, head in [*self._unwritten.items()][:MOST_UNWRITTEN]:
                try:
                    await self._store.move_head(lane, head)
                except FailureError:
                    break
                if self._unwritten.get(lane) == head:
                    del self._unwritten[lane]
        self._writing = None

    async def _may_matter(self) -> bool:
        """Most services have no responses: their turns need no write for them."""
        now = asyncio.get_running_loop().time()
        if not self._is_used and now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            try:
                self._is_used = await self._store.is_used()
            except FailureError as error:
                logger.warning("Whether there are responses cannot be seen: %s", error)
        return self._is_used
