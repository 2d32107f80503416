"""OpenAI's Agents SDK, its whole loop, for `test_one_delivery.py`. What it is asked stands in `asking.py`."""

from collections.abc import AsyncIterator
from typing import Any

from agents import (  # type: ignore[import-not-found]
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from tests.clients.asking import Asked, Seen, main

# It would send what it traces to OpenAI.
set_tracing_disabled(True)


def agent(asked: Asked) -> Any:
    client = AsyncOpenAI(base_url=asked.base_url, api_key=asked.key, **asked.options)
    return Agent(name="tried", model=OpenAIChatCompletionsModel(model=asked.text, openai_client=client))


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    yield (await Runner.run(agent(asked), asked.text)).final_output


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    running = Runner.run_streamed(agent(asked), asked.text)
    try:
        async for event in running.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield event.data.delta
            elif event.type == "run_item_stream_event" and event.name == "tool_called":
                yield "tool", event.item.raw_item.name
    finally:
        running.cancel()


main(whole, stream)
