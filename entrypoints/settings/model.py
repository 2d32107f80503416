"""What the settings are, whatever they came from."""

from pathlib import Path
from typing import Literal

import msgspec

from domain.model.agent import ConfiguredAgent
from domain.model.job import JobRules
from domain.model.turn_rules import TurnRules
from entrypoints.settings.backend import BackendSettings
from entrypoints.settings.chat_options import ChatOptions, Portal
from entrypoints.settings.job_options import JobOptions

Level = Literal["info", "warning"]


class Notice(msgspec.Struct, frozen=True):
    """Something that the operator should read in the log at start; the service starts all the same."""

    level: Level
    text: str


class Flags(msgspec.Struct, frozen=True):
    """What was said on the command line, which wins over everything else."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    log_level: str | None = None
    workers: int | None = None

    def given(self, option: str) -> object:
        """What was said for this option, such as `--log-level`."""
        return getattr(self, option.removeprefix("--").replace("-", "_"))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, checked."""

    backends: tuple[BackendSettings, ...]
    """At least one."""
    agents: tuple[ConfiguredAgent, ...]
    """Empty: all agents of the backends are offered."""
    data_dir: Path
    state: str | None
    """The URL of the database. None: the state is kept in memory."""
    log_json: bool
    """Whether each log line is one JSON object."""
    api_key: str | None
    """LETTABOT_API_KEY as it was set, unchecked. The key stores decide which key holds."""
    source: str | None
    """Where the YAML came from, for people. None: there was none."""
    notices: tuple[Notice, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    """How many processes share the work."""
    cors_origins: tuple[str, ...] = ()
    """Pages from these may ask from a browser."""
    log_level: str = "info"
    shutdown_seconds: float = 30.0
    """How long answers may take to end when the server stops."""
    keep_answers_for: float = 86400.0
    """How many seconds answers stay in the state."""
    keep_responses_for: float = 2_592_000.0
    """How many seconds responses can be asked for, and gone on from."""
    portal: Portal = Portal.METADATA
    """What the page for people shows."""
    metrics: str | int = "key"
    """`off`, `key`, or the address with a port, or the port, where they are told."""
    turn_rules: TurnRules = TurnRules()
    chat_options: ChatOptions = ChatOptions()
    job_rules: JobRules = JobRules()
    job_options: JobOptions = JobOptions()

    @property
    def shares_state(self) -> bool:
        """Whether processes on other machines may use the same state."""
        return self.state is not None and not self.state.startswith("sqlite")

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Where metrics have a port of their own. None: they have none."""
        if self.metrics in ("off", "key"):
            return None
        host, _, port = str(self.metrics).rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def state_file(self) -> Path:
        """Where SQLite keeps the state."""
        return Path((self.state or "").removeprefix("sqlite:///"))

    def __repr__(self) -> str:
        # Without the keys: settings end up in logs and tracebacks.
        modes = [backend.mode for backend in self.backends]
        return f"Settings(modes={modes!r}, source={self.source!r}, ...)"
