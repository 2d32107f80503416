"""LangChain's Python client with the Responses API, for `test_one_delivery.py`."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]

from tests.clients.asking import Asked, Seen, main


def model(asked: Asked) -> Any:
    return ChatOpenAI(
        model=asked.text, base_url=asked.base_url, api_key=asked.key, use_responses_api=True, **asked.options
    )


async def whole(asked: Asked) -> AsyncIterator[Seen]:
    yield (await model(asked).ainvoke(asked.text)).text


async def stream(asked: Asked) -> AsyncIterator[Seen]:
    async for chunk in model(asked).astream(asked.text):
        yield chunk.text


main(whole, stream)
