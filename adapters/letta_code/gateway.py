"""The Letta Code gateway: turns through one App Server, each delivered under an id that the server recognises."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any

from adapters.letta_code.conversation import Conversation, name_of
from adapters.letta_code.conversations import LettaCodeConversations
from adapters.letta_code.default_histories import DEFAULT, DefaultHistories
from adapters.letta_code.failures import UNFINISHED, refused, unavailable
from adapters.letta_code.frames import Frame, Runtime, StoredMessage
from adapters.letta_code.history import answer_to, record_of, stored
from adapters.letta_code.message_body import message_content, message_name_of, message_payload, verdict_payloads
from adapters.letta_code.socket import SocketLostError
from adapters.letta_code.subscriptions import Subscriptions, abort
from adapters.letta_code.turn_stream import TurnStream
from domain.model.agent import Agent
from domain.model.events import Accepted, ApprovalRequest, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.run_record import RunRecord, RunSearch
from domain.model.turn import Turn

# One request for all of them: the order of pages moves while they are read (recorded).
MOST_AGENTS = 100_000
# Messages of a conversation among which a delivery is looked for.
RECENT = 1_000
# Seconds.
# Without any sign of a message for so long, it is looked for; within so long a stop has to be taken.
SEEN_WITHIN = 8.0
STOPPED_WITHIN = 10.0
STOP_PAUSE = 0.1
HAS_RUN_WITHIN = 2.0
# Several calls that wait for approval are asked for one after the other.
ASKED_WITHIN = 0.3
# At the end, what still runs is stopped: a connection that is closed first leaves its conversation stuck.
CLOSED_WITHIN = 5.0

logger = logging.getLogger(__name__)


class LettaCodeGateway:
    """`ports.AgentGateway` with every ability, over one App Server. The run of a turn is named by its delivery id: the
    server's own names begin anew with each of its starts."""

    # Its ledger keeps ids for an hour.
    delivery_ids_remembered_for = 50 * 60.0
    deduplicates_all = True
    stop_recorded_within = 0.5

    def __init__(self, url: str, token: str | None, permissions: str) -> None:
        self._subscriptions = Subscriptions(url, token, permissions)
        self._connections = self._subscriptions.connections
        self._default_histories = DefaultHistories(self._subscriptions)
        conversations = LettaCodeConversations(self._ask)
        self.open_conversation = conversations.open
        self.close_conversation = conversations.archive
        self.fork_conversation = conversations.fork
        self.conversations = conversations.list
        self.rename_conversation = conversations.rename
        self.read_history = conversations.read

    async def agents(self) -> Sequence[Agent]:
        return await self._list_agents()

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        found = await self._list_agents(query_text=name_or_id)
        return [agent for agent in found if name_or_id in (agent.name, agent.id)]

    async def check(self) -> None:
        await self._ask("app_server_info")

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        content = message_content(turn.message) if turn.message is not None else None
        name = message_name_of(turn)
        conversation = await self._subscriptions.ready(_runtime(turn))
        if turn.conversation is None and turn.verdict is None:
            await self._default_histories.wait(conversation)
        _refuse_if_not_free(conversation, turn)
        stream = TurnStream(conversation.id_for(name) if content is not None else None)
        conversation.begin(stream)
        try:
            if content is not None and stream.message_id is not None:
                await self._deliver(conversation, stream, message_payload(content, stream.message_id))
                if stream.over and stream.failure is not None:
                    raise FailureError(stream.failure)
            for verdict in verdict_payloads(turn.verdict, conversation.approval_ids) if turn.verdict else ():
                await self._answer_approval(conversation, stream, verdict)
            yield Accepted(name)
            while not (stream.over and not stream.events):
                if not stream.events:
                    await self._wait(conversation, stream)
                events, stream.events = stream.events, []
                for event in events:
                    yield event
        finally:
            conversation.leave(stream)
        if stream.failure is not None:
            if stream.failure.delivery is Delivery.NO:
                conversation.refused(stream)
            if stream.failure.code is FailureCode.CONVERSATION_STUCK and turn.conversation is None:
                await self._default_histories.refuse_if_busy(await self.agents())
            raise FailureError(stream.failure)

    async def cancel(self, turn: Turn, run_id: str) -> None:
        conversation = await self._subscriptions.ready(_runtime(turn))
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPED_WITHIN):
                await self._stop(conversation, lambda: conversation.is_unfinished(run_id))

    async def record(self, turn: Turn, run_id: str) -> RunRecord | None:
        conversation = await self._subscriptions.ready(_runtime(turn))
        is_running, is_queued = conversation.is_running(run_id), conversation.is_queued(run_id)
        answer = answer_to(await self._messages(conversation.runtime), run_id)
        if conversation.is_running(run_id) != is_running:
            # It ended while the list was read.
            answer, is_running = (
                answer_to(await self._messages(conversation.runtime), run_id),
                conversation.is_running(run_id),
            )
        return record_of(answer, conversation.ends.get(run_id), is_running, is_queued)

    async def find_run(self, turn: Turn) -> RunSearch:
        name = message_name_of(turn)
        conversation = await self._subscriptions.ready(_runtime(turn))
        if answer_to(await self._messages(conversation.runtime), name) is not None:
            return RunSearch(name)
        return RunSearch(undecided=conversation.is_queued(name) or conversation.is_unfinished(name))

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        return (await self._subscriptions.ready(_runtime(turn))).waiting

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSED_WITHIN):
                # Those that wait for an approval are dropped by the server, and do no harm.
                stops = (self._stop_all(each) for each in self._subscriptions.live() if not each.waiting)
                await asyncio.gather(*stops, return_exceptions=True)
        except TimeoutError:
            logger.warning("Turns went on in Letta Code when its connections were closed; they are cut off there")
        await self._connections.close()

    async def _stop_all(self, conversation: Conversation) -> None:
        """Return when nothing goes on there any more."""
        await self._stop(conversation, lambda: conversation.is_live)
        while conversation.is_live:
            await conversation.news()

    async def _stop(self, conversation: Conversation, goes_on: Callable[[], bool]) -> None:
        """Return when it was told to stop. A turn that is stopped before it has a run leaves its conversation stuck now
        and then, so that is waited for, unless the model is silent: then there is no run for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HAS_RUN_WITHIN):
                while goes_on() and not conversation.has_run:
                    await conversation.news()
        while goes_on() and not await abort(self._connections, conversation):  # noqa: ASYNC110 - it is asked again
            await asyncio.sleep(STOP_PAUSE)

    async def _deliver(self, conversation: Conversation, stream: TurnStream, payload: dict[str, Any]) -> None:
        """Send the message. A socket that is lost before it was accepted is no doubt as long as there is the other
        one: there it is sent again under the same id, which the server knows if it has it."""
        for socket in self._connections.open_sockets:
            try:
                answer = await socket.ask("input", runtime=conversation.runtime, payload=payload)
            except SocketLostError:
                continue
            except TimeoutError:
                break
            if answer.accepted is False:
                conversation.refused(stream)
                raise FailureError(refused(answer.error))
            return
        unknown = Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "Letta Code did not accept it in time")
        conversation.lose(stream, unknown)

    async def _answer_approval(self, conversation: Conversation, stream: TurnStream, payload: dict[str, Any]) -> None:
        for socket in self._connections.open_sockets[:1]:
            try:
                answer = await socket.ask("input", runtime=conversation.runtime, payload=payload)
            except (SocketLostError, TimeoutError):
                break
            if answer.accepted is False:
                raise FailureError(refused(answer.error))
            return
        raise FailureError(Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "the approval may have come or not"))

    async def _wait(self, conversation: Conversation, stream: TurnStream) -> None:
        """Return when the stream has something new."""
        if not self._connections.open_sockets:
            stream.lost(Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "all connections", detail=UNFINISHED))
            return
        if stream.approvals:
            try:
                async with asyncio.timeout(ASKED_WITHIN):
                    await conversation.news()
            except TimeoutError:
                stream.wait_for_approvals()
            return
        try:
            async with asyncio.timeout(None if stream.is_seen else SEEN_WITHIN):
                await conversation.news()
        except TimeoutError:
            await self._look_for(conversation, stream)

    async def _look_for(self, conversation: Conversation, stream: TurnStream) -> None:
        """Nothing has come of a message that was accepted: the server has known its id before."""
        if stream.message_id is None or not conversation.is_idle:
            return
        name = name_of(stream.message_id)
        if conversation.is_queued(name):
            return
        if answer_to(await self._messages(conversation.runtime), name) is None:
            # It was refused the first time, before it had begun.
            failure = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "the id of the delivery is used up")
        else:
            failure = Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "it was delivered before")
        conversation.lose(stream, failure)

    async def _list_agents(self, **query: str) -> Sequence[Agent]:
        answer = await self._ask("agent_list", query={"limit": MOST_AGENTS, **query})
        # The server does not tell when an agent was made, and its own order moves with each message.
        return sorted((Agent(each.id, each.name or "", 0) for each in answer.agents), key=lambda agent: agent.id)

    async def _messages(self, runtime: Runtime) -> list[StoredMessage]:
        query = {"agent_id": runtime.agent_id, "limit": RECENT}
        answer = await self._ask("conversation_messages_list", conversation_id=runtime.conversation_id, query=query)
        return stored(answer.messages)

    async def _ask(self, kind: str, **fields: Any) -> Frame:
        """The answer to a question that delivers nothing. Raises `FailureError`."""
        first, _ = await self._connections.both()
        try:
            answer = await first.ask(kind, **fields)
        except (SocketLostError, TimeoutError) as error:
            raise unavailable(f"{kind}: {type(error).__name__}") from error
        if answer.success is False:
            raise FailureError(refused(answer.error))
        return answer


def _runtime(turn: Turn) -> Runtime:
    return Runtime(turn.agent.id, turn.conversation or DEFAULT)


def _refuse_if_not_free(conversation: Conversation, turn: Turn) -> None:
    """Inputs that come while something goes on would wait there, or be put together into one turn (recorded)."""
    waiting = tuple(request.call_id for request in conversation.waiting)
    if turn.verdict is not None:
        if set(turn.verdict.call_ids) & set(waiting):
            return
        if waiting:
            raise FailureError(Failure(FailureCode.APPROVAL_PENDING, Delivery.NO, "other calls wait", waiting=waiting))
        raise FailureError(Failure(FailureCode.APPROVAL_PENDING, Delivery.NO, "no call waits any more"))
    if waiting:
        raise FailureError(Failure(FailureCode.APPROVAL_PENDING, Delivery.NO, "a call waits", waiting=waiting))
    if conversation.is_busy:
        raise FailureError(Failure(FailureCode.CONVERSATION_BUSY, Delivery.NO, "its loop is not idle"))
