"""OpenAI's Agents SDK with a session of its conversations, and with the id of the last response, for
`test_responses_sdks.py`: `python -m tests.clients.responses_session BASE_URL KEY MODEL`. Prints what it got as JSON."""

import asyncio
import json
import sys

from agents import (  # type: ignore[import-not-found]
    Agent,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

# It would send what it traces to OpenAI.
set_tracing_disabled(True)


async def main(base_url: str, key: str, model: str) -> None:
    client = AsyncOpenAI(base_url=base_url, api_key=key)
    agent = Agent(name="tried", model=OpenAIResponsesModel(model=model, openai_client=client))
    session = OpenAIConversationsSession(openai_client=client)
    outputs = [(await Runner.run(agent, text, session=session)).final_output for text in ("one", "two")]
    items = [item["role"] for item in await session.get_items() if item.get("role")]
    last = await Runner.run(agent, "three")
    following = await Runner.run(agent, "four", previous_response_id=last.last_response_id)
    print(json.dumps({"outputs": outputs, "roles": items, "following": following.final_output}))


asyncio.run(main(*sys.argv[1:]))
