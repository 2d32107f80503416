"""What commands import: what a command does not need must not make it slow."""

import re

from tests.cli.processes import Place

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
    # No chat with a key has come.
    assert not packages & {"sqlalchemy", "aiosqlite"}
