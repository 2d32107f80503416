"""`lettabot agents`: who is on offer."""

from collections.abc import Sequence
from pathlib import Path

import click

from domain.model.failures import FailureError
from domain.model.roster import Roster
from domain.services.readiness import BackendState
from entrypoints.cli.setup import advice, config_option, failed, in_words, run, settings_from
from entrypoints.cli.table import date, print_table
from entrypoints.printable import on_one_line
from entrypoints.settings import Flags, Settings

NO_AGENTS = "There are none; make one in Letta."


@click.command()
@config_option
def agents(config: Path | None) -> None:
    """List the agents: model name, agent id, creation time.

    The model name is what goes into the 'model' of a request; the id will do, too. The first agent answers requests
    that name none. Of several backends, the last column says which. To offer
    only some, or under other names, list them as 'agents' in lettabot.yaml.
    """
    settings = settings_from(Flags(config=config))
    with in_words():
        try:
            roster, states = run(_roster(settings))
        except FailureError as error:
            raise failed(advice(error.failure, settings.backends[0])) from error
    first = settings.backends[0].name
    rows = [
        (model.name, model.agent.id, date(model.agent.created_at), model.agent.backend or first)
        for model in roster.models
    ]
    rows.insert(0, ("MODEL", "AGENT ID", "CREATED", "BACKEND"))
    print_table(rows if len(settings.backends) > 1 else [row[:3] for row in rows])
    for state, backend in zip(states, settings.backends, strict=True):
        if state.failure is not None:
            click.echo(on_one_line(f"{backend.name}: {advice(state.failure, backend)}"), err=True)
    if not roster.models and not roster.missing:
        click.echo(NO_AGENTS, err=True)
    for line in missing_agents(roster):
        click.echo(on_one_line(line), err=True)


def missing_agents(roster: Roster) -> list[str]:
    """A line for each configured agent that is not on offer."""
    lines: list[str] = []
    for missing in roster.missing:
        wanted = missing.wanted.name or missing.wanted.id
        if missing.candidates:
            ids = ", ".join(missing.candidates)
            lines.append(f"{wanted}: several agents have this name; configure the id of one of them: {ids}")
        else:
            lines.append(f"{wanted}: there is no such agent; make it in Letta, or take it out of the configuration")
    return lines


async def _roster(settings: Settings) -> tuple[Roster, Sequence[BackendState]]:
    from entrypoints.container import Container, opened

    container = Container(settings=settings)
    async with opened(container):
        return await container.roster_cache().refresh(), await container.readiness().states()
