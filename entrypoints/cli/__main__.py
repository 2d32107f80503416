"""`python -m entrypoints.cli` is `lettabot`."""

from entrypoints.cli import main

main()
