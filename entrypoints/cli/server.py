"""`lettabot server`: start the API."""

import asyncio
import logging
import signal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from domain.model.api_key import ApiKey, new_key
from domain.services.api_keys import EstablishedKey, establish_key
from entrypoints.cli.setup import config_option, in_words, run, settings_from
from entrypoints.keys import key_stores
from entrypoints.logs import configure_logs
from entrypoints.settings import Flags, Mode, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from entrypoints.container import Container

logger = structlog.get_logger("lettabot")


@click.command()
@config_option
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0: any.  [default: 8080]")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to log.  [default: info]"
)
def server(config: Path | None, host: str | None, port: int | None, log_level: str | None) -> None:
    """Start the API.

    OpenAI clients reach it at http://HOST:PORT/v1 with the key that 'lettabot key show' prints; the first start makes
    that key. The API is described at http://HOST:PORT/docs. To try it:

    \b
    curl -H "Authorization: Bearer $(lettabot key show)" http://127.0.0.1:8080/v1/models

    Ctrl-C stops the server as soon as the answers that are under way have ended; a second Ctrl-C ends them.
    """
    settings = settings_from(Flags(config=config, host=host, port=port, log_level=log_level))
    configure_logs(settings.log_level, settings.log_json)
    for notice in settings.notices:
        logger.log(logging.WARNING if notice.level == "warning" else logging.INFO, notice.text)
    with in_words():
        established = establish_key(key_stores(settings), new_key)
        if established.generated:
            click.echo(f"A new API key was made and saved in {established.place}:\n\n    {established.key}\n")
        run(_serve(settings, established))


async def _serve(settings: Settings, established: EstablishedKey) -> None:
    from entrypoints.http.opening import Opening
    from entrypoints.server import Server, listen, raise_file_limit, spare_garbage_collector

    raise_file_limit()
    listener = listen(settings.host, settings.port)
    opening = Opening()
    service = Server(opening, None, settings.shutdown_seconds)
    _on_signal(service.handle_exit)
    serving = asyncio.create_task(service.serve(sockets=[listener]))
    try:
        # In a thread, so that the service answers that it is alive.
        await asyncio.to_thread(_import_what_it_needs, settings.mode)
        from entrypoints.container import Container, opened

        container = Container(settings=settings, api_key=ApiKey(established.key.encode()))
        async with opened(container):
            service.turns = container.turns()
            opening.open(container.app())
            spare_garbage_collector()
            _introduce(settings, listener.getsockname()[1], established)
            first_look = asyncio.create_task(_first_look(container, settings))
            recovering = asyncio.create_task(_recover_jobs(container))
            await serving
            # A signal asks for what is about to happen anyway.
            _on_signal(signal.SIG_IGN)
            first_look.cancel()
            recovering.cancel()
    finally:
        # Whoever still waits for the service to open, waits in vain.
        service.should_exit = service.force_exit = True
        await serving
    logger.info("stopped")


def _import_what_it_needs(mode: Mode) -> None:
    import_module("entrypoints.container")
    import_module("adapters.embedded.gateway" if mode is Mode.EMBEDDED else "adapters.letta.gateway")


def _on_signal(handler: "Callable[[int, FrameType | None], None] | signal.Handlers") -> None:
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, handler)


def _introduce(settings: Settings, port: int, established: EstablishedKey) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info(
        "listening", url=f"http://{host}:{port}/v1", docs=f"http://{host}:{port}/docs", api_key_from=established.place
    )
    if settings.mode is Mode.EMBEDDED:
        logger.warning(
            "The built-in notebook agent answers, not Letta. To connect Letta, set LETTA_BASE_URL (a server of your "
            "own) or LETTA_API_KEY (Letta Cloud), or write a lettabot.yaml.",
            mode=settings.mode.value,
            notebook=str(settings.embedded_database),
        )
    else:
        logger.info("backend", mode=settings.mode.value, letta=settings.letta_base_url)


async def _recover_jobs(container: "Container") -> None:
    from domain.model.failures import BackendError

    while True:
        try:
            return await container.jobs().recover()
        except BackendError as error:
            logger.warning("The state cannot be read; jobs that are left there have to wait", cause=error.failure.cause)
            await asyncio.sleep(5)


async def _first_look(container: "Container", settings: Settings) -> None:
    readiness = container.readiness()
    failure = await readiness.failure()
    if failure is None:
        logger.info("ready", agents=readiness.agents())
    else:
        logger.warning(
            "The backend is not ready; requests are answered with an error until it is. Nothing needs a restart.",
            code=failure.code.value,
            cause=failure.cause,
            backend=settings.letta_base_url,
        )
