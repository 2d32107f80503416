"""What a release has to be, and a trial of it in an empty environment. CI runs it for each change, and for each tag.

python -m tests.packaging.release check v0.1.0      does the tag fit the version and CHANGELOG.md?
python -m tests.packaging.release build dist        the source distribution, and from it the wheel
python -m tests.packaging.release try dist/*.whl    in an environment of its own, which is removed
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from tests.packaging.trial import try_installed

ROOT = Path(__file__).parents[2]


def version_of(root: Path) -> str:
    """The one place where it is written."""
    with (root / "pyproject.toml").open("rb") as file:
        version: str = tomllib.load(file)["project"]["version"]
    return version


def refusal(tag: str, root: Path) -> str | None:
    """Why this tag must not be released; None if it may."""
    version = version_of(root)
    if tag != f"v{version}":
        return f"The tag {tag} is not v{version}, the version in pyproject.toml."
    changes = (root / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changes, re.MULTILINE)
    if sections[:1] != [("Unreleased", "")]:
        return "CHANGELOG.md does not begin with a section [Unreleased]."
    if sections[1:2] != [(version, dict(sections).get(version))] or not dict(sections)[version]:
        return f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD' below [Unreleased]."
    return None


def build(root: Path, target: Path) -> Path:
    """The source distribution, and the wheel, which is made from it. Returns the wheel."""
    target.mkdir(parents=True, exist_ok=True)
    hatch(root, "sdist", target)
    [source] = target.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(source) as archive:
        archive.extractall(unpacked, filter="data")
        [inside] = Path(unpacked).iterdir()
        hatch(inside, "wheel", target)
    [wheel] = target.glob("*.whl")
    return wheel


def hatch(root: Path, kind: str, target: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target.resolve())]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)


def try_wheel(wheel: Path, version: str) -> str:
    """Returns what `lettabot --version` says."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        environment, empty = place / "environment", place / "empty"
        empty.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True)
        return try_installed(environment / "bin" / "lettabot", version, empty)


def main(command: str, argument: str) -> None:
    match command:
        case "check":
            if (why := refusal(argument, ROOT)) is not None:
                sys.exit(why)
        case "build":
            print(build(ROOT, Path(argument)))
        case "try":
            print(try_wheel(Path(argument), version_of(ROOT)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
