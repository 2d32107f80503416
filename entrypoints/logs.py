"""Configures the log: readable in a terminal, JSON for machines. Everything that logs comes out in one form.
It goes to standard error (see output.py), and nothing in it can play tricks on a terminal.

Our own lines are written at once; those of the domain and of libraries come through the standard library's logging,
which costs as much again. Each request writes one line, so this is felt."""

import logging
import sys
from functools import partial
from textwrap import indent

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from entrypoints.output import Output
from entrypoints.printable import on_one_line, visible

# Libraries whose information is noise here, or (at debug level) holds what clients send.
_QUIET = ("aiohttp", "asyncio", "httpcore", "httpx", "letta_client", "uvicorn")


def configure_logs(level: str, as_json: bool) -> None:
    """To stderr. Local variables never appear in tracebacks: they may hold message text and keys."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = _rendering(as_json)
    if isinstance(sys.stderr, Output):
        sys.stderr.loss_line = partial(_loss_line, [*shared[1:], *rendering])
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_ours_or_matters)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _loss_line(processors: list[Processor], lines: int) -> str:
    """Made here, not logged: whoever asks for it is in the middle of writing."""
    event: EventDict = {"event": "log lines were dropped, because they could not be written", "lines": lines}
    for processor in processors:
        event = processor(None, "warning", event)  # type: ignore[assignment]
    return f"{event}\n"


def _rendering(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if not sys.stderr.isatty():
        return [structlog.processors.format_exc_info, _made_visible, _as_text]
    console = structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
        # Shows control characters, which a terminal would obey: paths come from clients.
        repr_native_str=True,
    )
    return [structlog.processors.format_exc_info, _made_visible, console]


def _made_visible(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What no renderer escapes. Lines of a traceback are set in, so that none can be taken for a line of the log."""
    event["event"] = on_one_line(str(event["event"]))
    if exception := event.get("exception"):
        event["exception"] = indent(visible(exception), "  ")
    return event


def _as_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """What structlog's ConsoleRenderer writes without colours, in a third of its time."""
    exception = event.pop("exception", None)
    head = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
    line = " ".join([head, *[f"{name}={value!r}" for name, value in event.items()]]).rstrip()
    return line if exception is None else f"{line}\n{exception}"


def _is_ours_or_matters(record: logging.LogRecord) -> bool:
    # Again, because letta-client sets its own level when it is imported (LETTA_LOG), and then logs whole messages.
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _QUIET
