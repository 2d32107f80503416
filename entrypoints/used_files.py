"""The files that settings have the service use, and whether they can be trusted; but for lettabot.yaml, which is looked
at when it is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.file_trust import Finding, look_at
from entrypoints.settings import Settings
from entrypoints.settings.backend import EmbeddedOptions

# What stands beside a database in SQLite: SQLite's own files, and our locks.
_BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".writing")


def findings(settings: Settings) -> Sequence[Finding]:
    """One for each command that would mend something."""
    found = [finding for path in _files(settings) if (finding := look_at(path)) is not None]
    return list({finding.command: finding for finding in reversed(found)}.values())[::-1]


def _files(settings: Settings) -> Iterator[Path]:
    if settings.api_key is None:
        yield settings.data_dir / "lettabot-api.json"
    if not settings.shares_state:
        yield settings.data_dir / "lettabot-keys.json"
        yield settings.data_dir / "lettabot-keys.json.lock"
    databases = [each.options.database for each in settings.backends if isinstance(each.options, EmbeddedOptions)]
    if settings.state is not None and not settings.shares_state:
        databases.append(settings.state_file)
    for database in databases:
        for ending in _BESIDE:
            yield database.with_name(database.name + ending)
