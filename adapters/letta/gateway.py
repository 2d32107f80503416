"""The Letta gateway: agents from Letta's list, turns through its conversation routes, read as raw bytes."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Literal, TypedDict

import httpx
import msgspec
from letta_client import APIStatusError, AsyncLetta, Omit, omit
from letta_client._response import AsyncAPIResponse

from adapters.letta.failures import (
    LETTA_ERRORS,
    failure_of_list,
    failure_of_opening,
    failure_of_question,
    failure_of_send,
    lacks_default_conversation,
    lacks_redis,
    run_that_holds_the_lock,
)
from adapters.letta.network import http_client
from adapters.letta.record import Run, RunUsage, run_of_delivery, run_record, waiting_calls
from adapters.letta.send import body_of
from adapters.letta.sse import SseDecoder
from adapters.letta.strangers import knows_no_agent, refuse_page
from adapters.letta.wire import AgentHead, TurnTranslator
from domain.model.agent import Agent
from domain.model.events import ApprovalRequest, TurnEvent
from domain.model.failures import BackendError
from domain.model.turn import Turn
from ports.agent_gateway import CannotDeduplicateError, RunRecord, RunSearch

# Seconds. Letta pings every 20 s of silence, so this long without a byte is a broken connection.
SILENCE = 90.0
CONNECT = 5.0
# Whoever waits for a list of agents, waits less.
QUESTION = 15.0
# Letta's own server closes idle connections after 5 s, and a POST on a dying connection has an unknown delivery.
KEEP_ALIVE = 2.0
PAGE = 100
# Messages of a conversation among which a delivery is looked for.
RECENT = 200


def _timeout(silence: float) -> httpx.Timeout:
    return httpx.Timeout(silence, connect=CONNECT, pool=None)


class _Options(TypedDict):
    timeout: httpx.Timeout


_BRIEF: _Options = {"timeout": _timeout(QUESTION)}


class _Conversation(msgspec.Struct, frozen=True):
    id: str


class _ActiveRun(msgspec.Struct, frozen=True):
    conversation_id: str | None = None


_AGENT_ID = re.compile(r"agent-[0-9a-fA-F-]{36}")
_DEFAULT = "default"
_agents_decoder = msgspec.json.Decoder(list[AgentHead])
_agent_decoder = msgspec.json.Decoder(AgentHead)
_run_decoder = msgspec.json.Decoder(Run)
_usage_decoder = msgspec.json.Decoder(RunUsage)
_conversation_decoder = msgspec.json.Decoder(_Conversation)
_active_runs_decoder = msgspec.json.Decoder(list[_ActiveRun])


def letta_client(base_url: str, api_key: str | None) -> AsyncLetta:
    """A client that never sends twice and never queues for a connection. Raises `NetworkSettingError`.

    Its own retries would deliver one message up to three times (recorded). An empty key would make every call fail.
    `max_connections` is 0 because the aiohttp transport takes None for its default of 100."""
    client = AsyncLetta(
        base_url=base_url,
        max_retries=0,
        timeout=_timeout(SILENCE),
        http_client=http_client(base_url, httpx.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE)),
    )
    # Set afterwards, because the constructor takes None for "look into the environment", where it may be empty.
    client.api_key = api_key or None
    return client


class LettaGateway:
    """`ports.AgentGateway` over one Letta server."""

    def __init__(self, client: AsyncLetta) -> None:
        self._client = client
        self._has_default_conversation = True

    async def agents(self) -> Sequence[Agent]:
        """All pages. Letta answers an unknown cursor with the first page: a repeated id is the end as well."""
        agents: dict[str, Agent] = {}
        after: str | None = None
        while True:
            page = await self._list(order="asc", limit=PAGE, after=after or omit)
            new = [agent for agent in page if agent.id not in agents]
            agents.update((agent.id, agent) for agent in new)
            if not page or len(new) < len(page):
                return sorted(agents.values(), key=lambda agent: agent.created_at)
            after = page[-1].id

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        if "\0" in name_or_id:
            # No such name can exist, and Letta's database fails when it is asked for one.
            return []
        if not _AGENT_ID.fullmatch(name_or_id):
            return await self._list(name=name_or_id, limit=PAGE)
        try:
            answer = await self._client.agents.with_raw_response.retrieve(name_or_id, **_BRIEF)
            return [_agent(_agent_decoder.decode(await answer.read()))]
        except APIStatusError as error:
            if knows_no_agent(error):
                return []
            raise BackendError(failure_of_question(error)) from error
        except (*LETTA_ERRORS, msgspec.DecodeError) as error:
            raise BackendError(failure_of_question(error)) from error

    async def check(self) -> None:
        """Lists one agent: Letta's health route answers without a key even where a key is asked for."""
        await self._list(limit=1)

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        translator = TurnTranslator()
        try:
            async with AsyncExitStack() as stack:
                answer = await self._send(turn, stack)
                refuse_page(answer.headers)
                decoder = SseDecoder()
                async for received in _received(answer):
                    for data in decoder.feed(received):
                        for event in translator.events(data):
                            yield event
                    # A proxy may keep the connection open long after that.
                    if translator.done:
                        break
        except LETTA_ERRORS as error:
            if lacks_redis(error):
                raise CannotDeduplicateError from error
            if not translator.answered:
                raise BackendError(failure_of_send(error, translator.accepted)) from error
        for event in translator.end():
            yield event

    async def cancel(self, turn: Turn, run_id: str) -> None:
        """Always with the run's id: without one, Letta stops whatever ran last."""
        messages = self._client.agents.messages.with_raw_response
        await self._ask(messages.cancel(turn.agent.id, run_ids=[run_id], **_BRIEF))

    async def record(self, run_id: str) -> RunRecord:
        runs = self._client.runs
        # The status first: what is stored after it was read can only be more.
        run = await self._ask(runs.with_raw_response.retrieve(run_id, **_BRIEF))
        messages = await self._ask(runs.messages.with_raw_response.list(run_id, order="asc", limit=1000, **_BRIEF))
        usage = await self._ask(runs.usage.with_raw_response.retrieve(run_id, **_BRIEF))
        try:
            return run_record(_run_decoder.decode(run), messages, _usage_decoder.decode(usage))
        except msgspec.DecodeError as error:
            raise BackendError(failure_of_question(error)) from error

    async def find_run(self, turn: Turn) -> RunSearch:
        """By the otid of the stored message. A message is stored when its first step is over (recorded)."""
        assert turn.delivery_id is not None  # noqa: S101
        # Those that are going on first: one that ends in the meantime has then stored its message.
        active = await self._ask(
            self._client.runs.with_raw_response.list(agent_id=turn.agent.id, active=True, limit=PAGE, **_BRIEF)
        )
        run_id = run_of_delivery(await self._newest_messages(turn, RECENT), turn.delivery_id)
        try:
            runs = _active_runs_decoder.decode(active)
        except msgspec.DecodeError as error:
            raise BackendError(failure_of_question(error)) from error
        return RunSearch(run_id, run_id is None and any(run.conversation_id == turn.conversation for run in runs))

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        return waiting_calls(await self._newest_messages(turn, 1))

    async def open_conversation(self, agent: Agent) -> str:
        try:
            answer = await self._client.conversations.with_raw_response.create(agent_id=agent.id, **_BRIEF)
            return _conversation_decoder.decode(await answer.read()).id
        except (*LETTA_ERRORS, msgspec.DecodeError) as error:
            raise BackendError(failure_of_opening(error)) from error

    async def close_conversation(self, conversation: str) -> None:
        await self._ask(self._client.conversations.with_raw_response.delete(conversation, **_BRIEF))

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
            return self._client.conversations.messages.with_streaming_response.create(_DEFAULT, extra_body=body)
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
            answer = await self._ask(self._client.runs.with_raw_response.retrieve(run_id, **_BRIEF))
            return _run_decoder.decode(answer).status == "cancelled"
        except (BackendError, msgspec.DecodeError):
            return False

    async def _newest_messages(self, turn: Turn, limit: int) -> bytes:
        messages = self._client.conversations.messages.with_raw_response
        return await self._ask(
            messages.list(
                turn.conversation or _DEFAULT,
                agent_id=omit if turn.conversation else turn.agent.id,
                order="desc",
                limit=limit,
                **_BRIEF,
            )
        )

    async def _ask(self, question: Awaitable[AsyncAPIResponse[Any]]) -> bytes:
        try:
            return await (await question).read()
        except LETTA_ERRORS as error:
            raise BackendError(failure_of_question(error)) from error

    async def _list(
        self,
        limit: int,
        order: Literal["asc"] | Omit = omit,
        after: str | Omit = omit,
        name: str | Omit = omit,
    ) -> list[Agent]:
        # Read raw: letta-client's own models cost milliseconds of CPU per agent, for fields that nobody needs here.
        agents = self._client.agents.with_raw_response
        try:
            answer = await agents.list(limit=limit, order=order, after=after, name=name, **_BRIEF)
            return [_agent(head) for head in _agents_decoder.decode(await answer.read())]
        except (*LETTA_ERRORS, msgspec.DecodeError) as error:
            raise BackendError(failure_of_list(error)) from error


def _received(answer: AsyncAPIResponse[Any]) -> AsyncIterator[bytes]:
    """The bytes of an answer: as they come, past httpx's own layers, unless a proxy has compressed them."""
    if "content-encoding" in answer.headers:
        return answer.iter_bytes()
    stream = answer.http_response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101
    return aiter(stream)


def _agent(head: AgentHead) -> Agent:
    return Agent(head.id, head.name or "", int(head.created_at.timestamp()) if head.created_at else 0)
