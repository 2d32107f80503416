"""The command line. One file per command; what they do is done by the services, wired by the container."""

import sys

from entrypoints.signals import end_at_once_when_asked


def main() -> None:
    """`lettabot`."""
    if sys.argv[1:2] == ["server"]:
        # The rest takes a tenth of a second to import, and a signal can come meanwhile.
        end_at_once_when_asked()
    from entrypoints.cli.commands import main as command

    command(prog_name="lettabot")
