"""`lettabot chat`: talk to an agent in the terminal, through the same services as the API."""

import asyncio
import sys
from pathlib import Path

import click

from domain.model.answer_text import AnswerText
from domain.model.events import Failed, ToolCall
from domain.model.failures import BackendError
from domain.model.roster import Model
from domain.model.turn import Turn, UserMessage
from domain.model.turn_log import TurnLog
from entrypoints.cli.setup import advice, config_option, in_words, run, settings_from
from entrypoints.settings import Flags, Settings


@click.command()
@click.argument("model", required=False)
@config_option
def chat(model: str | None, config: Path | None) -> None:
    """Talk to an agent, for trying things out. MODEL is a model name or an agent id; without it, the first agent.

    A line is a message. Ctrl-D ends the chat. The agent remembers what was said, here as anywhere else.
    """
    settings = settings_from(Flags(config=config))
    with in_words():
        try:
            run(_chat(settings, model))
        except BackendError as error:
            raise click.ClickException(f"{error.failure.sentence} {advice(error.failure, settings)}") from error


async def _chat(settings: Settings, name: str | None) -> None:
    from entrypoints.container import Container, opened

    container = Container(settings=settings)
    async with opened(container):
        model = await container.rosters().resolve(name)
        turns = container.turns()
        while (text := await asyncio.to_thread(_read_line, model)) is not None:
            if text.strip():
                await _print_answer(turns.start(Turn(model.agent, UserMessage(text))))


def _read_line(model: Model) -> str | None:
    if sys.stdin.isatty():
        click.secho(f"you -> {model.name}: ", fg="green", nl=False)
    return line.rstrip("\n") if (line := sys.stdin.readline()) else None


async def _print_answer(log: TurnLog) -> None:
    answer = AnswerText()
    reader = log.reader()
    while not reader.finished:
        for event in await reader.take():
            click.echo(answer.of(event), nl=False)
            if isinstance(event, ToolCall) and event.name:
                click.secho(f"[{event.name}] ", dim=True, nl=False, err=True)
            elif isinstance(event, Failed):
                click.secho(event.failure.sentence, fg="red", nl=False, err=True)
    click.echo()
