"""A history that Letta has listed (recorded, 0.16.8), read in pages: steps of several messages, in a few seconds."""

import json

import pytest

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from domain.model.events import Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from domain.model.history import HistoryEntry
from tests.letta_adapter.replay import RECORDINGS, ReplayLetta

pytestmark = pytest.mark.anyio

RECORDED = json.loads((RECORDINGS / "history.json").read_text())


@pytest.mark.parametrize("is_default", [False, True])
async def test_a_page_may_end_in_the_middle_of_a_step(is_default: bool) -> None:
    async with ReplayLetta().serving() as letta:
        gateway = LettaGateway(letta_client(letta.url, None))
        agent = (await gateway.agents())[0]
        conversation = None if is_default else await gateway.open_conversation(agent)
        letta.keeps(conversation or "default", RECORDED)
        whole = await gateway.read_history(agent, conversation, 100)
        said = [message for message in RECORDED if message["message_type"] != "system_message"]
        assert [entry.id.rpartition("-")[0] for entry in whole] == [message["id"] for message in said]
        assert [type(event) for event in whole[4].events + whole[5].events] in (
            [Text, ToolCall],
            [ToolCall, ToolResult],
        )
        for most in (1, 2, 3):
            paged: list[HistoryEntry] = []
            while page := await gateway.read_history(agent, conversation, most, paged[0].id if paged else None):
                paged = [*page, *paged]
            assert paged == whole
        await gateway.close()


async def test_nobody_else_s_conversation_is_read() -> None:
    async with ReplayLetta().serving() as letta:
        gateway = LettaGateway(letta_client(letta.url, None))
        agent, other = await gateway.agents()
        conversation = await gateway.open_conversation(other)
        for named in (conversation, other.id, "default", "conv-unknown", ""):
            with pytest.raises(FailureError) as raised:
                await gateway.read_history(agent, named, 10)
            assert raised.value.failure.code is FailureCode.CONVERSATION_GONE
        await gateway.close()
