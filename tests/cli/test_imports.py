"""What commands import: what a command does not need must not make it slow."""

import os
import re
import sys

from tests.cli.processes import PATIENCE, Place, get

PROFILE = {"PYTHONPROFILEIMPORTTIME": "1"}


def imported(printed: str) -> set[str]:
    """The top-level packages in what Python prints about imports."""
    return set(re.findall(r"^import time:.*\| +(\w+)$", printed, re.MULTILINE))


def test_help_and_key_import_no_server_and_no_client(place: Place) -> None:
    place.write("lettabot-api.json", '{"apiKey": "k"}')
    for command in (["--help"], ["key", "show"]):
        packages = imported(place.run(*command, **PROFILE).err)
        assert "entrypoints" in packages
        assert not packages & {"litestar", "uvicorn", "letta_client", "httpx", "aiohttp", "pydantic", "sqlite3"}


def test_a_server_without_letta_never_imports_its_client(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY="k", **PROFILE)
    server.stop()
    packages = imported(server.err)
    assert {"litestar", "uvicorn", "sqlite3"} <= packages
    assert not packages & {"letta_client", "aiohttp", "httpx", "ruamel"}
    # No chat with a key has come, and the service has just begun.
    assert "sqlalchemy" not in server.err


HASTY = """
import entrypoints.service
from entrypoints.cli import main

entrypoints.service._SETTLED_AFTER = entrypoints.service._QUIET_FOR = 0.1
main()
"""


def test_what_the_first_chat_needs_is_imported_when_all_is_quiet_and_nothing_is_made(place: Place) -> None:
    server = place.start(["server", "--port", "0"], {"LETTABOT_API_KEY": "k", **PROFILE}, (sys.executable, "-c", HASTY))
    server.wait_for(r"adapters\.sql\.write_gate\n")
    assert get(f"{server.url}/health").text == "ok"
    assert not list(place.directory.glob("*state*"))
    assert server.stop() == 0


FIRST_CHAT = """
import asyncio, sys
from pathlib import Path
from adapters.sql.conversation_cache import ConversationCache
from adapters.sql.lazy_stores import lazy_conversation_store
from adapters.sql.state import State

async def chat():
    state = State(f"sqlite:///{Path.cwd()}/state.sqlite")
    await state.import_ahead()
    assert not list(Path.cwd().iterdir())
    before = set(sys.modules)
    await ConversationCache(lazy_conversation_store(state)).keep("agent", "chat", "conversation")
    await state.close()
    print(sorted(set(sys.modules) - before))

asyncio.run(chat())
"""


def test_a_first_chat_has_nothing_left_to_import(place: Place) -> None:
    chat = place.start(["-c", FIRST_CHAT], {"PYTHONPATH": os.getcwd()}, (sys.executable,))
    assert chat.process.wait(PATIENCE) == 0, chat.err
    assert chat.out == "[]\n"
