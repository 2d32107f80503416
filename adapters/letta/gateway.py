"""The Letta gateway: turns through the conversation routes of one server, read as raw bytes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

import httpx
import msgspec
from letta_client import APIStatusError, AsyncLetta, omit
from letta_client._response import AsyncAPIResponse

from adapters.letta.agent_directory import PAGE, AgentDirectory
from adapters.letta.client import BRIEF, ask
from adapters.letta.conversations import DEFAULT, LettaConversations
from adapters.letta.failures import (
    LETTA_ERRORS,
    failure_of_send,
    lacks_default_conversation,
    lacks_redis,
    run_that_holds_the_lock,
)
from adapters.letta.foreign_responses import doubt_answer, refuse_page
from adapters.letta.lenient_json import decoded, elements
from adapters.letta.message_body import body_of
from adapters.letta.record import Run, RunUsage, has_anonymous, run_of_delivery, run_record, waiting_calls
from adapters.letta.sse import SseDecoder
from adapters.letta.wire import TurnTranslator
from domain.model.agent import Agent
from domain.model.events import ApprovalRequest, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.run_record import RunRecord, RunSearch
from domain.model.turn import Turn
from ports.abilities import CannotDeduplicateError

# After an error Letta still writes down what became of the run, then it closes the stream.
END_WITHIN = 3.0
# Messages of a conversation among which a delivery, and those among which a request for approval, is looked for.
RECENT = 200
NEWEST = 20


class _ActiveRun(msgspec.Struct, frozen=True):
    conversation_id: Any = None


_run_decoder = msgspec.json.Decoder(Run)
_usage_decoder = msgspec.json.Decoder(RunUsage)
_active_run_decoder = msgspec.json.Decoder(_ActiveRun)

logger = logging.getLogger(__name__)


class LettaGateway:
    """`ports.AgentGateway` over one Letta server."""

    # Letta remembers an otid for three hours.
    delivery_ids_remembered_for = 2.5 * 3600
    # It costs each turn 100 ms.
    deduplicates_all = False
    # After that it has written down what a stopped run leaves behind.
    stop_recorded_within = 1.0

    def __init__(self, client: AsyncLetta) -> None:
        self._client = client
        self._directory = AgentDirectory(client)
        self._has_default_conversation = True
        conversations = LettaConversations(client)
        self.open_conversation = conversations.open
        self.close_conversation = conversations.delete
        self.fork_conversation = conversations.fork
        self.conversations = conversations.list
        self.rename_conversation = conversations.rename
        self.read_history = conversations.read

    async def agents(self) -> Sequence[Agent]:
        return await self._directory.all()

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        return await self._directory.find(name_or_id)

    async def check(self) -> None:
        await self._directory.check()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        translator = TurnTranslator(begins_with_tool=turn.verdict is not None)
        try:
            async with AsyncExitStack() as stack:
                answer = await self._send(turn, stack)
                refuse_page(answer.headers)
                decoder, stream = SseDecoder(), _received(answer)
                async for received in stream:
                    for data in decoder.feed(received):
                        for event in translator.events(data):
                            yield event
                    if translator.done or translator.answered:
                        break
                for event in await _tail(stream, decoder, translator):
                    yield event
                if not translator.accepted:
                    doubt_answer(answer.headers)
        except LETTA_ERRORS as error:
            if lacks_redis(error):
                raise CannotDeduplicateError from error
            if not translator.answered:
                raise FailureError(failure_of_send(error, translator.accepted)) from error
        _log_oddities(translator)
        for event in translator.end():
            yield event

    async def cancel(self, turn: Turn, run_id: str) -> None:
        """Always with the run's id: without one, Letta stops whatever ran last."""
        messages = self._client.agents.messages.with_raw_response
        await ask(messages.cancel(turn.agent.id, run_ids=[run_id], **BRIEF))

    async def record(self, turn: Turn, run_id: str) -> RunRecord | None:
        runs = self._client.runs
        # The status first: what is stored after it was read can only be more.
        try:
            run = decoded(_run_decoder, await ask(runs.with_raw_response.retrieve(run_id, **BRIEF)))
        except FailureError as error:
            # A page that says 404 knows nothing of Letta's runs.
            is_gone = isinstance(error.__cause__, APIStatusError) and error.__cause__.status_code == 404
            if is_gone and error.failure.code is not FailureCode.UPSTREAM_UNEXPECTED:
                return None
            raise
        if run is None:
            raise _unreadable()
        messages = await ask(runs.messages.with_raw_response.list(run_id, order="asc", limit=1000, **BRIEF))
        usage = None
        with suppress(FailureError):
            # Nobody's answer has to wait for that.
            usage = decoded(_usage_decoder, await ask(runs.usage.with_raw_response.retrieve(run_id, **BRIEF)))
        try:
            return run_record(turn, run, messages, usage)
        except msgspec.DecodeError:
            raise _unreadable() from None

    async def find_run(self, turn: Turn) -> RunSearch:
        """By the otid of the stored message. A message is stored when its first step is over (recorded)."""
        assert turn.delivery_id is not None  # noqa: S101
        # Those that are going on first: one that ends in the meantime has then stored its message.
        active = await ask(
            self._client.runs.with_raw_response.list(agent_id=turn.agent.id, active=True, limit=PAGE, **BRIEF)
        )
        try:
            messages = await self._newest_messages(turn, RECENT)
            run_id = run_of_delivery(messages, turn.delivery_id)
            alike = run_id is None and turn.message is not None and has_anonymous(messages, turn.message.text)
            runs = [decoded(_active_run_decoder, each) for each in elements(active)]
        except msgspec.DecodeError:
            raise _unreadable() from None
        # A run that cannot be read may be this turn's.
        here = any(
            run is None or run.conversation_id in (turn.conversation, turn.conversation or DEFAULT) for run in runs
        )
        return RunSearch(run_id, run_id is None and here, alike)

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        try:
            return waiting_calls(await self._newest_messages(turn, NEWEST))
        except msgspec.DecodeError:
            raise _unreadable() from None

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, turn: Turn, stack: AsyncExitStack) -> AsyncAPIResponse[Any]:
        # The conversation routes carry Letta's lock; the agent's own route has none.
        if turn.conversation is not None:
            return await stack.enter_async_context(self._into_conversation(turn))
        lacking = not self._has_default_conversation
        if lacking and turn.deduplicated:
            raise CannotDeduplicateError
        if not lacking:
            try:
                return await stack.enter_async_context(self._into_conversation(turn))
            except APIStatusError as error:
                # Older servers lack the route; they refuse before they deliver.
                lacking = lacks_default_conversation(error)
                if not lacking and not await self._is_left_locked(error):
                    raise
                if turn.deduplicated:
                    raise CannotDeduplicateError from error
        answer = await stack.enter_async_context(
            self._client.agents.messages.with_streaming_response.create(
                turn.agent.id, streaming=True, extra_body=body_of(turn)
            )
        )
        self._has_default_conversation = not lacking
        return answer

    def _into_conversation(self, turn: Turn) -> AbstractAsyncContextManager[AsyncAPIResponse[Any]]:
        # As an extra body, because the client turns its typed arguments inside out, which costs 0.3 ms.
        if turn.conversation is None:
            body = {**body_of(turn), "agent_id": turn.agent.id}
            return self._client.conversations.messages.with_streaming_response.create(DEFAULT, extra_body=body)
        return self._client.conversations.messages.with_streaming_response.create(
            turn.conversation, extra_body=body_of(turn)
        )

    async def _is_left_locked(self, busy: APIStatusError) -> bool:
        """Whether nobody is there any more who would unlock the agent's default history.

        Letta forgets that when a run is cancelled, and refuses messages for 5 minutes (recorded, 0.16.8)."""
        run_id = run_that_holds_the_lock(busy)
        if run_id is None:
            return False
        try:
            answer = await ask(self._client.runs.with_raw_response.retrieve(run_id, **BRIEF))
        except FailureError:
            return False
        run = decoded(_run_decoder, answer)
        return run is not None and run.status == "cancelled"

    async def _newest_messages(self, turn: Turn, limit: int) -> bytes:
        messages = self._client.conversations.messages.with_raw_response
        return await ask(
            messages.list(
                turn.conversation or DEFAULT,
                agent_id=omit if turn.conversation else turn.agent.id,
                order="desc",
                limit=limit,
                **BRIEF,
            )
        )


