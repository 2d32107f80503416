"""From the bytes of a streamed chat completion to turn events. Pure."""

from typing import Any

import msgspec

from domain.model.events import Ended, Reasoning, Text, TurnEvent, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

# Bytes. Longer lines are no chunks.
LONGEST_LINE = 10_000_000
_DATA = b"data:"
_DONE = b"[DONE]"


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta | None = None
    message: _Delta | None = None
    """Of an answer that came whole."""
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class CompletionStream:
    """`feed` it the bytes as they come; `end` says how it ended. Both raise `FailureError`."""

    def __init__(self, is_stream: bool) -> None:
        self._is_stream = is_stream
        """Servers that cannot stream answer with one JSON object."""
        self._rest = b""
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self.is_done = False

    def feed(self, data: bytes) -> list[TurnEvent]:
        self._rest += data
        if len(self._rest) > LONGEST_LINE:
            raise FailureError(_unreadable("a line is too long"))
        if not self._is_stream:
            return []
        *lines, self._rest = self._rest.split(b"\n")
        events: list[TurnEvent] = []
        for line in lines:
            if line.startswith(_DATA):
                self._take(line[len(_DATA) :].strip(), events)
        return events

    def end(self) -> list[TurnEvent]:
        """The last events, when the server has closed the answer."""
        events: list[TurnEvent] = []
        if not self._is_stream:
            self._take(self._rest, events)
        elif self._rest.startswith(_DATA):
            self._take(self._rest[len(_DATA) :].strip(), events)
        if self._finish_reason is None and not self.is_done:
            raise FailureError(Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "the answer has no end"))
        if self._usage is not None:
            events.append(self._usage)
        events.append(Ended(cut_off=self._finish_reason == "length"))
        return events

    def _take(self, data: bytes, events: list[TurnEvent]) -> None:
        if data == _DONE:
            self.is_done = True
            return
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            raise FailureError(_unreadable("it is not what OpenAI's API answers")) from None
        if chunk.error is not None:
            raise FailureError(Failure(FailureCode.LLM_ERROR, Delivery.YES, "an error in the stream"))
        if chunk.usage is not None:
            self._usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices[:1]:
            said = choice.delta or choice.message
            if said is not None and said.reasoning_content:
                events.append(Reasoning(said.reasoning_content))
            if said is not None and said.content:
                events.append(Text(said.content))
            self._finish_reason = choice.finish_reason or self._finish_reason


def _unreadable(cause: str) -> Failure:
    return Failure(FailureCode.ANSWER_INCOMPLETE, Delivery.YES, cause)
