"""The units of systemd: as systemd itself checks them. Where it is not installed, only their times are looked at."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.settings import Flags, load_settings

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SYSTEM, USER = UNITS / "lettabot.service", UNITS / "user" / "lettabot.service"
MOST_EXPOSURE = 2.5


def analyzed(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    if (tool := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed")
    command = [tool, "--no-pager", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def complaints(unit: Path, place: Path, more: str = "") -> list[str]:
    """What systemd says of it; not what it says of other units of this machine."""
    # It looks whether the program is there.
    text = re.sub("^ExecStart=.*$", f"ExecStart={sys.executable} server", unit.read_text(), flags=re.MULTILINE)
    copy = place / unit.name
    copy.write_text(text + more)
    whose = "--user" if unit == USER else "--system"
    done = analyzed("verify", whose, "--man=no", str(copy), XDG_RUNTIME_DIR=str(place))
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd cannot check units here")
    return [line for line in done.stderr.splitlines() if unit.name in line]


@pytest.mark.parametrize("unit", [SYSTEM, USER], ids=["system", "user"])
def test_systemd_has_nothing_to_say(unit: Path, tmp_path: Path) -> None:
    assert complaints(unit, tmp_path) == []
    assert complaints(unit, tmp_path, "[Service]\nNonsense=1\n") != []


def test_the_service_of_the_system_is_hardened() -> None:
    done = analyzed("security", "--offline=true", str(SYSTEM))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot analyze units that are not loaded")
    found = re.search(r"Overall exposure level for lettabot\.service: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSURE


@pytest.mark.parametrize("unit", [SYSTEM, USER], ids=["system", "user"])
def test_answers_have_the_time_to_end_that_the_settings_give_them(unit: Path, tmp_path: Path) -> None:
    timeout = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)
    assert timeout is not None
    assert int(timeout[1]) >= load_settings(Flags(), {}, tmp_path, tmp_path).shutdown_seconds + 10
