"""What the `openai` Python package makes of the service, printed as JSON. Runs under any of its versions.

python python_client.py answers|failures BASE_URL KEY"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import openai

WHAT, BASE_URL, KEY = sys.argv[1:]


def ask(text: Any, **more: Any) -> dict[str, Any]:
    return {"model": "lettabot", "messages": [{"role": "user", "content": text}], **more}


ADD, LIST = ask("Add milk to my todo list"), ask("What's on my todo list?")


def checked(value: Any) -> Any:
    """The same, after a strict look: by itself the SDK takes whatever comes."""
    type(value).model_validate(value.to_dict())
    return value


def whole(answer: Any) -> dict[str, Any]:
    [choice] = checked(answer).choices
    return {
        "text": choice.message.content,
        "role": choice.message.role,
        "finish": choice.finish_reason,
        "usage": answer.usage,
        "request_id": answer._request_id,
    }


def folded(chunks: list[Any]) -> dict[str, Any]:
    deltas = [checked(chunk).choices[0].delta for chunk in chunks]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    return {
        "answers": len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}),
        "role": deltas[0].role,
        "text": "".join(delta.content or "" for delta in deltas),
        "call_id": calls[0].id,
        "call_type": calls[0].type,
        "call_name": calls[0].function.name,
        "call_indices": sorted({call.index for call in calls}),
        "call_arguments": json.loads("".join(call.function.arguments or "" for call in calls)),
        "finish": [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason],
    }


def raised(do: Callable[[], Any]) -> dict[str, Any]:
    try:
        do()
    except openai.APIError as error:
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": error.code,
            "param": error.param,
            "request_id": getattr(error, "request_id", None),
            "says": error.body["message"] if isinstance(error.body, dict) else None,
        }
    raise AssertionError("no error was raised")


async def asynchronous() -> dict[str, Any]:
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY) as client:
        answer = await client.chat.completions.create(**LIST)
        stream = await client.chat.completions.create(**LIST, stream=True)
        return {
            "models": [checked(model).id async for model in client.models.list()],
            "sync": whole(answer),
            "stream": folded([chunk async for chunk in stream]),
        }


client = openai.OpenAI(base_url=BASE_URL, api_key=KEY)
chat = client.chat.completions


def answers() -> dict[str, Any]:
    stranger = openai.OpenAI(base_url=BASE_URL, api_key="wrong")
    picture = [{"type": "image_url", "image_url": {"url": "https://example.org/picture.png"}}]
    return {
        "models": [checked(model).id for model in client.models.list()],
        "retrieved": checked(client.models.retrieve("lettabot")).id,
        "stream": folded(list(chat.create(**ADD, stream=True))),
        "sync": whole(chat.create(**LIST)),
        "async": asyncio.run(asynchronous()),
        "wrong_key": raised(lambda: stranger.chat.completions.create(**LIST)),
        "wrong_key_stream": raised(lambda: list(stranger.chat.completions.create(**LIST, stream=True))),
        "unknown_model": raised(lambda: chat.create(**{**LIST, "model": "nobody"})),
        "unknown_retrieved": raised(lambda: client.models.retrieve("nobody")),
        "blank": raised(lambda: chat.create(**ask(""))),
        "picture": raised(lambda: chat.create(**ask(picture))),
    }


def failures() -> dict[str, Any]:
    """Of an agent that has heard the message: the SDK must not send it again."""
    fail = ask("fail, please", model="anna")
    return {
        "sync": raised(lambda: chat.create(**fail)),
        "stream": raised(lambda: list(chat.create(**fail, stream=True))),
    }


print(json.dumps({"answers": answers, "failures": failures}[WHAT]()))
