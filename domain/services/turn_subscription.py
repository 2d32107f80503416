"""One client's hold on one turn."""

from collections.abc import Awaitable, Callable

import msgspec

from domain.model.events import Failed
from domain.model.failures import Failure
from domain.services.turn_log import TurnLog
from domain.services.turn_progress import TurnProgress


class TurnSubscription:
    """Has to be left, whatever happens. `stop` and `leave` are what `Turns` does then."""

    def __init__(
        self,
        log: TurnLog,
        progress: TurnProgress,
        is_replay: bool,
        stop: Callable[[], Awaitable[None]],
        leave: Callable[[bool, bool], None],
    ) -> None:
        self.reader = log.reader()
        self._progress = progress
        self._is_replay = is_replay
        self._stop = stop
        self._leave = leave
        self._has_left = False

    @property
    def replayed(self) -> bool:
        """Whether this answer was meant for an earlier request; in shared state, known with the first event."""
        return self._is_replay or self._progress.is_replay

    @property
    def response_id(self) -> str | None:
        """Of the response that this answer is; in shared state, known with the first event."""
        return self._progress.response_id

    @property
    def is_delivered(self) -> bool:
        """Whether the message may have reached the agent, as far as is known here."""
        return self._progress.attempt is not None

    def forbid_sending(self) -> None:
        """Find out what became of an earlier attempt, if there was one; but do not send the message."""
        self._progress.forbid_sending()

    async def stop(self) -> None:
        """Have the agent stop, as soon as that is possible."""
        await self._stop()

    def leave(self, whole: bool, will_ask_again: bool) -> None:
        """`whole`: the client got all there was. `will_ask_again`: it is one of those who do, when they time out."""
        if not self._has_left:
            self._has_left = True
            self._leave(whole, will_ask_again)


def repeated_failure(failure: Failure) -> TurnSubscription:
    """For a request that gets the failure of an earlier one again: there is no turn to wait for or to stop."""

    async def stop() -> None:
        pass

    log = TurnLog([Failed(msgspec.structs.replace(failure, repeated=True))])
    return TurnSubscription(log, TurnProgress(), is_replay=True, stop=stop, leave=lambda whole, will_ask_again: None)
