"""`lettabot key`: the API key that clients of this service send."""

from pathlib import Path

import click

from domain.model.api_key import new_key
from entrypoints.cli.setup import config_option, in_words, key_file, key_stores, settings_from
from entrypoints.settings import Flags


@click.group()
def key() -> None:
    """Show or replace the API key of the clients.

    They send it as 'Authorization: Bearer <key>', or as 'X-Api-Key: <key>'. LETTABOT_API_KEY wins if it is set. Else
    the key is in lettabot-api.json, in DATA_DIR or the working directory, which the first 'lettabot server' writes.
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
    environment, file = key_stores(settings)
    with in_words():
        if environment.read() is not None:
            raise click.ClickException(f"The key comes from {environment.place}; set another one there.")
        new = new_key()
        if file.read() is None:
            new = file.create(new)
        else:
            file.replace(new)
    click.echo(new)
    click.echo(f"Saved in {file.place}. Restart the server, then give the new key to your clients.", err=True)


@key.command()
@config_option
def path(config: Path | None) -> None:
    """Print the path of the key file.

    It is in the working directory, or where DATA_DIR or server.api.dataDir says.
    """
    click.echo(key_file(settings_from(Flags(config=config))).place)
