"""`lettabot turns`: what turns go on and went on, once or live; and how one is stopped."""

import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from entrypoints.cli.running_service import RunningService, service_options
from entrypoints.cli.table import lines_of, print_table
from entrypoints.printable import on_one_line

_HEAD = ("ASKED", "TURN", "AGENT", "CHAT", "KEY", "STATE", "FIRST WORD", "TIME", "TOKENS")
# Seconds between two drawings of the live table.
_DRAW_EVERY = 0.5


@click.group(invoke_without_command=True)
@service_options
@click.option("--watch", is_flag=True, help="Go on, and show what changes.")
@click.option("--limit", type=click.IntRange(1, 2000), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each turn, as the API tells it.")
@click.pass_context
def turns(context: click.Context, config: Path | None, url: str | None, watch: bool, limit: int, as_json: bool) -> None:
    """Show the turns of a running service.

    Those that go on, and the last that have ended.

    With --watch, a table that follows them; Ctrl-C ends it. Where stdout is no terminal, a line for each change.
    """
    if context.invoked_subcommand is not None:
        return
    service = RunningService.of(config, url)
    if watch:
        _watch(service, limit, as_json)
        return
    found = service.ask("GET", "/api/v1/turns", limit=limit)["turns"]
    if as_json:
        _print_json(found)
    else:
        print_table([_HEAD, *map(_row, found)])
        if not found:
            click.echo("There were none in the last hour.", err=True)


@turns.command()
@service_options
@click.argument("turn")
def stop(config: Path | None, url: str | None, turn: str) -> None:
    """Stop a turn.

    TURN is its id, or the end of it that 'lettabot turns' shows. Its client is told that it was cancelled, and what
    became of the message.
    """
    service = RunningService.of(config, url)
    open_turns = [
        each["id"] for each in service.ask("GET", "/api/v1/turns", limit=2000)["turns"] if each["endedAt"] is None
    ]
    meant = [id_ for id_ in open_turns if id_ == turn] or [id_ for id_ in open_turns if id_.endswith(turn)]
    if len(meant) != 1:
        raise click.ClickException(f"{len(meant) or 'No'} turns that go on have this id; 'lettabot turns' lists them.")
    service.ask("DELETE", f"/api/v1/turns/{meant[0]}")
    click.echo(f"{on_one_line(meant[0])} ends.", err=True)


def _watch(service: RunningService, limit: int, as_json: bool) -> None:
    known: dict[str, dict[str, Any]] = {}
    is_table = sys.stdout.isatty() and not as_json
    drawn, drawn_at = 0, 0.0
    for event in service.events("/api/v1/turns/stream"):
        new = event["turns"] if event["type"] == "turns" else [event["turn"]]
        known |= {each["id"]: each for each in new}
        if not is_table:
            if as_json:
                _print_json(new)
            elif event["type"] == "turn":
                click.echo("  ".join(map(on_one_line, _row(event["turn"]))))
            continue
        if event["type"] == "turns" or time.monotonic() - drawn_at >= _DRAW_EVERY or new[0]["endedAt"]:
            shown = sorted(known.values(), key=lambda each: str(each["id"]), reverse=True)[:limit]
            known = {each["id"]: each for each in shown}
            lines = lines_of([_HEAD, *map(_row, shown)])
            # Over what was drawn before.
            click.echo(f"\x1b[{drawn}A\x1b[J" if drawn else "", nl=False)
            click.echo("\n".join(line[: _width()] for line in lines))
            drawn, drawn_at = len(lines), time.monotonic()
    click.echo("The service has ended the stream.", err=True)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _print_json(found: Sequence[dict[str, Any]]) -> None:
    for each in found:
        click.echo(json.dumps(each))


def _row(turn: dict[str, Any]) -> tuple[str, ...]:
    state = turn["outcome"] or turn["state"]
    if turn["state"] == "waiting":
        state = f"waits, {turn['place']} before it" if turn["place"] else "waits"
    elif turn["code"]:
        state = f"{state}: {turn['code']}"
    key = turn["keyName"]
    return (
        _clock(turn["askedAt"]),
        str(turn["id"])[-8:],
        str(turn["agentName"])[:40],
        "" if turn["chat"] is None else str(turn["chat"])[:30],
        "(revoked)" if key is None else str(key),
        state,
        _seconds(turn["askedAt"], turn["firstWordAt"]),
        _seconds(turn["sentAt"], turn["endedAt"]),
        str(turn["completionTokens"] or ""),
    )


def _clock(iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S")


def _seconds(begin: str | None, end: str | None) -> str:
    if begin is None or end is None:
        return ""
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds():.1f} s"
