"""The Letta gateway: agents from Letta's list, turns through its conversation routes, read as raw bytes."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal

import httpx
import msgspec
from letta_client import APIStatusError, AsyncLetta, DefaultAioHttpClient, Omit, omit
from letta_client._response import AsyncAPIResponse

from adapters.letta.failures import LETTA_ERRORS, failure_of_question, failure_of_send, lacks_default_conversation
from adapters.letta.sse import SseDecoder
from adapters.letta.wire import AgentHead, TurnTranslator
from domain.model.agent import Agent
from domain.model.events import TurnEvent
from domain.model.failures import BackendError
from domain.model.turn import Turn

# Seconds. Letta pings every 20 s of silence, so this long without a byte is a broken connection.
SILENCE = 90.0
CONNECT = 5.0
# Whoever waits for a list of agents, waits less.
QUESTION = 15.0
# Letta's own server closes idle connections after 5 s, and a POST on a dying connection has an unknown delivery.
KEEP_ALIVE = 2.0
PAGE = 100

_AGENT_ID = re.compile(r"agent-[0-9a-fA-F-]{36}")
_agents_decoder = msgspec.json.Decoder(list[AgentHead])
_agent_decoder = msgspec.json.Decoder(AgentHead)


def letta_client(base_url: str, api_key: str | None) -> AsyncLetta:
    """A client that never sends twice and never queues for a connection.

    Its own retries would deliver one message up to three times (recorded). An empty key would make every call fail.
    `max_connections` is 0 because the aiohttp transport takes None for its default of 100."""
    client = AsyncLetta(
        base_url=base_url,
        max_retries=0,
        timeout=_timeout(SILENCE),
        http_client=DefaultAioHttpClient(limits=httpx.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE)),
    )
    # Set afterwards, because the constructor takes None for "look into the environment", where it may be empty.
    client.api_key = api_key or None
    return client


def _timeout(silence: float) -> httpx.Timeout:
    return httpx.Timeout(silence, connect=CONNECT, pool=None)


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
            answer = await self._client.agents.with_raw_response.retrieve(name_or_id, timeout=_timeout(QUESTION))
            return [_agent(_agent_decoder.decode(await answer.read()))]
        except APIStatusError as error:
            if error.status_code in (404, 422):
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
                decoder = SseDecoder()
                async for received in answer.iter_bytes():
                    for data in decoder.feed(received):
                        for event in translator.events(data):
                            yield event
                    # A proxy may keep the connection open long after that.
                    if translator.done:
                        break
        except LETTA_ERRORS as error:
            if not translator.answered:
                raise BackendError(failure_of_send(error, translator.accepted)) from error
        yield translator.end()

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, turn: Turn, stack: AsyncExitStack) -> AsyncAPIResponse[Any]:
        # The conversation route carries Letta's lock. Older servers lack it; they refuse before they deliver.
        message: Any = {"role": "user", "content": turn.message.text}
        if self._has_default_conversation:
            try:
                return await stack.enter_async_context(
                    self._client.conversations.messages.with_streaming_response.create(
                        "default",
                        agent_id=turn.agent.id,
                        messages=[message],
                        streaming=True,
                        stream_tokens=True,
                        include_pings=True,
                    )
                )
            except APIStatusError as error:
                if not lacks_default_conversation(error):
                    raise
        answer = await stack.enter_async_context(
            self._client.agents.messages.with_streaming_response.create(
                turn.agent.id, messages=[message], streaming=True, stream_tokens=True, include_pings=True
            )
        )
        self._has_default_conversation = False
        return answer

    async def _list(
        self,
        limit: int,
        order: Literal["asc"] | Omit = omit,
        after: str | Omit = omit,
        name: str | Omit = omit,
    ) -> list[Agent]:
        # Read raw: letta-client's own models cost milliseconds of CPU per agent, for fields that nobody needs here.
        try:
            answer = await self._client.agents.with_raw_response.list(
                limit=limit, order=order, after=after, name=name, timeout=_timeout(QUESTION)
            )
            return [_agent(head) for head in _agents_decoder.decode(await answer.read())]
        except (*LETTA_ERRORS, msgspec.DecodeError) as error:
            raise BackendError(failure_of_question(error)) from error


def _agent(head: AgentHead) -> Agent:
    return Agent(head.id, head.name or "", int(head.created_at.timestamp()) if head.created_at else 0)
