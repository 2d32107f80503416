"""One turn at a time in each conversation, first come, first served; different conversations side by side."""

import asyncio
import random
from collections.abc import Callable, Mapping

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.lane import LocalLaneKey
from domain.services.pace import Pace


class Place:
    """A place in a lane. It has to be left, whether its turn ever came or not."""

    def __init__(self, lanes: "Lanes", key: LocalLaneKey) -> None:
        self._lanes = lanes
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._first = self._loop.create_future()
        self._first_since = 0.0

    async def wait(self) -> None:
        """Return when all that came before have left."""
        await self._first

    def leave(self, carried_out: bool = True) -> None:
        """Make way for the next one. Leaving twice is leaving once. `carried_out`: it tells how long turns take."""
        self._lanes.leave(self._key, self, carried_out)

    def advance(self) -> None:
        if not self._first.done():
            self._first_since = self._loop.time()
            self._first.set_result(None)

    def waits_behind(self) -> int:
        """How many places of its lane are before it."""
        return self._lanes.before(self._key, self)

    def first_for(self) -> float:
        """Seconds since its turn came."""
        return self._loop.time() - self._first_since


class Lanes:
    """`max_waiting` in one lane and `max_waiting_overall` in all, not counting those whose turn it is.

    Those who are refused are told when to come back; `jitter`, from 0 to 1, keeps them from doing so together."""

    def __init__(self, max_waiting: int, max_waiting_overall: int, jitter: Callable[[], float] = random.random) -> None:
        self._max_waiting = max_waiting
        self._max_waiting_overall = max_waiting_overall
        self._lanes: dict[LocalLaneKey, list[Place]] = {}
        self._waiting = 0
        self._pace = Pace(jitter)

    def enter(self, key: LocalLaneKey) -> Place:
        """The last place of that lane; raises `FailureError` (`turn_queue_full`)."""
        lane = self._lanes.get(key)
        if lane is None:
            place = Place(self, key)
            self._lanes[key] = [place]
            place.advance()
            return place
        if len(lane) > self._max_waiting or self._waiting >= self._max_waiting_overall:
            cause = f"{self._waiting} turns are waiting, {len(lane) - 1} of them in this conversation"
            raise self.full(key, cause, len(lane))
        place = Place(self, key)
        lane.append(place)
        self._waiting += 1
        return place

    def full(self, key: LocalLaneKey, cause: str, places: int) -> FailureError:
        """Of a lane in which so many places are taken, here and elsewhere."""
        lane = self._lanes.get(key)
        come_back = self._pace.come_back_after(key[0], places, lane[0].first_for() if lane else 0.0)
        return FailureError(Failure(FailureCode.TURN_QUEUE_FULL, Delivery.NO, cause, retry_after=come_back))

    def come_back_after(self, key: LocalLaneKey) -> int:
        """Seconds after which all that are in this lane now have probably had their turn."""
        return self._pace.come_back_after(key[0], len(self._lanes.get(key, ())))

    def lengths(self) -> Mapping[LocalLaneKey, int]:
        """Of each lane that is in use: how many wait behind the first."""
        return {key: len(lane) - 1 for key, lane in self._lanes.items()}

    def before(self, key: LocalLaneKey, place: Place) -> int:
        lane = self._lanes.get(key, [])
        return lane.index(place) if place in lane else 0

    def leave(self, key: LocalLaneKey, place: Place, carried_out: bool) -> None:
        lane = self._lanes.get(key)
        if lane is None or place not in lane:
            return
        if lane[0] is place:
            if carried_out:
                self._pace.took(key[0], place.first_for())
            del lane[0]
            if lane:
                self._waiting -= 1
                lane[0].advance()
        else:
            lane.remove(place)
            self._waiting -= 1
        if not lane:
            del self._lanes[key]
