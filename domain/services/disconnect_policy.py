"""What becomes of a turn whose clients have gone: it is stopped or not, as the operator wants it."""

import asyncio

from domain.model.turn_rules import OnDisconnect, TurnRules
from domain.services.live_turn import LiveTurn
from domain.services.turn_stopper import TurnStopper

# Seconds for which a turn that lost its last reader is left alone: clients that lost a connection come back at once.
GRACE = 2.0


class DisconnectPolicy:
    """Of one process. Nothing is stopped any more once it is closed."""

    def __init__(self, stopper: TurnStopper, rules: TurnRules) -> None:
        self._stopper = stopper
        self._rules = rules
        self._graces: dict[LiveTurn, asyncio.TimerHandle] = {}
        self._is_closed = False

    def lost_last_reader(self, live: LiveTurn) -> None:
        """Nobody reads this turn, which goes on."""
        self._graces[live] = asyncio.get_running_loop().call_later(GRACE, self._abandoned, live)

    def came_back(self, live: LiveTurn) -> None:
        """Somebody reads it (again)."""
        if (grace := self._graces.pop(live, None)) is not None:
            grace.cancel()

    def close(self) -> None:
        """The service stops: agents finish their turns without it."""
        self._is_closed = True

    def _abandoned(self, live: LiveTurn) -> None:
        self._graces.pop(live, None)
        if live.progress.log.ended or self._is_closed:
            return
        if not self._stopper.can_stop(live):
            return
        is_waiting = live.progress.attempt is None
        match self._rules.on_disconnect:
            case OnDisconnect.CANCEL:
                is_to_stop = True
            case OnDisconnect.AUTO:
                is_to_stop = is_waiting or not live.audience.must_finish
            case OnDisconnect.FINISH:
                is_to_stop = is_waiting
        if is_to_stop:
            self._stopper.in_background(live, self._stop_unless_wanted(live))

    async def _stop_unless_wanted(self, live: LiveTurn) -> None:
        """A retry that has come to another process waits there for what this turn will have said."""
        is_wanted = live.progress.attempt is not None and await live.place.has_remote_waiter()
        if not is_wanted and not live.audience.is_watched:
            await self._stopper.cancel(live)
