"""`lettabot jobs`: leave messages as jobs, look at them, wait for them, cancel them."""

import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from domain.model.job import JobState
from entrypoints.cli.running_service import RunningService, service_options
from entrypoints.cli.table import print_table
from entrypoints.printable import on_one_line, visible

_ENDED = ("completed", "failed", "cancelled")
# Seconds between two looks at a job that is waited for.
_LOOK_EVERY = 0.5


@click.group(invoke_without_command=True)
@service_options
@click.option("--state", type=click.Choice([str(state) for state in JobState]), help="Only such.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many.")
@click.pass_context
def jobs(context: click.Context, config: Path | None, url: str | None, state: str | None, limit: int) -> None:
    """List the jobs of a running service, the newest first.

    \b
    lettabot jobs send "Water the plants" --wait
    lettabot jobs show JOB
    lettabot jobs wait JOB ...
    lettabot jobs cancel JOB
    """
    if context.invoked_subcommand is not None:
        return
    found = RunningService.of(config, url).ask("GET", "/api/v1/jobs", state=state, limit=limit)["jobs"]
    head = ("JOB", "CREATED", "AGENT", "KEY", "STATE", "ATTEMPTS", "LAST FAILURE")
    print_table([head, *map(_row, found)])
    if not found:
        click.echo("There are none; jobs are kept for a day after they have ended.", err=True)


@jobs.command()
@service_options
@click.argument("job")
def show(config: Path | None, url: str | None, job: str) -> None:
    """Print what has become of a job, and its answer."""
    _print(RunningService.of(config, url).ask("GET", _path(job)))


@jobs.command()
@service_options
@click.argument("job")
def cancel(config: Path | None, url: str | None, job: str) -> None:
    """Cancel a job.

    At once if it waits; if it runs, as soon as that is possible.
    """
    told = RunningService.of(config, url).ask("DELETE", _path(job))
    click.echo(f"{on_one_line(job)}: {told['status']}", err=True)


@jobs.command()
@service_options
@click.argument("job", nargs=-1, required=True)
def wait(config: Path | None, url: str | None, job: tuple[str, ...]) -> None:
    """Wait until these jobs have ended, and print their answers.

    The exit code is 1 if one of them has failed or was cancelled.
    """
    if not _wait(RunningService.of(config, url), list(dict.fromkeys(job))):
        sys.exit(1)


@jobs.command()
@service_options
@click.argument("message")
@click.option("--agent", help="Its name or id.  [default: the first one]")
@click.option("--wait", "waits", is_flag=True, help="Wait for the answer, and print it.")
def send(config: Path | None, url: str | None, message: str, agent: str | None, waits: bool) -> None:
    """Leave a message for an agent.

    It is kept, and delivered once, as soon as that is possible.

    Prints the id of the job.
    """
    service = RunningService.of(config, url)
    accepted = service.ask("POST", "/api/v1/chat/async", {"message": message, "agent": agent})
    if not waits:
        click.echo(accepted["jobId"])
    elif not _wait(service, [accepted["jobId"]]):
        sys.exit(1)


def _wait(service: RunningService, ids: list[str]) -> bool:
    """Whether all of them were answered."""
    reports: dict[str, dict[str, Any]] = {}
    with click.progressbar(length=len(ids), label="Waiting", file=sys.stderr, show_eta=False) as bar:
        while len(reports) < len(ids):
            for id_ in ids:
                if id_ not in reports and (report := service.ask("GET", _path(id_)))["status"] in _ENDED:
                    reports[id_] = report
                    bar.update(1)
            bar.label = f"Waiting, {len(reports)} of {len(ids)} ended"
            bar.render_progress()
            if len(reports) < len(ids):
                time.sleep(_LOOK_EVERY)
    for id_ in ids:
        _print(reports[id_], with_id=len(ids) > 1)
    return all(report["status"] == "completed" for report in reports.values())


def _print(report: dict[str, Any], with_id: bool = True) -> None:
    """The answer goes to stdout; what is told about it to stderr."""
    shown = visible if sys.stdout.isatty() else str
    if with_id:
        when = report.get("finishedAt") or report.get("startedAt") or report["createdAt"]
        click.echo(
            on_one_line(f"{report['jobId']}: {report['status']}, attempts {report['attempts']}, {when}"), err=True
        )
    if (response := report.get("response")) is not None:
        click.echo(shown(response))
    if (error := report.get("error")) is not None:
        click.secho(visible(error), fg="red", err=True)


def _path(job: str) -> str:
    return f"/api/v1/chat/async/{quote(job, safe='')}"


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    key = job["keyName"]
    return (
        job["jobId"],
        str(job["createdAt"])[:16].replace("T", " "),
        str(job["agentName"])[:40],
        "(revoked)" if key is None else str(key),
        job["status"],
        str(job["attempts"]),
        job["code"] or "",
    )
