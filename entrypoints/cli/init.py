"""`lettabot init`: writes the first lettabot.yaml, and says what to do with it."""

import json
import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from entrypoints.cli.check import report
from entrypoints.cli.setup import failed, home, in_words, working_directory
from entrypoints.printable import on_one_line
from entrypoints.settings import Flags, Mode, Settings, SettingsError, kinds, load_settings
from entrypoints.settings.backend import LETTA_CLOUD
from entrypoints.settings.setting import read_value

if TYPE_CHECKING:
    from entrypoints.cli.detection import Found, UsualPorts

# What Open WebUI sends along, so that each chat is a conversation of its own; docs/clients.md has the same.
HEADERS = json.dumps(
    {
        "X-Chat-Id": "{{CHAT_ID}}",
        "X-Message-Id": "{{MESSAGE_ID}}",
        "X-User-Message-Id": "{{USER_MESSAGE_ID}}",
        "X-Parent-Id": "{{USER_MESSAGE_PARENT_ID}}",
        "X-Task": "{{TASK}}",
        "X-User-Id": "{{USER_ID}}",
    }
)
# Where the key of a backend may stand in the environment, and what it is called in the file.
_KEYS = {
    Mode.API: ("LETTA_API_KEY", "apiKey", kinds.LETTA_KEY),
    Mode.DOCKER: ("LETTA_API_KEY", "apiKey", kinds.LETTA_KEY),
    Mode.LETTA_CODE: ("LETTA_CODE_TOKEN", "token", kinds.TOKEN),
    Mode.OPENAI: ("MODEL_API_KEY", "apiKey", kinds.LETTA_KEY),
}
_URLS = {Mode.DOCKER: "LETTA_BASE_URL", Mode.LETTA_CODE: "LETTA_CODE_URL"}
_WORDS = {
    Mode.DOCKER: "Letta, at an address that you name",
    Mode.API: "Letta Cloud",
    Mode.LETTA_CODE: "Letta Code, at an address that you name",
    Mode.OPENAI: "another server with OpenAI's API, at an address that you name",
    Mode.EMBEDDED: "the built-in notebook agent, to try things",
}
_EXAMPLES = {
    Mode.DOCKER: "http://localhost:8283",
    Mode.LETTA_CODE: "ws://localhost:4500",
    Mode.OPENAI: "http://localhost:11434",
}
_USUAL = Path("lettabot.yaml")
_OVERRULES = ("LETTABOT_CONFIG_YAML", "LETTABOT_CONFIG")


class Choice(msgspec.Struct, frozen=True):
    """A backend that was chosen."""

    mode: Mode
    url: str | None = None
    key: str | None = None
    """As it is written: the key, or a variable that has it. What was only found on a port gets none of the
    environment's, unless the operator says so."""


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=_USUAL,
    help="The file to write.  [default: ./lettabot.yaml]",
)
@click.option(
    "--backend", type=click.Choice([mode.value for mode in Mode]), help="What runs the agents.  [default: asked for]"
)
@click.option("--url", help="Its address. With --backend.")
@click.option(
    "--yes", is_flag=True, help="Ask nothing: take what is named, else what is found, else the built-in agent."
)
@click.pass_context
def init(context: click.Context, config: Path, backend: str | None, url: str | None, yes: bool) -> None:
    """Write a lettabot.yaml, and check it.

    Letta, Letta Code and servers with OpenAI's API are looked for on their usual ports on this machine; what is found
    is offered. Keys are asked for, or taken from LETTA_API_KEY, LETTA_CODE_TOKEN or MODEL_API_KEY; there is no option
    for them, because everybody on a machine can read command lines. A file that is there already is never changed.
    """
    path = working_directory() / config
    mode = None if backend is None else Mode(backend)
    if url is not None and mode not in _EXAMPLES:
        raise click.UsageError(f"--url needs --backend {', '.join(_EXAMPLES)}.")
    if os.path.lexists(path):
        raise failed(
            f"{path} is there already, and was not changed. 'lettabot check' says whether it is good; to begin anew, "
            "move it away, or name another file with --config."
        )
    for name in _OVERRULES:
        if config == _USUAL and os.environ.get(name):
            raise failed(f"{name} is set, and lettabot would read that instead of {path}. Unset it first.")
    try:
        choice = _chosen(mode, url, yes, context.obj)
        text = _text(choice)
    except SettingsError as error:
        raise failed(str(error)) from error
    _write(path, text, is_secret=choice.key is not None and not choice.key.startswith("${"))
    click.echo(on_one_line(f"{path} is written: {choice.mode}{f' at {choice.url}' if choice.url else ''}."))
    try:
        settings = _settings(path, choice)
        with in_words():
            is_good = report(settings)
    except KeyboardInterrupt:
        path.unlink(missing_ok=True)
        raise
    if not is_good:
        raise failed(f"{path} is kept. Mend what is NOT OK, then ask 'lettabot check'.")
    named = "" if config == _USUAL else f" --config {shlex.quote(str(config))}"
    click.echo(
        f"\nStart it with 'lettabot server{on_one_line(named)}'. Then in Open WebUI: Admin settings, Connections, "
        "OpenAI API, add one.\n"
        f"URL:      http://localhost:{settings.port}/v1 (from Docker: http://host.docker.internal:{settings.port}/v1, "
        "and lettabot with --host 0.0.0.0)\n"
        f"Key:      what 'lettabot key show{on_one_line(named)}' prints\n"
        f"Headers:  {HEADERS}"
    )


