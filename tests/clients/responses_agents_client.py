"""OpenAI's Agents SDK with its default model, which asks for responses; for `test_one_delivery.py`."""

from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled  # type: ignore[import-not-found]
from openai import AsyncOpenAI

from tests.clients.asking import Asked, Seen, main

# It would send what it traces to OpenAI.
set_tracing_disabled(True)


def agent(asked: Asked) -> Any:
    client = AsyncOpenAI(base_url=asked.base_url, api_key=asked.key, **asked.options)
    return Agent(name="tried", model=OpenAIResponsesModel(model=asked.text, openai_client=client))


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    yield (await Runner.run(agent(asked), asked.text)).final_output


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    running = Runner.run_streamed(agent(asked), asked.text)
    try:
        async for event in running.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield event.data.delta
    finally:
        running.cancel()


main(whole, stream)
