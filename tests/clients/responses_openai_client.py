"""The `openai` Python package with its Responses API, for `test_one_delivery.py`."""

from collections.abc import AsyncIterator

from openai import AsyncOpenAI

from tests.clients.asking import Asked, Seen, main


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    async with AsyncOpenAI(base_url=asked.base_url, api_key=asked.key, **asked.options) as client:
        response = await client.responses.create(model=asked.text, input=asked.text)
        yield response.output_text
        if response.error is not None:
            raise RuntimeError(response.error.message)


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    async with AsyncOpenAI(base_url=asked.base_url, api_key=asked.key, **asked.options) as client:
        async for event in await client.responses.create(model=asked.text, input=asked.text, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta
            elif event.type == "response.failed" and event.response.error is not None:
                raise RuntimeError(event.response.error.message)


main(whole, stream)
