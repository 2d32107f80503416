"""What commands share: the --config option, settings and keys with their errors in words, and a loop to run on."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from domain.model.failure_table import FailureCode
from domain.model.failures import Failure
from entrypoints.printable import visible
from entrypoints.settings import Flags, Settings, SettingsError, load_settings
from entrypoints.settings.backend import (
    BackendSettings,
    EmbeddedOptions,
    InstalledOptions,
    LettaCodeOptions,
    LettaOptions,
    OpenAIOptions,
)
from entrypoints.start_error import CannotStartError
from ports.key_store import KeyStoreError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The configuration file. Without it the first of: $LETTABOT_CONFIG_YAML, $LETTABOT_CONFIG, "
        "./lettabot.yaml, ./lettabot.yml, ~/.lettabot/config.yaml, ~/.lettabot/config.yml.",
    )(command)


@contextmanager
def in_words() -> Iterator[None]:
    """Whatever the operator can mend ends the command with a message, not with a traceback."""
    try:
        yield
    except (KeyStoreError, CannotStartError) as error:
        raise failed(str(error)) from error


def failed(why: str) -> click.ClickException:
    """What is wrong may be told in words of Letta's, of a database, or of a file."""
    return click.ClickException(visible(why))


def settings_from(flags: Flags) -> Settings:
    try:
        settings = load_settings(flags, os.environ, working_directory(), home())
    except SettingsError as error:
        raise failed(str(error)) from error
    if settings.shares_state:
        _load_driver()
    return settings


def _load_driver() -> None:
    try:
        import_module("adapters.sql.keys")
    except ImportError as error:
        raise failed(
            f"The driver of PostgreSQL cannot be loaded: {error}. PSYCOPG_IMPL and PSYCOPG_WAIT_FUNC choose it; "
            "correct or unset them."
        ) from error


def working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise failed(f"The working directory is not there: {error.strerror}. Start lettabot in another one.") from error


def home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # A user without an entry in /etc/passwd and without HOME: containers give such users this one.
        return Path("/")


def advice(failure: Failure, backend: BackendSettings) -> str:
    """What the operator of this service can do about a backend that does not answer."""
    if failure.code is FailureCode.UPSTREAM_AUTHENTICATION:
        key = "key; correct apiKey"
        if isinstance(backend.options, LettaOptions):
            key = "Letta API key; correct LETTA_API_KEY or server.apiKey"
        elif isinstance(backend.options, LettaCodeOptions):
            key = "token of Letta Code; correct LETTA_CODE_TOKEN or server.token"
        refused = f"{backend.place} refuses the {key}."
        return f"{failure.detail or refused} ({failure.cause})"
    if failure.code is FailureCode.MODEL_NOT_FOUND:
        return "There is no such agent; 'lettabot agents' lists the ones that there are."
    if isinstance(backend.options, EmbeddedOptions):
        return f"{backend.place} cannot be used. ({failure.cause})"
    is_foreign = isinstance(backend.options, InstalledOptions)
    if failure.code is not FailureCode.BACKEND_UNAVAILABLE or failure.detail or is_foreign:
        return f"{backend.place}: {failure.what} ({failure.cause})"
    if isinstance(backend.options, OpenAIOptions):
        return f"{backend.place} does not answer; is the server running, and is the address right? ({failure.cause})"
    return f"{backend.place} does not answer; is Letta running, and is the address right? ({failure.cause})"


def new_runner() -> asyncio.Runner:
    """On uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def run(work: Coroutine[Any, Any, T]) -> T:
    with new_runner() as runner:
        return runner.run(work)
