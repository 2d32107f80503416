"""Configures the log: readable in a terminal, JSON for machines. Everything that logs comes out of one formatter."""

import logging
import sys

import structlog

# Libraries whose information is noise here, or (at debug level) holds what clients send.
_QUIET = ("aiohttp", "asyncio", "httpcore", "httpx", "letta_client", "uvicorn")


def configure_logs(level: str, as_json: bool) -> None:
    """To stderr. Local variables never appear in tracebacks: they may hold message text and keys."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,
                # Shows control characters, which a terminal would obey: paths come from clients.
                repr_native_str=True,
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_ours_or_matters)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_ours_or_matters(record: logging.LogRecord) -> bool:
    # Again, because letta-client sets its own level when it is imported (LETTA_LOG), and then logs whole messages.
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _QUIET
