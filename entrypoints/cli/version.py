"""`lettabot --version`: the version, the commit if it is known, and the libraries that speak with backends."""

from pathlib import Path

import click

LIBRARIES = ("letta-client", "httpx", "websockets")
_PACKAGE = Path(__file__).parents[1]
_GIT = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """The callback of the option. Nothing is imported and git is not asked before it is wanted."""
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import version

    commit = commit_of(_PACKAGE)
    click.echo(f"lettabot {version('lettabot')}{f' (commit {commit})' if commit else ''}")
    click.echo(", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    context.exit()


def commit_of(package: Path) -> str | None:
    """What the build has written into the package, else what git says of the checkout that the package is in."""
    try:
        return (package / "commit.txt").read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        pass
    if not (package.parent / ".git").exists():
        return None
    import subprocess

    try:
        found = subprocess.run(_GIT, cwd=package.parent, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return found.stdout.strip() or None
