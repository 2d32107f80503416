"""A working directory and a home, in which settings are loaded."""

from pathlib import Path

from entrypoints.settings import Flags, Settings, load_settings
from entrypoints.settings.backend import EmbeddedOptions, LettaOptions


class Place:
    """`load` takes the content of ./lettabot.yaml, and the environment as keyword arguments."""

    def __init__(self, root: Path) -> None:
        self.cwd = root / "work"
        self.home = root / "home"
        self.cwd.mkdir()
        self.home.mkdir()

    def load(self, yaml: str | None = None, flags: Flags | None = None, /, **environ: str) -> Settings:
        if yaml is not None:
            self.write("lettabot.yaml", yaml)
        return load_settings(flags or Flags(), environ, self.cwd, self.home)

    def write(self, name: str, text: str) -> Path:
        """A file under the working directory."""
        return _write(self.cwd / name, text)

    def write_at_home(self, name: str, text: str) -> Path:
        return _write(self.home / name, text)


def texts(settings: Settings, level: str) -> list[str]:
    """What the notices of that level say."""
    return [notice.text for notice in settings.notices if notice.level == level]


def embedded_database(settings: Settings) -> Path:
    """Of the only backend."""
    [backend] = settings.backends
    assert isinstance(backend.options, EmbeddedOptions)
    return backend.options.database


def letta(settings: Settings) -> tuple[str, str, str | None]:
    """The mode, the address and the key of the only backend."""
    [backend] = settings.backends
    if isinstance(backend.options, LettaOptions):
        return backend.mode, backend.options.base_url, backend.options.api_key
    return backend.mode, "", None


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
