"""One turn at a time in each conversation, first come, first served; different conversations side by side."""

import asyncio
from collections.abc import Mapping

from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.model.lane import LaneKey

# Seconds: a guess at how long a turn takes, for clients that are told to come back.
_COME_BACK = 5


def queue_full(cause: str, places: int) -> BackendError:
    """Of a lane in which so many places are taken."""
    return BackendError(Failure(FailureCode.TURN_QUEUE_FULL, Delivery.NO, cause, retry_after=_COME_BACK * places))


class Place:
    """A place in a lane. It has to be left, whether its turn ever came or not."""

    def __init__(self, lanes: "Lanes", key: LaneKey) -> None:
        self._lanes = lanes
        self._key = key
        self._first = asyncio.get_running_loop().create_future()

    async def first(self) -> None:
        """Return when all that came before have left."""
        await self._first

    def leave(self) -> None:
        """Make way for the next one. Leaving twice is leaving once."""
        self._lanes.leave(self._key, self)

    def advance(self) -> None:
        if not self._first.done():
            self._first.set_result(None)


class Lanes:
    """`max_waiting` in one lane and `max_waiting_overall` in all, not counting those whose turn it is."""

    def __init__(self, max_waiting: int, max_waiting_overall: int) -> None:
        self._max_waiting = max_waiting
        self._max_waiting_overall = max_waiting_overall
        self._lanes: dict[LaneKey, list[Place]] = {}
        self._waiting = 0

    def enter(self, key: LaneKey) -> Place:
        """The last place of that lane; raises `BackendError` (`turn_queue_full`)."""
        lane = self._lanes.get(key)
        if lane is None:
            place = Place(self, key)
            self._lanes[key] = [place]
            place.advance()
            return place
        if len(lane) > self._max_waiting or self._waiting >= self._max_waiting_overall:
            cause = f"{self._waiting} turns are waiting, {len(lane) - 1} of them in this conversation"
            raise queue_full(cause, len(lane))
        place = Place(self, key)
        lane.append(place)
        self._waiting += 1
        return place

    def lengths(self) -> Mapping[LaneKey, int]:
        """Of each lane that is in use: how many wait behind the first."""
        return {key: len(lane) - 1 for key, lane in self._lanes.items()}

    def leave(self, key: LaneKey, place: Place) -> None:
        lane = self._lanes.get(key)
        if lane is None or place not in lane:
            return
        was_first = lane[0] is place
        lane.remove(place)
        if not was_first:
            self._waiting -= 1
        elif lane:
            self._waiting -= 1
            lane[0].advance()
        if not lane:
            del self._lanes[key]
