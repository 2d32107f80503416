"""pydantic-ai with the Responses API, for `test_one_delivery.py`."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai import Agent, ModelSettings  # type: ignore[import-not-found]
from pydantic_ai.messages import (  # type: ignore[import-not-found]
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models.openai import OpenAIResponsesModel  # type: ignore[import-not-found]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]

from tests.clients.asking import Asked, Seen, main


def agent(asked: Asked) -> Any:
    provider = OpenAIProvider(base_url=asked.base_url, api_key=asked.key)
    return Agent(OpenAIResponsesModel(asked.text, provider=provider), model_settings=ModelSettings(**asked.options))


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    yield (await agent(asked).run(asked.text)).output


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    async with agent(asked).run_stream_events(asked.text) as events:
        async for event in events:
            match event:
                case PartStartEvent(part=TextPart(content=text)):
                    yield text
                case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                    yield text


main(whole, stream)
