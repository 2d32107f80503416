"""Configures the log: readable in a terminal, JSON for machines. Everything that logs comes out in one form.

Our own lines are written at once; those of the domain and of libraries come through the standard library's logging,
which costs as much again. Each request writes one line, so this is felt."""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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
    file = cast("TextIO", _Forgiving(sys.stderr))
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(file),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(file)
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


class _Forgiving:
    """A log that cannot be written, because its disk is full, is no reason to fail."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


def _rendering(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if not sys.stderr.isatty():
        return [structlog.processors.format_exc_info, _as_text]
    return [
        structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback,
            sort_keys=False,
            # Shows control characters, which a terminal would obey: paths come from clients.
            repr_native_str=True,
        )
    ]


def _as_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """What structlog's ConsoleRenderer writes without colours, in a third of its time."""
    exception = event.pop("exception", None)
    head = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
    line = " ".join([head, *[f"{name}={value!r}" for name, value in event.items()]]).rstrip()
    return line if exception is None else f"{line}\n{exception}"


def _is_ours_or_matters(record: logging.LogRecord) -> bool:
    # Again, because letta-client sets its own level when it is imported (LETTA_LOG), and then logs whole messages.
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _QUIET
