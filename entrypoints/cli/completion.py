"""`lettabot completion`: what a shell needs to complete lettabot's commands and options; click makes it."""

import click

_VARIABLE = "_LETTABOT_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what SHELL needs to complete commands and options.

    \b
    bash:  lettabot completion bash > ~/.local/share/bash-completion/completions/lettabot
    zsh:   lettabot completion zsh > DIRECTORY/_lettabot      (a directory of $fpath)
    fish:  lettabot completion fish > ~/.config/fish/completions/lettabot.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click has no completion for {shell}.")
    click.echo(kind(context.find_root().command, {}, "lettabot", _VARIABLE).source())
