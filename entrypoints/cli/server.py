"""`lettabot server`: start the API."""

import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import structlog

from domain.model.api_key import new_key, weakness
from domain.services.api_keys import EstablishedKey, establish_key
from entrypoints.cli.setup import config_option, failed, in_words, run, settings_from
from entrypoints.keys import key_stores
from entrypoints.logs import configure_logs
from entrypoints.output import unblock_output
from entrypoints.printable import on_one_line
from entrypoints.settings import Flags, Settings
from entrypoints.state_check import state_refusal
from entrypoints.used_files import findings

logger = structlog.get_logger("lettabot")


@click.command()
@config_option
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0: any.  [default: 8080]")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to log.  [default: info]"
)
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes share the work.  [default: 1]")
def server(config: Path | None, host: str | None, port: int | None, log_level: str | None, workers: int | None) -> None:
    """Start the API.

    OpenAI clients reach it at http://HOST:PORT/v1 with the key that 'lettabot key show' prints; the first start makes
    that key. The API is described at http://HOST:PORT/docs. To try it:

    \b
    curl -H "Authorization: Bearer $(lettabot key show)" http://127.0.0.1:8080/v1/models

    One process is enough for thousands of streams. Several use several cores, and share what they remember (see State
    in docs/operations.md).

    Ctrl-C stops the server as soon as the answers that are under way have ended; a second Ctrl-C ends them.
    """
    unblock_output()
    settings = settings_from(Flags(config=config, host=host, port=port, log_level=log_level, workers=workers))
    configure_logs(settings.log_level, settings.log_json)
    for notice in settings.notices:
        logger.log(logging.WARNING if notice.level == "warning" else logging.INFO, notice.text)
    for finding in findings(settings):
        if finding.refused:
            raise failed(finding.text)
        logger.warning(finding.text)
    if (refusal := state_refusal(settings)) is not None:
        raise failed(refusal)
    with in_words():
        established = establish_key(key_stores(settings), new_key)
        if established.generated:
            place = on_one_line(established.place)
            click.echo(f"A new API key was made and saved in {place}:\n\n    {established.key}\n")
        elif weak := weakness(established.key):
            warning = f"The API key in {established.place} {weak}"
            logger.warning(warning)
        _serve(settings, established)


def _serve(settings: Settings, established: EstablishedKey) -> None:
    # Imported here, because the other commands need no server.
    from adapters.prometheus.lazy import import_prometheus
    from entrypoints.server import listen, raise_file_limit, spare_garbage_collector
    from entrypoints.service import import_what_it_needs, serve
    from entrypoints.workers import WorkerContext, Workers

    raise_file_limit()
    listener = listen(settings.host, settings.port)
    metrics_listener = (
        None if (address := settings.metrics_address) is None else listen(*address, "in server.api.metrics")
    )
    if settings.workers == 1:
        run(serve(settings, established, listener, metrics_listener))
        return

    def work(context: WorkerContext) -> None:
        run(serve(settings, established, listener, metrics_listener, context))

    with TemporaryDirectory(prefix="lettabot-metrics-") as directory:
        has_metrics = settings.metrics != "off"
        workers = Workers(settings.workers, work, directory if has_metrics else "")
        import_what_it_needs(settings)
        if has_metrics:
            import_prometheus(directory)
        # Memory that is not written to stays shared.
        spare_garbage_collector()
        code = workers.run()
    sys.exit(code)
