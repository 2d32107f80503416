"""What is known of one conversation on the App Server, from the frames of all connections that are subscribed to it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.letta_code.frames import Frame, LoopStatus, QueueItem, Runtime
from adapters.letta_code.turn_stream import TurnStream
from domain.model.events import ApprovalRequest
from domain.model.failures import Failure

IDLE = ("WAITING_ON_INPUT", "")
WAITS_FOR_APPROVAL = "WAITING_ON_APPROVAL"
# Begins the ids of all messages that are sent from here. After a point comes a number, if one has been used up.
OURS = "lettabot-"
_REMEMBERED = 200


def name_of(message_id: str) -> str:
    """What all ids have in common under which one message was sent."""
    return message_id.partition(".")[0]


class TurnEnd(msgspec.Struct, frozen=True):
    """How a turn ended."""

    stop_reason: str
    failure: Failure | None = None
    """What it was told as."""


class Conversation:
    """`ready_in`: the generation of connections in which it was last made ready (`Subscriptions`)."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.ready_in = 0
        self.lock = asyncio.Lock()
        self.stream: TurnStream | None = None
        """Of the turn whose answer somebody reads."""
        self.queue: Sequence[QueueItem] = ()
        self.left_over: set[str] = set()
        """The ids of messages that a crash has left unfinished: they must not begin again."""
        self.ends: dict[str, TurnEnd] = {}
        """By the name of the message: how its turn ended, as far as that was seen."""
        self._news = asyncio.Event()
        self._status = LoopStatus()
        self._status_at = ""
        self._asked: dict[str, tuple[str, ApprovalRequest]] = {}
        self._unfinished: dict[str, str] = {}
        self._used_up: dict[str, int] = {}
        self._turn_ids: dict[str, None] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a message that is sent now would wait, or join another turn."""
        return self._status.status not in IDLE or bool(self.queue) or bool(self._unfinished)

    @property
    def is_live(self) -> bool:
        """Whether anything goes on that needs the connections."""
        return self.stream is not None or bool(self._unfinished) or bool(self._asked)

    @property
    def has_run(self) -> bool:
        """Whether the turn that goes on has come so far that it can be stopped."""
        return bool(self._status.active_run_ids)

    def is_unfinished(self, name: str) -> bool:
        """Whether the end of the turn is still to come that this message, which was sent from here, has begun."""
        return name in self._unfinished or self.is_running(name)

    @property
    def is_idle(self) -> bool:
        """Whether the loop waits for input, whatever is in the queue."""
        return self._status.status in IDLE

    @property
    def waiting(self) -> Sequence[ApprovalRequest]:
        """The tool calls that wait for approval."""
        return [request for _, request in self._asked.values()] if self._waits_for_approval else []

    @property
    def approval_ids(self) -> dict[str, str]:
        """By the id of the call: under what the approval has to be given."""
        return {call_id: request_id for call_id, (request_id, _) in self._asked.items()}

    def is_running(self, name: str) -> bool:
        """Whether a turn goes on that began with this message."""
        runs = self._status.client_message_ids_by_run_id
        active = {name_of(each) for run in self._status.active_run_ids for each in runs.get(run, ())}
        return name in active or (not self.is_idle and name in self._unfinished)

    def is_queued(self, name: str) -> bool:
        return any(name_of(item.client_message_id or "") == name for item in self.queue)

    def id_for(self, name: str) -> str:
        """Under which this message is to be sent."""
        return f"{name}.{self._used_up[name]}" if name in self._used_up else name

    def begin(self, stream: TurnStream) -> None:
        self.stream = stream
        if stream.message_id is not None:
            self._unfinished[name_of(stream.message_id)] = stream.message_id
        else:
            stream.on_status(self._status)

    def refused(self, stream: TurnStream) -> None:
        """The server has not taken it. It takes nothing more under that id."""
        name = name_of(stream.message_id or "")
        self._unfinished.pop(name, None)
        self._used_up[name] = self._used_up.pop(name, 0) + 1
        _cut(self._used_up)

    def lose(self, stream: TurnStream, failure: Failure) -> None:
        """Nothing more of it is waited for. If it goes on all the same, the status will say so."""
        self._unfinished.pop(name_of(stream.message_id or ""), None)
        stream.lost(failure)

    def leave(self, stream: TurnStream) -> None:
        """Nobody reads it any more; the run may go on."""
        stream.is_read = False
        if stream.over and self.stream is stream:
            self.stream = None

    def all_lost(self) -> None:
        """Of what went on, nothing more will be heard."""
        self._status, self._status_at, self.queue = LoopStatus(), "", ()
        self._asked.clear()
        self.stream = None
        self.left_over |= set(self._unfinished.values())
        self._unfinished.clear()
        self._tell()

    async def news(self) -> None:
        """Return after the next frame."""
        self._news.clear()
        await self._news.wait()

    def take(self, frame: Frame) -> bool:
        """Whether what goes on there has to be stopped: a message is about to be delivered again."""
        is_again = False
        match frame.type:
            case "update_loop_status":
                self._take_status(frame)
            case "update_queue":
                self.queue = frame.queue
            case "control_request":
                self._take_control_request(frame)
            case "turn_finished":
                self._take_finished(frame)
            case "stream_delta" if frame.delta is not None:
                is_again = frame.delta.message_type == "user_message" and frame.delta.otid in self.left_over
                if self.stream is not None:
                    was_retrying = self.stream.is_retrying
                    self.stream.on_delta(frame.delta)
                    is_again = is_again or (self.stream.is_retrying and not was_retrying)
        self._tell()
        return is_again

    @property
    def _waits_for_approval(self) -> bool:
        return self._status.status == WAITS_FOR_APPROVAL

    def _tell(self) -> None:
        self._news.set()

    def _take_status(self, frame: Frame) -> None:
        # Each socket brings each status; the slower one's is older than what is known.
        if frame.loop_status is None or frame.emitted_at < self._status_at:
            return
        self._status, self._status_at = frame.loop_status, frame.emitted_at
        if not self._waits_for_approval:
            self._asked.clear()
        if self.stream is not None:
            self.stream.on_status(frame.loop_status)

    def _take_control_request(self, frame: Frame) -> None:
        request = frame.request
        if request is None or request.subtype != "can_use_tool" or frame.request_id is None:
            return
        arguments = json.dumps(request.input) if isinstance(request.input, dict) else ""
        asked = ApprovalRequest(request.tool_call_id, request.tool_name, arguments)
        if self.stream is not None and request.tool_call_id not in self._asked:
            self.stream.on_approval_request(asked)
        self._asked[request.tool_call_id] = (frame.request_id, asked)

    def _take_finished(self, frame: Frame) -> None:
        # It comes once from each socket.
        if frame.turn_id is None or frame.turn_id in self._turn_ids:
            return
        self._turn_ids[frame.turn_id] = None
        _cut(self._turn_ids)
        # One that had no run: of those that are sent from here there is one at a time.
        runs = self._status.client_message_ids_by_run_id
        ended = [*self._unfinished.values()] if frame.run_id is None else runs.get(frame.run_id, ())
        stream = self.stream
        if stream is not None:
            stream.on_finished(frame)
        for message_id in ended:
            failure = stream.failure if stream is not None and message_id == stream.message_id else None
            self.ends[name_of(message_id)] = TurnEnd(frame.stop_reason or "error", failure)
            self._unfinished.pop(name_of(message_id), None)
            self.left_over.discard(message_id)
        _cut(self.ends)
        if stream is not None and stream.over and not stream.is_read:
            self.stream = None


def _cut(kept: dict[str, Any]) -> None:
    while len(kept) > _REMEMBERED:
        del kept[next(iter(kept))]
