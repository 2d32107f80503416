"""`lettabot --version` and `lettabot completion`."""

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from entrypoints.cli.version import LIBRARIES, commit_of
from tests.cli.conftest import Lettabot
from tests.cli.processes import Place
from tests.cli.test_imports import PROFILE, imported

SHELLS = {"bash": "complete -o nosort", "zsh": "#compdef lettabot", "fish": "complete --no-files --command lettabot"}


def test_the_version_is_the_package_s_and_the_libraries_are_named(lettabot: Lettabot) -> None:
    told = lettabot("--version")
    first, second = told.stdout.splitlines()
    assert first.split()[:2] == ["lettabot", version("lettabot")]
    assert second == ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


def test_no_library_is_imported_for_its_version(place: Place) -> None:
    told = place.run("--version", **PROFILE)
    assert not imported(told.err) & {"letta_client", "httpx", "websockets", "litestar"}


def test_git_is_asked_for_the_version_only(place: Place) -> None:
    git = place.write("bin/git", f"#!/bin/sh\necho abc123; : > {place.directory}/asked\n")
    git.chmod(0o755)
    path, asked = f"{git.parent}:{os.environ['PATH']}", place.directory / "asked"
    place.run("--help", PATH=path)
    place.run("check", PATH=path)
    assert not asked.exists()
    told = place.run("--version", PATH=path).out
    # Of a checkout; what is installed has its commit written down, or none.
    assert asked.exists() == ("(commit abc123)" in told)


class TestCommit:
    def test_what_the_build_has_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "commit.txt").write_text("abc123\n")
        assert commit_of(tmp_path) == "abc123"

    def test_a_checkout_is_asked(self, tmp_path: Path) -> None:
        if shutil.which("git") is None:
            pytest.skip("git is not installed")
        (package := tmp_path / "entrypoints").mkdir()
        (package / "a.py").write_text("")
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        for command in (("init", "-q"), ("add", "-A"), (*names, "commit", "-qm", "a")):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()
        assert commit_of(package) == commit[:12]
        (package / "a.py").write_text("changed")
        assert commit_of(package) == f"{commit[:12]}-dirty"

    def test_without_either_there_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert commit_of(tmp_path / "entrypoints") is None
        (tmp_path / ".git").mkdir()
        assert commit_of(tmp_path / "entrypoints") is None
        monkeypatch.setenv("PATH", "")
        assert commit_of(tmp_path / "entrypoints") is None


@pytest.mark.parametrize("shell", list(SHELLS))
def test_the_script_for_a_shell_is_clicks(lettabot: Lettabot, shell: str) -> None:
    script = lettabot("completion", shell).stdout
    assert SHELLS[shell] in script
    assert "_LETTABOT_COMPLETE" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_a_shell_gets_the_commands(place: Place) -> None:
    completed = place.run(_LETTABOT_COMPLETE="bash_complete", COMP_WORDS="lettabot se", COMP_CWORD="1")
    assert "plain,server" in completed.out


def test_an_unknown_shell_is_refused(lettabot: Lettabot) -> None:
    assert lettabot("completion", "tcsh").exit_code == 2
