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

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        # A source distribution has it already.
        if version == "editable" or (root / PLACE).exists() or not (commit := commit_of(root)):
            return
        file = Path(tempfile.mkdtemp()) / "commit.txt"
        file.write_text(f"{commit}\n")
        build_data["force_include"][str(file)] = PLACE


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