def _chosen(mode: Mode | None, url: str | None, yes: bool, ports: "UsualPorts | None") -> Choice:
    """Raises `SettingsError`."""
    # Here, because its HTTP client is for this command alone.
    from entrypoints.cli.detection import UsualPorts, found_on

    said = None if mode is not None else _said_by_environment()
    if said is not None and (yes or click.confirm(f"The environment says: {_shown(said)}. Take that?", default=True)):
        return said
    is_looked_for = url is None and mode not in (Mode.API, Mode.EMBEDDED)
    found = found_on(ports or UsualPorts()) if is_looked_for else ()
    is_named = url is not None
    if mode is None and not yes:
        mode, url = _asked(found)
    elif found := [each for each in found if mode in (None, each.mode)]:
        first = found[0]
        if yes or click.confirm(on_one_line(f"{first.words}, at {first.url}. Take that?"), default=True):
            mode, url = first.mode, first.url
    mode = mode or Mode.EMBEDDED
    if mode in _EXAMPLES and url is None:
        if yes:
            raise SettingsError(f"There is none on this machine: name its address, as in --url {_EXAMPLES[mode]}.")
        url, is_named = click.prompt(f"Its address, such as {_EXAMPLES[mode]}"), True
    if url is not None:
        url = read_value(kinds.LETTA_URL, url, "the address")
    return Choice(mode, url, _key(mode, is_named or mode is Mode.API, yes))


def _said_by_environment() -> Choice | None:
    urls = {mode: name for mode, name in _URLS.items() if os.environ.get(name)}
    if len(urls) > 1:
        click.echo("The environment names several backends; docs/backends.md has the file for that.", err=True)
    for mode, name in urls.items():
        url = read_value(kinds.LETTA_URL, os.environ[name], name)
        # The old LettaBot's users were told to set it to Letta Cloud, too; the key says that as well.
        if url != LETTA_CLOUD:
            return Choice(mode, url, _variable(mode))
    return Choice(Mode.API, None, _variable(Mode.API)) if os.environ.get("LETTA_API_KEY") else None


def _shown(choice: Choice) -> str:
    return on_one_line(f"{choice.mode} at {choice.url}" if choice.url else _WORDS[choice.mode])


def _asked(found: "Sequence[Found]") -> tuple[Mode, str | None]:
    offers: list[tuple[Mode, str | None, str]] = [
        *((each.mode, each.url, f"{each.words}, at {each.url}") for each in found),
        *((mode, None, words) for mode, words in _WORDS.items()),
    ]
    click.echo("What runs your agents?")
    for number, (_, _, words) in enumerate(offers, 1):
        click.echo(on_one_line(f"{number:3}  {words}"))
    default = 1 if found else len(offers)
    number = click.prompt("Number", type=click.IntRange(1, len(offers)), default=default)
    mode, url, _ = offers[number - 1]
    return mode, url


def _variable(mode: Mode) -> str | None:
    """The reference to the variable that has the key, if it is set."""
    name = _KEYS[mode][0]
    return f"${{{name}}}" if os.environ.get(name) else None


def _key(mode: Mode, is_named: bool, yes: bool) -> str | None:
    if mode not in _KEYS:
        return None
    name, _, kind = _KEYS[mode]
    reference = _variable(mode)
    if yes:
        if mode is Mode.API and reference is None:
            raise SettingsError(f"Letta Cloud needs a key: set {name} to one from https://app.letta.com.")
        return reference if is_named else None
    if reference is not None and click.confirm(f"Take the key that is in {name}?", default=is_named):
        return reference
    hint = "" if mode is Mode.API else " (Enter: it needs none)"
    typed: str = click.prompt(
        f"Its key{hint}", default=None if mode is Mode.API else "", hide_input=True, show_default=False
    )
    if not typed:
        return None
    if "${" in typed:
        raise SettingsError(f"A key with ${{ in it cannot stand in the file: set {name} instead.")
    key: str = read_value(kind, typed, "The key")
    return key


def _text(choice: Choice) -> str:
    # What JSON has between quotes, YAML has, too.
    lines = ["# Written by 'lettabot init'. All settings are in docs/configuration.md.", "server:"]
    lines.append(f"  mode: {choice.mode}")
    if choice.url is not None:
        lines.append(f"  baseUrl: {json.dumps(choice.url)}")
    if choice.key is not None:
        lines.append(f"  {_KEYS[choice.mode][1]}: {json.dumps(choice.key)}")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str, is_secret: bool) -> None:
    """A new file, whole or not at all."""
    rights = stat.S_IRUSR | stat.S_IWUSR | (0 if is_secret else stat.S_IRGRP | stat.S_IROTH)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, rights)
    except OSError as error:
        raise failed(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise failed(f"{path} cannot be written: {error.strerror}.") from error
        raise


def _settings(path: Path, choice: Choice) -> Settings:
    environ: Mapping[str, str] = os.environ
    variable = _KEYS[choice.mode][0] if choice.mode in _KEYS else ""
    if choice.key is None and environ.get(variable):
        # It is for something else: the operator has not said that it is for this.
        environ = {name: value for name, value in environ.items() if name != variable}
        click.echo(f"Unset {variable} before you start lettabot, or it is sent to {choice.url}.", err=True)
    try:
        return load_settings(Flags(config=path), environ, working_directory(), home())
    except SettingsError as error:
        raise failed(str(error)) from error
