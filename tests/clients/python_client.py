"""What the `openai` Python package makes of the service, printed as JSON. Runs under any of its versions."""

import asyncio
import json
import sys
from typing import Any

import openai

BASE_URL, KEY = sys.argv[1:]
ASK: dict[str, Any] = {"model": "lettabot", "messages": [{"role": "user", "content": "What's on my todo list?"}]}


def refused(key: str, **request: Any) -> dict[str, Any]:
    try:
        openai.OpenAI(base_url=BASE_URL, api_key=key).chat.completions.create(**{**ASK, **request})
    except openai.APIStatusError as error:
        return {"class": type(error).__name__, "status": error.status_code, "code": error.code, "param": error.param}
    raise AssertionError("it was not refused")


def folded(chunks: list[Any]) -> dict[str, Any]:
    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    return {
        "role": deltas[0].role,
        "text": "".join(delta.content or "" for delta in deltas),
        "call_id": calls[0].id,
        "call_type": calls[0].type,
        "call_name": calls[0].function.name,
        "call_arguments": json.loads("".join(call.function.arguments or "" for call in calls)),
        "finish": chunks[-1].choices[0].finish_reason,
    }


async def asynchronous() -> dict[str, Any]:
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY) as client:
        answer = await client.chat.completions.create(**ASK)
        stream = await client.chat.completions.create(**ASK, stream=True)
        return {"sync": answer.choices[0].message.content, "stream": folded([chunk async for chunk in stream])}


client = openai.OpenAI(base_url=BASE_URL, api_key=KEY)
client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": "add milk to my todo list"}]})
answer = client.chat.completions.create(**ASK)
print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "retrieved": client.models.retrieve("lettabot").owned_by,
            "sync": answer.choices[0].message.content,
            "finish": answer.choices[0].finish_reason,
            "usage": answer.usage,
            "request_id": answer._request_id,
            "stream": folded(list(client.chat.completions.create(**ASK, stream=True))),
            "async": asyncio.run(asynchronous()),
            "wrong_key": refused("wrong"),
            "unknown_model": refused(KEY, model="nobody"),
            "bad_request": refused(KEY, messages=[{"role": "user", "content": ""}]),
        }
    )
)
