"""LangChain's Python client for OpenAI's API, for `test_one_delivery.py`. What it is asked stands in `asking.py`."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]

from tests.clients.asking import Asked, Seen, main


def model(asked: Asked) -> Any:
    return ChatOpenAI(model=asked.text, base_url=asked.base_url, api_key=asked.key, **asked.options)


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    answer = await model(asked).ainvoke(asked.text)
    yield answer.content
    for call in answer.tool_calls:
        yield "tool", call["name"]


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    async for chunk in model(asked).astream(asked.text):
        yield chunk.content
        for call in chunk.tool_call_chunks:
            if call["name"]:
                yield "tool", call["name"]


main(whole, stream)
