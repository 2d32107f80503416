"""The `openai` Python package, for `test_one_delivery.py`. What it is asked stands in `asking.py`."""

from collections.abc import AsyncIterator

from openai import AsyncOpenAI

from tests.clients.asking import Asked, Seen, main


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    async with AsyncOpenAI(base_url=asked.base_url, api_key=asked.key, **asked.options) as client:
        answer = await client.chat.completions.create(
            model=asked.text, messages=[{"role": "user", "content": asked.text}]
        )
        yield answer.choices[0].message.content


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    async with AsyncOpenAI(base_url=asked.base_url, api_key=asked.key, **asked.options) as client:
        chunks = await client.chat.completions.create(
            model=asked.text, messages=[{"role": "user", "content": asked.text}], stream=True
        )
        async for chunk in chunks:
            delta = chunk.choices[0].delta
            yield delta.content
            for call in delta.tool_calls or []:
                if call.function and call.function.name:
                    yield "tool", call.function.name


main(whole, stream)
