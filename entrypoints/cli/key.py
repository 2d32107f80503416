"""`lettabot key`: the API keys that clients of this service send."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from domain.model.api_key import NamedKey, digest_of, key_lifetime, key_name, new_key
from entrypoints.cli.setup import config_option, failed, in_words, settings_from
from entrypoints.cli.table import date, print_table
from entrypoints.keys import key_file, key_stores, named_key_store
from entrypoints.printable import on_one_line
from entrypoints.settings import Flags

T = TypeVar("T")


def _checked(rule: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """What a rule of the domain makes of a text, or the reason why it cannot."""

    def check(_: click.Context, parameter: click.Parameter, value: str | None) -> T | None:
        try:
            return None if value is None else rule(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from None

    return check


@click.group()
def key() -> None:
    """Show, make and revoke the clients' API keys.

    They send it as 'Authorization: Bearer <key>', or as 'X-Api-Key: <key>'. LETTABOT_API_KEY wins if it is set. Else
    the key is in lettabot-api.json, in DATA_DIR or the working directory, which the first 'lettabot server' writes.

    \b
    One key is enough for one person. For more:
    lettabot key create alice --agents helper --expires 90d
    lettabot key list
    lettabot key revoke alice
    """


@key.command()
@config_option
def show(config: Path | None) -> None:
    """Print the key that holds, and nothing else.

    For OpenAI's SDKs: export OPENAI_API_KEY="$(lettabot key show)"
    """
    settings = settings_from(Flags(config=config))
    with in_words():
        for store in key_stores(settings):
            if (found := store.read()) is not None:
                click.echo(found)
                return
    raise click.ClickException("There is no key yet. 'lettabot server' makes one at its first start.")


@key.command()
@config_option
def rotate(config: Path | None) -> None:
    """Replace the key in the file by a new one.

    The new key is printed. A running server takes it when it is started again; then give it to your clients.
    """
    settings = settings_from(Flags(config=config))
    environment, *stores = key_stores(settings)
    with in_words():
        if environment.read() is not None:
            raise click.ClickException(f"The key comes from {environment.place}; set another one there.")
        new = new_key()
        store = next((store for store in stores if store.read() is not None), None)
        if store is not None:
            store.replace(new)
        else:
            store = stores[-1]
            new = store.create(new)
    click.echo(new)
    place = on_one_line(store.place)
    click.echo(f"Saved in {place}. Restart the server, then give the new key to your clients.", err=True)


@key.command()
@config_option
def path(config: Path | None) -> None:
    """Print the path of the key file.

    It is in the working directory, or where DATA_DIR or server.api.dataDir says. With a state in PostgreSQL a new key
    is kept there instead.
    """
    click.echo(key_file(settings_from(Flags(config=config))).place)


@key.command()
@config_option
@click.argument("name", callback=_checked(key_name))
@click.option("--agents", help="Names or ids of the only agents it is for, with commas.  [default: all]")
@click.option("--no-chat-headers", is_flag=True, help="It cannot say for which chat it speaks.")
@click.option("--share-chats", is_flag=True, help="Its chats are those of the key without a name.  [default: its own]")
@click.option("--usage", is_flag=True, help="Answers to it tell the tokens used, for clients that fail on null.")
@click.option("--admin", is_flag=True, help="It may see and stop what other keys ask for, and make and revoke keys.")
@click.option(
    "--expires",
    callback=_checked(key_lifetime),
    help="When it ends: in so many days (90d), hours (12h), or minutes (30m).  [default: never]",
)
def create(
    config: Path | None,
    name: str,
    agents: str | None,
    no_chat_headers: bool,
    share_chats: bool,
    usage: bool,
    admin: bool,
    expires: float | None,
) -> None:
    """Make another key and print it, this once.

    Only its digest is kept. A running server takes it within a second. The name is for you: it is in the list and in
    the log.
    """
    wanted = tuple(agent for agent in ((part.strip()) for part in (agents or "").split(",")) if agent)
    if no_chat_headers and share_chats:
        raise click.UsageError("--no-chat-headers and --share-chats exclude each other.")
    if agents is not None and not wanted:
        raise click.BadParameter("there is no agent in it", param_hint="--agents")
    now, new = time.time(), new_key()
    made = NamedKey(
        name,
        digest_of(new.encode()),
        made_at=now,
        agents=wanted,
        chat_headers=not no_chat_headers,
        expires_at=None if expires is None else now + expires,
        usage=usage,
        share_chats=share_chats,
        admin=admin,
    )
    ring = named_key_store(settings_from(Flags(config=config)))
    with in_words():
        ring.add(made)
    click.echo(new)
    place = on_one_line(ring.place)
    click.echo(f"Its digest is saved in {place}. The key itself is nowhere but on your screen.", err=True)


@key.command(name="list")
@config_option
def list_(config: Path | None) -> None:
    """List the keys that have names."""
    with in_words():
        keys = named_key_store(settings_from(Flags(config=config))).all()
    rows = [("NAME", "CREATED", "EXPIRES", "AGENTS", "CHATS", "USAGE", "ADMIN")]
    for each in keys:
        ends = "never" if each.expires_at is None else date(int(each.expires_at))
        if each.expires_at is not None and each.expires_at <= time.time():
            ends = "expired"
        chats = "no" if not each.chat_headers else "shared" if each.share_chats else "own"
        usage = "yes" if each.usage else "no"
        rows.append(
            (
                each.name,
                date(int(each.made_at)),
                ends,
                ",".join(each.agents) or "all",
                chats,
                usage,
                "yes" if each.admin else "no",
            )
        )
    print_table(rows)
    if not keys:
        click.echo("There are none. 'lettabot key show' prints the key that has no name.", err=True)


@key.command()
@config_option
@click.argument("name")
def revoke(config: Path | None, name: str) -> None:
    """Have a key work no longer.

    A running server refuses it within a second, and within five ends what goes on for it: answers end with an error,
    agents are stopped, what waits is never delivered, jobs are cancelled.
    """
    ring = named_key_store(settings_from(Flags(config=config)))
    with in_words():
        if not ring.remove(name):
            raise failed(f"There is no key of the name {name}; 'lettabot key list' prints those there are.")
    click.echo(f"{on_one_line(name)} is revoked.", err=True)
