"""`lettabot chat`: talk to an agent in the terminal, through the same services as the API."""

import contextlib
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from domain.model.answer_text import AnswerText
from domain.model.events import Failed, ToolCall
from domain.model.failures import FailureError
from domain.model.identity import Identity
from domain.model.roster import Model
from domain.model.turn import TurnRequest, UserMessage
from entrypoints.cli.setup import advice, config_option, failed, in_words, new_runner, settings_from
from entrypoints.printable import on_one_line, visible
from entrypoints.settings import Flags, Settings

if TYPE_CHECKING:
    from entrypoints.container import Container


@click.command()
@click.argument("model", required=False)
@config_option
def chat(model: str | None, config: Path | None) -> None:
    """Talk to an agent in the terminal, for trying it.

    MODEL is a model name or an agent id, as 'lettabot agents' lists them; without it, the first agent answers. A line
    is a message. Ctrl-D ends the chat. The agent remembers what was said, here as anywhere else.
    """
    settings = settings_from(Flags(config=config))
    with in_words():
        try:
            good = _chat(settings, model)
        except FailureError as error:
            raise failed(advice(error.failure, settings.backends[0])) from error
    if not good:
        sys.exit(1)


def _chat(settings: Settings, name: str | None) -> bool:
    """Whether all answers came to a good end. Lines are read outside of the loop, so that Ctrl-C ends the reading."""
    from entrypoints.container import Container, opened

    container = Container(settings=settings)
    good = True
    with new_runner() as runner:
        stack = contextlib.AsyncExitStack()
        runner.run(stack.enter_async_context(opened(container)))
        try:
            model = runner.run(container.roster_cache().resolve(name))
            if sys.stdin.isatty():
                click.secho(f"This is {on_one_line(model.name)}. Ctrl-D ends the chat.", dim=True, err=True)
            while (text := _read_line(model)) is not None:
                if text.strip():
                    good &= runner.run(_answer(container, TurnRequest(model.agent, UserMessage(text))))
        finally:
            runner.run(stack.aclose())
    return good


def _read_line(model: Model) -> str | None:
    asks = sys.stdin.isatty()
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (lines can then be edited)
    try:
        return input(f"you -> {on_one_line(model.name)}: " if asks else "")
    except EOFError:
        if asks:
            click.echo()
        return None


async def _answer(container: "Container", request: TurnRequest) -> bool:
    # A line that is typed is never a retry of another one.
    reading = container.turns().begin(request, Identity(uuid.uuid4().bytes))
    reader, answer = reading.reader, AnswerText()
    # A file or another program gets the answer as it is.
    shown = visible if sys.stdout.isatty() else str
    good = True
    while not reader.finished:
        for event in await reader.take():
            click.echo(shown(answer.of(event)), nl=False)
            if isinstance(event, ToolCall) and event.name:
                click.secho(f"[{on_one_line(event.name)}] ", dim=True, nl=False, err=True)
            if isinstance(event, Failed):
                click.echo()
                click.secho(visible(event.failure.sentence), fg="red", err=True)
                good = False
    if good:
        click.echo()
    reading.leave(good, will_ask_again=False)
    return good
