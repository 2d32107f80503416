"""What the workflow of releases does, done here: the rules of tags, the build, and the trial of the wheel."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.packaging.release import ROOT, build, refusal, version_of
from tests.packaging.release import main as release
from tests.packaging.trial import try_installed

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


def project(place: Path, version: str, changes: str) -> Path:
    (place / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (place / "CHANGELOG.md").write_text(changes)
    return place


@pytest.mark.parametrize(
    ("tag", "changes", "why"),
    [
        ("v1.2.0", "## [Unreleased]\n\n## [1.2.0] - 2026-11-27\n\n## [1.1.0] - 2026-01-01\n", None),
        ("v1.3.0", "## [Unreleased]\n\n## [1.2.0] - 2026-11-27\n", "The tag v1.3.0 is not v1.2.0"),
        ("1.2.0", "## [Unreleased]\n\n## [1.2.0] - 2026-11-27\n", "The tag 1.2.0 is not v1.2.0"),
        ("v1.2.0", "## [1.2.0] - 2026-11-27\n", "does not begin with"),
        ("v1.2.0", "## [Unreleased]\n", "has no section"),
        ("v1.2.0", "## [Unreleased]\n\n## [1.2.0]\n", "has no section"),
        ("v1.2.0", "## [Unreleased]\n\n## [1.1.0] - 2026-01-01\n\n## [1.2.0] - 2026-11-27\n", "has no section"),
    ],
)
def test_a_tag_is_a_release_if_the_version_and_the_changelog_say_so(
    tmp_path: Path, tag: str, changes: str, why: str | None
) -> None:
    found = refusal(tag, project(tmp_path, "1.2.0", changes))
    assert found is None if why is None else found is not None and why in found


def test_a_wrong_tag_ends_the_workflow() -> None:
    with pytest.raises(SystemExit, match="is not v"):
        release("check", "v0.0.0")


def test_the_changelog_begins_with_what_is_not_released() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"


def test_the_version_is_written_in_one_place() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert "version" not in tomllib.load(file)["project"].get("dynamic", [])
    version = version_of(ROOT)
    for path in [*ROOT.glob("entrypoints/**/*.py"), ROOT / "deploy" / "Dockerfile"]:
        assert f'"{version}"' not in path.read_text(), path


def test_the_workflow_does_what_these_tests_do() -> None:
    data = YAML(typ="safe").load(WORKFLOW.read_text())
    steps = [step.get("run", "") for job in data["jobs"].values() for step in job["steps"]]
    for verb in ("check", "build", "try"):
        assert any(f"python -m tests.packaging.release {verb}" in step for step in steps)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_is_made_from_the_source_distribution_and_knows_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETTABOT_COMMIT", "abc123")
    wheel = build(ROOT, tmp_path)
    [source] = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.read("entrypoints/commit.txt") == b"abc123\n"
    assert {name.split("/")[0] for name in names} == {
        "domain", "ports", "adapters", "entrypoints", f"lettabot-{version_of(ROOT)}.dist-info",
    }  # fmt: skip
    with tarfile.open(source) as archive:
        # What an operator needs beside the program, and what builds it.
        inside = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
    assert {"deploy/Dockerfile", "deploy/systemd/lettabot.service", "docs/operations.md", "hatch_build.py"} <= inside
    assert not [name for name in inside if name.startswith((".ci", ".venv"))]


def test_what_is_installed_here_passes_the_trial(tmp_path: Path) -> None:
    told = try_installed(Path(sys.executable).with_name("lettabot"), version_of(ROOT), tmp_path)
    assert "letta-client" in told
