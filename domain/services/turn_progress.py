"""How far one turn has come: its log, its attempt to deliver the message, and whether it is to stop.

Each of these changes only here. Services tell what has happened; clients read the log."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from domain.model.events import Accepted, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn
from domain.services.milestones import Milestones
from domain.services.turn_log import TurnLog


class Attempt(msgspec.Struct, frozen=True):
    """One attempt to deliver the message of a turn."""

    turn: Turn
    is_accepted: bool = False
    """The backend has taken the message."""
    run_id: str | None = None
    """The backend's name of the run, if it has told one."""
    begins_at: int = 0
    """How many events the log held when the run began."""


class TurnProgress:
    """Of one turn. `is_wanted` says whether anybody still waits for it.

    `response_id`: of a turn whose answer has an id. Its pieces stay as they came, because they have numbers."""

    def __init__(self, is_wanted: Callable[[], bool] = lambda: True, response_id: str | None = None) -> None:
        self._is_wanted = is_wanted
        self._keeps_pieces = response_id is not None
        self._own_response_id = self._response_id = response_id
        self._log = TurnLog()
        self._attempt: Attempt | None = None
        self._stop_code: FailureCode | None = None
        self._may_send, self._is_replay = True, False
        self._remembered: Sequence[TurnEvent] = ()
        self._run_id: str | None = None
        self._on_run: Callable[[str | None], None] | None = None
        self._acceptance: asyncio.Future[None] | None = None
        self.milestones = Milestones()

    @property
    def log(self) -> TurnLog:
        """What clients read."""
        return self._log

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that is under way; None before the first one, and after the backend has refused one."""
        return self._attempt

    @property
    def delivery(self) -> Delivery:
        """Whether the agent may remember the message. Before the first event of an attempt nobody knows."""
        if self._attempt is None:
            return Delivery.NO
        return Delivery.YES if self._attempt.is_accepted else Delivery.UNKNOWN

    @property
    def run_id(self) -> str | None:
        """Of the last run, as far as the backend has named it."""
        return self._run_id

    @property
    def stop_code(self) -> FailureCode | None:
        """Why the turn is being stopped; None while it is not."""
        return self._stop_code

    @property
    def remembered(self) -> Sequence[TurnEvent]:
        """Of a stopped turn: what the agent remembers of it."""
        return self._remembered

    @property
    def may_send(self) -> bool:
        """False: an earlier attempt is still looked for, so that it can be stopped, but nothing is sent any more."""
        return self._may_send

    @property
    def is_replay(self) -> bool:
        """The log holds what was meant for an earlier request, which came to another process."""
        return self._is_replay

    @property
    def response_id(self) -> str | None:
        """Of the response that the log holds; in shared state it is known with the first event."""
        return self._response_id

    def as_kept(self, events: Sequence[TurnEvent]) -> Sequence[TurnEvent]:
        """These events as they are kept when the turn has ended."""
        return events if self._keeps_pieces else TurnLog(events).folded().events

    def events_of_run(self) -> Sequence[TurnEvent]:
        """What the log holds of the run that is under way."""
        return self._log.events[self._attempt.begins_at if self._attempt is not None else 0 :]

    def write(self, event: TurnEvent) -> None:
        """Add an event to the log, for the clients."""
        self._log.append(event)

    def answer_as(self, response_id: str | None) -> None:
        """What the log holds, or is going to hold, is the answer with that id. None: it has no id."""
        if response_id is not None:
            self._response_id = response_id

    def replay(self, events: Iterable[TurnEvent], ended_at: float | None = None) -> None:
        """Write the events of an earlier turn, which ended then."""
        self._is_replay = True
        self.inherit(events, ended_at)

    def inherit(self, events: Iterable[TurnEvent], ended_at: float | None = None) -> None:
        """Write what a stopped turn of the same request has left behind."""
        for event in events:
            self._log.append(event, ended_at)

    def begin_attempt(self, turn: Turn) -> None:
        """The message is about to be sent. Raises `FailureError` if the turn was stopped, or nobody waits for it."""
        if self._stop_code is not None:
            raise FailureError(Failure(self._stop_code, Delivery.NO, "the turn was stopped while it waited"))
        if not self._is_wanted():
            raise FailureError(Failure(FailureCode.CANCELLED, Delivery.NO, "the client hung up while the turn waited"))
        self._attempt = Attempt(turn)
        self.milestones.sent()

    def resume_attempt(self, turn: Turn, run_id: str | None) -> None:
        """The message was sent by another process, perhaps. Raises as `begin_attempt` does."""
        self._is_replay = True
        self._run_id = run_id
        self.begin_attempt(turn)

    def accepted(self, run_id: str | None) -> None:
        """The backend has taken the message; the log holds its `Accepted` already."""
        assert self._attempt is not None  # noqa: S101
        self._attempt = Attempt(self._attempt.turn, is_accepted=True, begins_at=len(self._log.events))
        self._name_run(run_id)
        self.milestones.accepted()

    def found_run(self, run_id: str) -> None:
        """The run was found of a message of which the backend has named none, or has not even said that it took it."""
        assert self._attempt is not None  # noqa: S101
        if self._attempt.is_accepted:
            self._name_run(run_id)
        else:
            self._log.append(Accepted(run_id))
            self.accepted(run_id)

    def refused(self) -> None:
        """The message was not delivered: another attempt may follow."""
        self._attempt = self._run_id = None

    def deliver_anew(self) -> None:
        """Nothing is left of an earlier attempt: what is written from now on is meant for this request."""
        self.refused()
        self._is_replay, self._response_id = False, self._own_response_id

    def stop(self, code: FailureCode) -> None:
        """The turn is to stop as soon as that is possible."""
        self._stop_code = code

    def forbid_sending(self) -> None:
        """Nothing is to be sent any more."""
        self._may_send = False

    def remember(self, events: Sequence[TurnEvent]) -> None:
        """The turn was stopped, and the agent remembers this of it."""
        self._remembered = events

    def tell_run(self, callback: Callable[[str | None], None]) -> None:
        """The callback is called when the run of the message is known."""
        self._on_run = callback

    async def run_to_stop(self) -> tuple[Turn, str] | None:
        """The turn and its run, as soon as the backend has taken the message; None if its run has no name."""
        if self._attempt is None or not self._attempt.is_accepted:
            self._acceptance = asyncio.get_running_loop().create_future()
            await self._acceptance
        attempt = self._attempt
        return (attempt.turn, attempt.run_id) if attempt is not None and attempt.run_id else None

    def ended(self) -> None:
        """Only the log is still needed, for those who ask again; it is kept small."""
        self._log = self._log.closed() if self._keeps_pieces else self._log.folded()
        self._attempt = None
        self._on_run = None

    def _name_run(self, run_id: str | None) -> None:
        assert self._attempt is not None  # noqa: S101
        self._attempt = msgspec.structs.replace(self._attempt, run_id=run_id)
        self._run_id = run_id
        if self._on_run is not None:
            self._on_run(run_id)
        if self._acceptance is not None and not self._acceptance.done():
            self._acceptance.set_result(None)
