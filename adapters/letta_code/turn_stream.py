"""From the frames of one conversation to the turn events of one delivery. Pure: it is given frames, and sends none."""

import json
from collections.abc import Sequence

from adapters.letta_code.failures import failure_of_model, failure_of_turn
from adapters.letta_code.frames import Delta, Frame, LoopStatus, text_of
from domain.model.events import (
    ApprovalRequest,
    Ended,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    TurnEvent,
    Usage,
)
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure

# Pieces of runs that are not known to be ours yet.
MOST_HELD = 2_000
ENDED_WELL = ("end_turn", "max_tokens_exceeded")


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
        self.expected_approvals: frozenset[str] = frozenset()
        """The calls that the agent is going to ask approval for."""
        self._runs: set[str] = set()
        self._next: dict[str, int] = {}
        self._held: dict[str, dict[int, Delta]] = {}
        self._heard: set[tuple[str, str]] = set()
        self._results: dict[str, ToolResult] = {}
        self._approvals: dict[str, ApprovalRequest] = {}
        self._error = ""
        self._prompt_tokens = 0
        self._completion_tokens = 0

    @property
    def approvals(self) -> Sequence[ApprovalRequest]:
        """Asked for so far."""
        return tuple(self._approvals.values())

    def on_status(self, status: LoopStatus) -> None:
        """Which runs are of this turn is told only here."""
        mine = set(status.active_run_ids)
        if self.message_id is not None:
            # Old runs stay in that map: those of a message that was delivered before do not come again.
            runs = status.client_message_ids_by_run_id
            mine = {run for run in mine if self.message_id in runs.get(run, ())}
        for run in mine - self._runs:
            self._runs.add(run)
            self.is_seen = True
            self._play(run)

    def on_delta(self, delta: Delta) -> None:
        if self.over:
            return
        if not self.is_read:
            self.events.clear()
        run = delta.run_id
        if run is None:
            if delta.message_type == "loop_error" and self.message_id in delta.client_message_ids:
                self._error = delta.message or ""
        elif delta.seq_id is None:
            heard = (delta.message_type, delta.id)
            if run in self._runs and heard not in self._heard:
                self._heard.add(heard)
                self._translate(delta)
        elif self.message_id is None:
            # The run is not new, so its pieces need not begin with the first; others have dropped repeats.
            if run in self._runs:
                self._translate(delta)
        else:
            held = self._held.setdefault(run, {})
            if delta.seq_id >= self._next.get(run, 1) and len(held) < MOST_HELD:
                held[delta.seq_id] = delta
            if run in self._runs:
                self._play(run)

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
        elif any(self._held.get(run) for run in self._runs):
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

    def _play(self, run: str) -> None:
        """Each piece in its turn: the sockets may be at different ones."""
        held = self._held.get(run, {})
        number = self._next.get(run, 1)
        while (delta := held.pop(number, None)) is not None:
            number += 1
            self._next[run] = number
            self._translate(delta)

    def _translate(self, delta: Delta) -> None:
        self.is_seen = True
        match delta.message_type:
            case "assistant_message":
                if not self.is_retrying and (text := text_of(delta.content)):
                    self._flush_results()
                    self.events.append(Text(text))
            case "reasoning_message":
                if not self.is_retrying and delta.reasoning:
                    self._flush_results()
                    self.events.append(Reasoning(delta.reasoning))
            case "approval_request_message":
                if delta.tool_call is not None and not self.is_retrying:
                    self._flush_results()
                    call = delta.tool_call
                    self.events.append(ToolCall(call.tool_call_id, name=call.name))
                    if call.arguments:
                        self.events.append(ToolCall(call.tool_call_id, arguments=call.arguments))
            case "tool_return_message":
                # There may be two; the last one holds.
                if delta.tool_call_id:
                    text = delta.tool_return if isinstance(delta.tool_return, str) else json.dumps(delta.tool_return)
                    self._results[delta.tool_call_id] = ToolResult(delta.tool_call_id, text, delta.status != "error")
            case "approval_classification_end":
                self.expected_approvals |= set(delta.user_input_tool_call_ids)
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
