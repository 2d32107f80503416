"""From the frames of one conversation to the turn events of one delivery. Pure: it is given frames, and sends none."""

from collections.abc import Iterator, Sequence

from adapters.letta_code.failures import failure_of_model, failure_of_turn
from adapters.letta_code.frames import Delta, Frame, LoopStatus
from adapters.letta_code.message_events import events_in
from domain.model.events import ApprovalRequest, Ended, ToolCall, ToolResult, TurnEvent, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure

# Pieces of one run that wait for one before them, or for the word that the run is ours.
MOST_HELD = 2_000
# The last numbered piece of a run; and those that are about the turn, and not about the answer.
_LAST = "stop_reason"
_AT_ONCE = ("loop_error", "retry")
ENDED_WELL = ("end_turn", "max_tokens_exceeded")


class _Run:
    """What has come of one run: numbered pieces, the last of which says why it stopped, then what its tools gave."""

    def __init__(self) -> None:
        self.is_joined = False
        """Its first pieces are not for this turn."""
        self.is_whole = False
        self.after: list[Delta] = []
        """Pieces without a number: they come when the numbered ones are over."""
        self._next = 1
        self._held: dict[int, Delta] = {}

    def hold(self, delta: Delta) -> None:
        number = delta.seq_id or 0
        if number >= self._next and len(self._held) < MOST_HELD:
            self._held[number] = delta

    def ready(self) -> Iterator[Delta]:
        """What may be handed on now; each piece once."""
        if self.is_joined and self._held:
            self._next = min(self._held)
        while (delta := self._held.pop(self._next, None)) is not None:
            self._next += 1
            self.is_whole = self.is_whole or delta.message_type == _LAST
            yield delta
        if self.is_joined or self.is_whole:
            self.is_whole = True
            after, self.after = self.after, []
            yield from after


class TurnStream:
    """`message_id`: with which the message is sent; None for a verdict, which goes on with whatever runs.

    `events` are those to hand on; when it is `over`, `failure` says why if it did not end well."""

    def __init__(self, message_id: str | None) -> None:
        self.message_id = message_id
        self.events: list[TurnEvent] = []
        self.over = False
        self.failure: Failure | None = None
        self.is_seen = False
        """Anything of it has come."""
        self.is_retrying = False
        """The model has failed, and Letta Code is about to deliver the message again: it has to be stopped."""
        self.is_read = True
        """Somebody waits for its events. After a hang-up it goes on, without."""
        self._runs: dict[str, _Run] = {}
        """Its runs, one for each step, in their order."""
        self._unknown: dict[str, _Run] = {}
        self._heard: set[tuple[str, str]] = set()
        self._results: dict[str, ToolResult] = {}
        self._returned_at: dict[str, str] = {}
        self._unanswered: set[str] = set()
        self._approvals: dict[str, ApprovalRequest] = {}
        self._error = ""
        self._prompt_tokens = 0
        self._completion_tokens = 0

    @property
    def approvals(self) -> Sequence[ApprovalRequest]:
        """Asked for so far."""
        return tuple(self._approvals.values())

    def on_status(self, status: LoopStatus) -> None:
        """Which runs are of this turn is told only here. The map keeps those that are over."""
        runs = status.client_message_ids_by_run_id
        for name in status.active_run_ids if self.message_id is None else runs:
            if self.message_id is not None and self.message_id not in runs[name]:
                continue
            # A message that was delivered before has old runs, of which nothing comes any more.
            self.is_seen = self.is_seen or name in status.active_run_ids
            if name not in self._runs:
                # A verdict goes on with a run whose first pieces came before.
                run = self._unknown.pop(name, None) or _Run()
                run.is_joined = self.message_id is None
                self._runs[name] = run
        self._play()

    def on_delta(self, delta: Delta) -> None:
        if self.over:
            return
        if not self.is_read:
            self.events.clear()
        name = delta.run_id
        if name is None:
            if delta.message_type == "loop_error" and self.message_id in delta.client_message_ids:
                self._error = delta.message or ""
            return
        run = self._runs.get(name)
        if run is None:
            run = self._unknown.setdefault(name, _Run())
        if delta.seq_id is not None:
            run.hold(delta)
        elif (delta.message_type, delta.id) not in self._heard:
            self._heard.add((delta.message_type, delta.id))
            if delta.message_type in _AT_ONCE and name in self._runs:
                self._translate(delta)
            else:
                run.after.append(delta)
        self._play()

    def on_approval_request(self, request: ApprovalRequest) -> None:
        self._approvals[request.call_id] = request

    def on_finished(self, frame: Frame) -> None:
        """The end of a turn in this conversation, perhaps of this one."""
        if self.over:
            return
        if frame.run_id is None:
            # It failed before it had a run. Of others' turns only one that was queued before could be meant.
            if self._runs:
                return
            self._end(failure_of_turn(frame.error or self._error, is_begun=False))
            return
        if frame.run_id not in self._runs:
            return
        self.is_seen = True
        stop = frame.stop_reason or ""
        if self.is_retrying:
            self._end(failure_of_model(self._error))
        elif stop in ENDED_WELL and (self._unanswered or any(not run.is_whole for run in self._runs.values())):
            self._end(Failure(FailureCode.ANSWER_INCOMPLETE, Delivery.YES, "pieces of the answer are missing"))
        elif stop in ENDED_WELL:
            self._end(None, cut_off=stop == "max_tokens_exceeded")
        elif stop == "cancelled":
            self._end(Failure(FailureCode.CANCELLED, Delivery.YES, "it was stopped"))
        else:
            self._end(failure_of_turn(frame.error or self._error or stop, is_begun=True))

    def wait_for_approvals(self) -> None:
        """The agent does not go on before somebody approves or denies: that ends this turn."""
        if not self.over:
            self._end(None)

    def lost(self, failure: Failure) -> None:
        """Nothing more of it will come."""
        if not self.over:
            self.failure, self.over = failure, True

    def _play(self) -> None:
        """Each piece in its turn: the sockets may be at different ones, even in different runs."""
        for run in self._runs.values():
            for delta in run.ready():
                self._translate(delta)
            if not run.is_whole:
                return

    def _translate(self, delta: Delta) -> None:
        self.is_seen = True
        match delta.message_type:
            case "assistant_message" | "reasoning_message" | "approval_request_message":
                if not self.is_retrying and (events := events_in(delta)):
                    self._flush_results()
                    self.events += events
                    self._unanswered |= {event.call_id for event in events if isinstance(event, ToolCall)}
            case "tool_return_message":
                # There may be two; the one holds that was made last.
                for result in events_in(delta):
                    if isinstance(result, ToolResult) and delta.date >= self._returned_at.get(result.call_id, ""):
                        self._returned_at[result.call_id] = delta.date
                        self._unanswered.discard(result.call_id)
                        self._results[result.call_id] = result
            case "usage_statistics":
                self._prompt_tokens += delta.prompt_tokens
                self._completion_tokens += delta.completion_tokens
            case "loop_error":
                self._error = delta.message or ""
            case "retry":
                self.is_retrying = True
            case _:
                pass

    def _flush_results(self) -> None:
        self.events += self._results.values()
        self._results.clear()

    def _end(self, failure: Failure | None, cut_off: bool = False) -> None:
        self._flush_results()
        self.failure, self.over = failure, True
        if failure is None:
            if self._prompt_tokens or self._completion_tokens:
                self.events.append(Usage(self._prompt_tokens, self._completion_tokens))
            self.events += self._approvals.values()
            self.events.append(Ended(cut_off))
