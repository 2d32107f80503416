"""What the clients of `test_one_delivery.py` that are written in Python share: all questions are asked at once.

    python -m tests.clients.NAME_client BASE_URL KEY QUESTION...

Each question is the name of the agent that is asked, too, and begins with the scenario and "whole" or "stream". For
each, one JSON line says what the client got, as soon as it is known."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypedDict

CLIENT_TIMEOUT = 1.0
"""Seconds, shorter than the agent's answer: what a client is set to in these scenarios."""
IMPATIENT = ("late", "silent")
HANGS_UP = "endless"
HANGS_UP_AFTER = 0.3
"""Seconds after the first text. Then a client hangs up in this scenario."""


class Options(TypedDict, total=False):
    """A client's settings; without them it is as it comes."""

    timeout: float


class Asked(NamedTuple):
    """A question, and where it goes."""

    text: str
    base_url: str
    key: str
    options: Options


# Yields text as it comes, and tool calls, if the client sees any, as ("tool", name).
Seen = str | tuple[str, str] | None
Ask = Callable[[Asked], AsyncIterator[Seen]]


def main(whole: Ask, stream: Ask) -> None:
    base_url, key, *questions = sys.argv[1:]
    asyncio.run(_ask_all(whole, stream, base_url, key, questions))


async def _ask_all(whole: Ask, stream: Ask, base_url: str, key: str, questions: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for text in questions:
            scenario, mode, *_ = text.split(" ")
            options: Options = {"timeout": CLIENT_TIMEOUT} if scenario in IMPATIENT else {}
            ask = stream if mode == "stream" else whole
            group.create_task(_tell(ask, Asked(text, base_url, key, options), scenario))


async def _tell(ask: Ask, asked: Asked, scenario: str) -> None:
    got: dict[str, Any] = {"question": asked.text, "text": "", "tools": [], "errors": [], "says": ""}
    some_text = asyncio.Event()

    async def listen() -> None:
        async for seen in ask(asked):
            if isinstance(seen, tuple):
                got["tools"].append(seen[1])
            elif seen:
                got["text"] += seen
                some_text.set()

    listening = asyncio.create_task(listen())
    if scenario == HANGS_UP:
        listening.add_done_callback(lambda _: some_text.set())
        await some_text.wait()
        await asyncio.sleep(HANGS_UP_AFTER)
        listening.cancel()
    try:
        with suppress(asyncio.CancelledError):
            await listening
    except Exception as error:  # noqa: BLE001
        got["says"] = str(error)
        cause: BaseException | None = error
        while cause is not None:
            got["errors"].append(type(cause).__name__)
            cause = cause.__cause__ or cause.__context__
    print(json.dumps(got), flush=True)
