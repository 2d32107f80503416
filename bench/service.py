"""The contenders that are not the service as it ships, on the same server: `python -m bench.service NAME PORT`."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from dependency_injector import providers
from letta_client import AsyncLetta
from letta_client.types.agents import AssistantMessage
from litestar import Litestar, Request, Router, get
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler, post
from litestar.response import Stream
from litestar.types import ASGIApp

from adapters.letta.client import letta_client
from bench.script import Script, word
from bench.stand_in import agent_id, agent_name
from domain.model.agent import Agent
from domain.model.api_key import ApiKey
from domain.model.events import Accepted, Ended, Text, TurnEvent
from domain.model.turn import Turn
from domain.services.api_keys import ApiKeys
from domain.services.backends import Backend, Backends
from entrypoints.cli.setup import run, settings_from
from entrypoints.container import Container
from entrypoints.http.connection.limits import Limits
from entrypoints.logs import configure_logs
from entrypoints.server import FILES, Server, listen, spare_garbage_collector
from entrypoints.settings import Flags, Settings
from ports.agent_gateway import AgentGateway

_WORDS = [word(index, 0.0) for index in range(1000)]


class InProcessGateway:
    """Agents in this very process: what is left is the cost of HTTP and of the domain."""

    def __init__(self, agents: int) -> None:
        self._agents = [Agent(agent_id(number), agent_name(number), 1_700_000_000) for number in range(agents)]

    async def agents(self) -> Sequence[Agent]:
        return self._agents

    async def check(self) -> None:
        """Always here."""

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        assert turn.message is not None
        script = Script.of(turn.message.text)
        began = time.monotonic()
        yield Accepted("run-in-process")
        if script.delay:
            for index in range(script.chunks):
                await asyncio.sleep(max(began + (index + 1) * script.delay - time.monotonic(), 0))
                yield Text(word(index, time.monotonic()))
        else:
            # Made beforehand: what is measured is the service.
            for text in _WORDS[: script.chunks]:
                yield Text(text)
        yield Ended()

    async def close(self) -> None:
        """Nothing is open."""


class NaiveGateway:
    """Letta as its client's documentation shows it: the stream objects of the SDK, on its default transport."""

    def __init__(self, gateway: AgentGateway, base_url: str) -> None:
        self._gateway = gateway
        self._client = AsyncLetta(base_url=base_url, api_key="none", max_retries=0)

    async def agents(self) -> Sequence[Agent]:
        return await self._gateway.agents()

    async def close(self) -> None:
        await self._client.close()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        assert turn.message is not None
        stream = await self._client.conversations.messages.create(
            "default",
            agent_id=turn.agent.id,
            messages=[{"role": "user", "content": turn.message.text}],
            streaming=True,
            stream_tokens=True,
            include_pings=True,
        )
        yield Accepted(None)
        async for event in stream:
            if isinstance(event, AssistantMessage):
                yield Text(str(event.content))
        yield Ended()


def floor(settings: Settings) -> ASGIApp:
    """Copies bytes between a client and the stand-in with the same client library, and looks at none of them."""
    client = letta_client(settings.backends[0].place, None)

    @post("/v1/conversations/default/messages", status_code=200)
    async def forward(request: Request[Any, Any, Any]) -> Stream:
        body = msgspec.json.decode(await request.body())

        async def copied() -> AsyncGenerator[bytes, None]:
            messages = client.conversations.messages.with_streaming_response
            async with messages.create("default", extra_body=body) as answer:
                async for data in answer.iter_bytes():
                    yield data

        return Stream(copied(), media_type="text/event-stream")

    return cast("ASGIApp", Litestar([forward], logging_config=None, openapi_config=None))


def empty(api_keys: ApiKeys) -> ASGIApp:
    """Handlers that do nothing, behind a guard."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if await api_keys.caller(connection.headers["authorization"].removeprefix("Bearer ").encode()) is None:
            raise NotAuthorizedException

    @get("/v1/models")
    async def nothing() -> dict[str, str]:
        return {}

    @post("/v1/chat/completions", status_code=200)
    async def nothing_posted(request: Request[Any, Any, Any]) -> dict[str, str]:
        await request.body()
        return {}

    guarded = Router("/", route_handlers=[nothing, nothing_posted], guards=[guard])
    return cast("ASGIApp", Litestar([guarded], logging_config=None, openapi_config=None))


def main(name: str, port: int, agents: int) -> None:
    settings = settings_from(Flags(config=Path("/dev/null")))
    configure_logs(settings.log_level, settings.log_json)
    run(_serve(name, port, agents, settings))


async def _serve(name: str, port: int, agents: int, settings: Settings) -> None:
    api_key = ApiKey((settings.api_key or "").encode())
    container = Container(settings=settings, api_key=api_key)
    if name == "in-process":
        container.backends.override(providers.Object(Backends([Backend.of("in-process", InProcessGateway(agents))])))
    elif name == "naive":
        [letta] = container.backends()
        naive = NaiveGateway(letta.gateway, settings.backends[0].place)
        container.backends.override(providers.Object(Backends([Backend.of("naive", naive)])))
    elif name == "floor":
        container.app.override(providers.Object(floor(settings)))
    elif name == "empty":
        container.app.override(providers.Object(empty(container.api_keys())))
    else:
        raise ValueError(name)
    # Most of them need no file for what they ask of their backend, which is in their own process.
    limits = Limits(files=2 * FILES)
    service = Server(container.app(), container.turns(), settings.shutdown_seconds, limits)
    spare_garbage_collector()
    await service.serve(sockets=[listen("127.0.0.1", port)])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
