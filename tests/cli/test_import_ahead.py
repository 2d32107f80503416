"""What the first chat needs is imported beforehand, but never while somebody waits for an answer."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

import entrypoints.service
from entrypoints.settings import Settings
from entrypoints.settings.chat_options import ChatOptions
from tests.settings.place import Place

pytestmark = pytest.mark.anyio


class Traffic:
    """As a server sees it: `answers` under way, `requests` that there have ever been."""

    def __init__(self) -> None:
        self.answers = 0
        self.requests = 0


class ImportedAhead:
    """In place of the state."""

    def __init__(self) -> None:
        self.count = 0

    async def import_ahead(self) -> None:
        self.count += 1


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Place(tmp_path).load()


async def look(state: ImportedAhead | None, settings: Settings, traffic: Traffic) -> None:
    container = cast("Any", SimpleNamespace(state=lambda: SimpleNamespace(database=state)))
    await entrypoints.service._import_ahead(container, settings, cast("Any", traffic))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoints.service, "_SETTLED_AFTER", 0)
    monkeypatch.setattr(entrypoints.service, "_QUIET_FOR", 0)
    monkeypatch.setattr(entrypoints.service, "spare_garbage_collector", lambda: None)


async def test_when_all_is_quiet(settings: Settings) -> None:
    state = ImportedAhead()
    await look(state, settings, Traffic())
    assert state.count == 1


async def test_not_while_an_answer_is_under_way_or_requests_come(settings: Settings) -> None:
    state, traffic = ImportedAhead(), Traffic()
    traffic.answers = 1
    looking = asyncio.create_task(look(state, settings, traffic))
    for _ in range(10):
        await asyncio.sleep(0)
    traffic.answers = 0
    for traffic.requests in range(1, 10):
        await asyncio.sleep(0)
    assert state.count == 0
    await looking
    assert state.count == 1


async def test_requests_without_end_do_not_put_it_off_for_ever(settings: Settings) -> None:
    state, traffic = ImportedAhead(), Traffic()
    looking = asyncio.create_task(look(state, settings, traffic))
    while not looking.done():
        traffic.requests += 1
        assert traffic.requests < 1000
        await asyncio.sleep(0)
    assert state.count == 1


async def test_not_where_there_is_no_state_or_chats_have_no_conversations(settings: Settings) -> None:
    state = ImportedAhead()
    await look(None, settings, Traffic())
    shared = msgspec.structs.replace(settings, chat_options=ChatOptions(own_conversations=False))
    await look(state, shared, Traffic())
    assert state.count == 0
