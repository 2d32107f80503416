"""One process of the service, from its socket to its end: wires everything, answers, goes on with what was left."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterable
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

import structlog

from adapters.prometheus.lazy import LazyMetrics
from domain.model.api_key import ApiKey
from domain.model.failures import FailureError
from domain.services.api_keys import EstablishedKey
from entrypoints.gateways import import_adapters
from entrypoints.http.startup_app import StartupApp
from entrypoints.metrics_server import serving_metrics
from entrypoints.server import Server, spare_garbage_collector
from entrypoints.settings import Settings
from entrypoints.settings.backend import EmbeddedOptions
from entrypoints.settings.chat_options import Portal
from entrypoints.signals import ending_signals
from entrypoints.telemetry import sample
from entrypoints.tracing import import_tracing
from entrypoints.workers import WorkerContext

if TYPE_CHECKING:
    from entrypoints.container import Container

# Seconds between looks at the jobs of other processes, and at a state that cannot be read.
_LOOK_EVERY = 5.0
_TRY_EVERY = 5.0
# Seconds after the start, and without a request, after which there is time for what may be needed later. Where
# requests come all the time (a load balancer's, say), it is enough after so many looks that no answer is under way.
_SETTLED_AFTER = 2.0
_QUIET_FOR = 1.0
_LOOKS = 15

logger = structlog.get_logger("lettabot")


async def serve(
    settings: Settings,
    established: EstablishedKey,
    listener: socket.socket,
    metrics_listener: socket.socket | None = None,
    context: WorkerContext | None = None,
) -> None:
    """Until a signal comes. `metrics_listener`: of the port that metrics have of their own. `context`: of one worker
    among several. Raises `CannotStartError`."""
    opening = StartupApp()
    service = Server(opening, None, settings.shutdown_seconds)
    signals = ending_signals()
    _on_signals(signals, service.handle_exit)
    port = listener.getsockname()[1]
    if context is not None:
        structlog.contextvars.bind_contextvars(worker=context.number)
        _end_with(context.parent, service)
    serving = asyncio.create_task(service.serve(sockets=[listener]))
    try:
        # In a thread, so that the service answers that it is alive.
        await asyncio.to_thread(import_what_it_needs, settings)
        if not service.should_exit:
            await _answer(settings, established, port, metrics_listener, context, opening, service, serving)
    finally:
        opening.give_up()
        service.should_exit = service.force_exit = True
        await serving
        # A signal asks for what is about to happen anyway.
        _on_signals(signals, signal.SIG_IGN)
    logger.info("stopped")


def import_what_it_needs(settings: Settings) -> None:
    """All that takes time, and is needed for sure. Raises `CannotStartError`."""
    import_module("entrypoints.container")
    import_adapters(settings)
    import_tracing()
    if settings.turn_rules.shared:
        import_module("adapters.sql.lane_tickets")
        import_module("adapters.sql.turn_store")


async def _answer(
    settings: Settings,
    established: EstablishedKey,
    port: int,
    metrics_listener: socket.socket | None,
    context: WorkerContext | None,
    opening: StartupApp,
    service: Server,
    serving: "asyncio.Task[None]",
) -> None:
    """Wires everything, and goes on with what was left, until `serving` ends."""
    from entrypoints.container import Container, opened

    container = Container(settings=settings, api_key=ApiKey(established.key.encode()), worker=context)
    async with opened(container):
        service.turns, service.bodies = container.turns(), container.bodies()
        service.responses, service.turn_reports = container.responses(), container.turn_reports()
        opening.open(container.app())
        spare_garbage_collector()
        if context is not None:
            os.write(context.ready, b"1")
        speaks = (context is None or context.is_first) and not service.should_exit
        if speaks:
            _introduce(settings, port, established)
        looks = [
            asyncio.create_task(_recover_jobs(container, settings.turn_rules.shared)),
            asyncio.create_task(container.key_revocation().watch()),
            asyncio.create_task(container.turn_reports().serve()),
            asyncio.create_task(_first_look(container, settings, speaks)),
            asyncio.create_task(_import_ahead(container, settings, service)),
        ]
        if (metrics := container.metrics()) is not None:
            looks.append(asyncio.create_task(sample(metrics, service)))
            looks.append(asyncio.create_task(_load_metrics(metrics, service)))
        async with serving_metrics(container.metrics_app(), metrics_listener):
            await serving
        for look in looks:
            look.cancel()


def _on_signals(
    signals: Iterable[signal.Signals], handler: "Callable[[int, FrameType | None], None] | signal.Handlers"
) -> None:
    for sign in signals:
        signal.signal(sign, handler)


def _end_with(parent: int, service: Server) -> None:
    """Without the process that watches over the workers nobody could stop them."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(parent)
        service.handle_exit(signal.SIGTERM, None)

    loop.add_reader(parent, end)