def _received(answer: AsyncAPIResponse[Any]) -> AsyncIterator[bytes]:
    """The bytes of an answer as they come, past httpx's own layers."""
    stream = answer.http_response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101
    return aiter(stream)


async def _tail(stream: AsyncIterator[bytes], decoder: SseDecoder, translator: TurnTranslator) -> list[TurnEvent]:
    """What comes after an end: the usage, an error. Letta closes the stream of a run that failed only when it has
    written down what became of it; a proxy may keep any stream open for long."""
    events: list[TurnEvent] = []
    with suppress(*LETTA_ERRORS):
        async with asyncio.timeout(END_WITHIN):
            while not (translator.done and translator.answered) and (received := await anext(stream, b"")):
                events += [event for data in decoder.feed(received) for event in translator.events(data)]
    return events


def _log_oddities(translator: TurnTranslator) -> None:
    if translator.skipped:
        logger.warning("%d events of Letta's stream could not be read, and were skipped", translator.skipped)
    if translator.unknown:
        logger.info("%d events of Letta's stream are of unknown types, and were skipped", translator.unknown)
    if translator.error_after_answer is not None:
        logger.warning("Letta reported an error after the end of an answer: %s", translator.error_after_answer[:80])


def _unreadable() -> FailureError:
    return FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "Letta's answer cannot be read"))
