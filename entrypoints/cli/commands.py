"""The command `lettabot`, and the commands in it."""

import io
import logging
import sys

import click

from entrypoints.cli.agents import agents
from entrypoints.cli.chat import chat
from entrypoints.cli.check import check
from entrypoints.cli.completion import completion
from entrypoints.cli.init import init
from entrypoints.cli.jobs import jobs
from entrypoints.cli.key import key
from entrypoints.cli.server import server
from entrypoints.cli.turns import turns
from entrypoints.cli.version import print_version


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=print_version,
    help="Print the version, the commit, and the versions of the libraries that speak with backends.",
)
def main() -> None:
    """Talk to Letta agents through an OpenAI-compatible API.

    \b
    lettabot init            write a lettabot.yaml for the backend that is there
    lettabot server          start the API on http://127.0.0.1:8080
    lettabot key show        the key that its clients need
    lettabot check           is everything as it should be?
    lettabot chat            try an agent, here in the terminal
    lettabot turns --watch   what goes on in the running service

    With nothing configured a small built-in agent answers. To connect Letta, set LETTA_BASE_URL (a server of your
    own) or LETTA_API_KEY (Letta Cloud), or write a lettabot.yaml.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Not every text can be written in every encoding; that is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    # Only the server keeps a log, and configures it. The other commands say themselves what went wrong.
    logging.getLogger().addHandler(logging.NullHandler())


for command in (server, init, agents, key, check, chat, turns, jobs, completion):
    main.add_command(command)