def _introduce(settings: Settings, port: int, established: EstablishedKey) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info(
        "listening",
        url=f"http://{host}:{port}/v1",
        docs=f"http://{host}:{port}/docs",
        **({} if settings.portal is Portal.OFF else {"portal": f"http://{host}:{port}/portal"}),
        api_key_from=established.place,
        workers=settings.workers,
    )
    first = settings.backends[0]
    if isinstance(first.options, EmbeddedOptions) and len(settings.backends) == 1:
        logger.warning(
            "The built-in notebook agent answers, not Letta. To connect Letta, set LETTA_BASE_URL (a server of your "
            "own), LETTA_CODE_URL (Letta Code) or LETTA_API_KEY (Letta Cloud), or write a lettabot.yaml.",
            mode=first.mode,
            notebook=first.place,
        )
        return
    for backend in settings.backends:
        logger.info("backend", name=backend.name, mode=backend.mode, place=backend.place)


async def _recover_jobs(container: "Container", needs_state: bool) -> None:
    """Those of an earlier process; those of other processes, in case that they die; those that could not be queued."""
    while True:
        try:
            if needs_state and (database := container.state().database) is not None:
                # Before the first turn has to wait for it.
                await database.database()
            await container.jobs().recover()
        except FailureError as error:
            logger.warning("The state cannot be read; jobs that are left there have to wait", cause=error.failure.cause)
            await asyncio.sleep(_TRY_EVERY)
        except Exception:
            logger.exception("jobs that were left cannot be continued, because of a bug in this service")
            await asyncio.sleep(_LOOK_EVERY)
        else:
            await asyncio.sleep(_LOOK_EVERY)


async def _import_ahead(container: "Container", settings: Settings, service: Server) -> None:
    """The first chat with a key would wait for half a second. So that is spent when all is quiet, for 30 MB; not
    where chats have no conversations of their own."""
    database = container.state().database
    if database is None or not settings.chat_options.own_conversations:
        return
    await _quiet(service)
    await database.import_ahead()
    spare_garbage_collector()


async def _load_metrics(metrics: LazyMetrics, service: Server) -> None:
    """What is counted until then is counted when they are there."""
    await _quiet(service)
    await metrics.load()


async def _quiet(service: Server) -> None:
    """Return when there is time for what may be needed later."""
    await asyncio.sleep(_SETTLED_AFTER)
    seen, looks = -1, 0
    while service.answers or (service.requests != seen and looks < _LOOKS):
        seen, looks = service.requests, looks + (not service.answers)
        await asyncio.sleep(_QUIET_FOR)


async def _first_look(container: "Container", settings: Settings, speaks: bool) -> None:
    """Also so that the first request need not wait for the list of agents."""
    readiness = container.readiness()
    states = await readiness.states()
    if not speaks:
        return
    for state, backend in zip(states, settings.backends, strict=True):
        if state.failure is not None:
            logger.warning(
                "The backend is not ready; requests are answered with an error until it is. Nothing needs a restart.",
                code=state.failure.code.value,
                cause=state.failure.cause,
                backend=backend.place,
            )
    if any(state.failure is None for state in states):
        logger.info("ready", agents=readiness.agents())
