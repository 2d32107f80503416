"""Every `--help` teaches: what the command is for, and what to do next."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from entrypoints.cli.commands import main

# What a reader of the help of each command has to find there.
TAUGHT = {
    "": (
        "lettabot init",
        "lettabot server",
        "lettabot key show",
        "lettabot check",
        "LETTA_BASE_URL",
        "LETTA_API_KEY",
        "lettabot.yaml",
    ),
    "server": ("/v1", "/docs", "lettabot key show", "Ctrl-C", "127.0.0.1", "8080", "curl"),
    "init": ("LETTA_API_KEY", "LETTA_CODE_TOKEN", "--yes", "never changed"),
    "completion": ("bash", "zsh", "fish"),
    "agents": ("'model' of a request", "that name none", "lettabot.yaml"),
    "key": ("Authorization: Bearer", "X-Api-Key", "LETTABOT_API_KEY", "lettabot-api.json", "DATA_DIR"),
    "key show": ("OPENAI_API_KEY",),
    "key rotate": ("started again", "clients"),
    "key path": ("DATA_DIR",),
    "key create": ("this once", "within a second", "90d", "--agents", "--no-chat-headers"),
    "key list": ("names",),
    "key revoke": ("within a second",),
    "check": ("NOT OK", "exit code"),
    "turns": ("--watch", "Ctrl-C", "--url"),
    "turns stop": ("'lettabot turns' shows", "cancelled"),
    "jobs": ("lettabot jobs send", "newest first"),
    "jobs show": ("its answer",),
    "jobs cancel": ("as soon as that is possible",),
    "jobs wait": ("exit code is 1",),
    "jobs send": ("delivered once", "--wait"),
    "chat": ("lettabot agents", "first agent", "Ctrl-D"),
}


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    yield path
    for name, command in group.commands.items():
        inner = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, inner)
        else:
            yield inner


@pytest.mark.parametrize("command", list(commands(main)))
def test_help_teaches(command: str) -> None:
    shown = CliRunner().invoke(main, [*command.split(), "--help"], prog_name="lettabot")
    assert shown.exit_code == 0
    unwrapped = " ".join(shown.output.split())
    for hint in TAUGHT[command]:
        assert hint in unwrapped


def test_the_list_of_commands_has_whole_sentences() -> None:
    for group in ("", "key"):
        shown = CliRunner().invoke(main, [*group.split(), "--help"]).output
        assert "..." not in shown.partition("Commands:")[2]
