"""Hatch's build hook: writes the commit into what is built, where `lettabot --version` finds it. Not installed."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "entrypoints/commit.txt"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Of wheels and source distributions; an editable installation asks git when it is asked."""

    _file: str | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        # A source distribution has it already.
        if version == "editable" or (root / PLACE).exists() or not (commit := commit_of(root)):
            return
        descriptor, file = tempfile.mkstemp()
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{commit}\n")
        os.chmod(file, 0o644)
        self._file = file
        build_data["force_include"][file] = PLACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._file is not None:
            os.unlink(self._file)


def commit_of(root: Path) -> str:
    """Of LETTABOT_COMMIT, else of the checkout; empty if neither is there."""
    if commit := os.environ.get("LETTABOT_COMMIT", "").strip():
        return commit
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
