"""`lettabot check`: is everything as it should be?"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import click

from domain.model.api_key import weakness
from domain.model.failures import FailureError
from entrypoints.cli.agents import NO_AGENTS, missing_agents
from entrypoints.cli.setup import advice, config_option, run, settings_from
from entrypoints.keys import key_stores
from entrypoints.printable import on_one_line
from entrypoints.settings import Flags, Settings
from entrypoints.settings.backend import (
    BackendSettings,
    EmbeddedOptions,
    InstalledOptions,
    LettaCodeOptions,
    LettaOptions,
    OpenAIOptions,
)
from entrypoints.start_error import CannotStartError
from entrypoints.state_check import state_refusal
from entrypoints.used_files import findings
from ports.key_store import KeyStoreError


@click.command()
@config_option
def check(config: Path | None) -> None:
    """Is everything as it should be?

    One line each for the configuration, the API key, the state, the backends and the agents. What is NOT OK says
    what to do about it, and makes the exit code 1.
    """
    if not report(settings_from(Flags(config=config))):
        sys.exit(1)


def report(settings: Settings) -> bool:
    """Prints it; whether all is good."""
    _line(True, "configuration", settings.source or "none; environment and defaults only")
    for notice in settings.notices:
        _note(f"{notice.level}: {notice.text}")
    good = [_files_are_good(settings), _key_is_good(settings)]
    good += [run(_state_is_good(settings)), run(_backends_are_good(settings))]
    return all(good)


def _files_are_good(settings: Settings) -> bool:
    """A line only for what is wrong."""
    good = True
    for finding in findings(settings):
        if finding.refused:
            good = _line(False, "files", finding.text)
        else:
            _note(f"warning: {finding.text}")
    return good


def _key_is_good(settings: Settings) -> bool:
    try:
        for store in key_stores(settings):
            if (key := store.read()) is not None:
                _line(True, "API key", store.place)
                if weak := weakness(key):
                    _note(f"warning: The API key in {store.place} {weak}")
                return True
    except KeyStoreError as error:
        return _line(False, "API key", str(error))
    return _line(True, "API key", "none yet; 'lettabot server' makes one at its first start")


async def _state_is_good(settings: Settings) -> bool:
    from entrypoints.container import Container, opened

    container = Container(settings=settings)
    async with opened(container):
        database = container.state().database
        if database is None:
            return _line(True, "state", "in memory; chats, retries and jobs are forgotten with the process")
        where = "in PostgreSQL" if settings.shares_state else f"in {settings.state_file}"
        if not database.exists():
            return _line(True, "state", f"{where}, when it is first needed")
        if (refusal := await asyncio.to_thread(state_refusal, settings)) is not None:
            return _line(False, "state", refusal)
        try:
            await database.database()
        except FailureError as error:
            return _line(False, "state", f"{where}: {error.failure.cause}")
    return _line(True, "state", where)


async def _backends_are_good(settings: Settings) -> bool:
    from entrypoints.container import Container, opened

    container = Container(settings=settings)
    try:
        async with opened(container):
            with suppress(FailureError):
                # Each backend's own failure is told below.
                await container.roster_cache().refresh()
            states, roster = await container.readiness().states(), container.roster_cache().current_or_none
    except CannotStartError as error:
        return _line(False, "backend", str(error))
    good = True
    for state, backend in zip(states, settings.backends, strict=True):
        name = "backend" if len(states) == 1 else f"backend {backend.name}"
        if state.failure is not None:
            good = _line(False, name, advice(state.failure, backend))
            continue
        _line(True, name, _words(backend))
        _note(f"it can: {', '.join(('answer', *state.abilities))}")
    if roster is None:
        return False
    missing = missing_agents(roster)
    for line in missing if good else ():
        _line(False, "agents", line)
    if not roster.models:
        return good and not missing and _line(False, "agents", NO_AGENTS)
    _line(True, "agents", f"{len(roster.models)} on offer; 'lettabot agents' lists them")
    return good and not missing


def _words(backend: BackendSettings) -> str:
    match backend.options:
        case LettaOptions():
            return f"Letta answers at {backend.place}"
        case LettaCodeOptions():
            return f"Letta Code answers at {backend.place}"
        case OpenAIOptions():
            return f"a server with OpenAI's API answers at {backend.place}"
        case EmbeddedOptions():
            return f"the built-in notebook agent, in {backend.place}; not Letta"
        case InstalledOptions():
            return f"{backend.mode} answers"


def _note(text: str) -> None:
    click.echo(on_one_line(f"         {text}"))


def _line(good: bool, what: str, text: str) -> bool:
    # What databases and Letta say has lines now and then.
    click.echo(on_one_line(f"{'ok' if good else 'NOT OK':6} {what}: {' '.join(text.splitlines())}"))
    return good
