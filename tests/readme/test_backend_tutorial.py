"""docs/backends.md, from an empty directory to `lettabot chat`: its files are the example's, and its commands work."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

# The package is installed once.
pytestmark = pytest.mark.xdist_group("tutorial")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "function_backend"
TUTORIAL = (ROOT / "docs" / "backends.md").read_text().split("\n## A backend of your own")[1]
FILES = {"toml": "pyproject.toml", "yaml": "lettabot.yaml", "python": "lettabot_function.py"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE)


def run(command: list[str], place: Path, environ: Mapping[str, str], said: str = "") -> str:
    done = subprocess.run(
        command, cwd=place, env=dict(environ), input=said, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory with the files of the page, where the package is installed, too."""
    directory = tmp_path_factory.mktemp("tutorial")
    for language, name in FILES.items():
        (directory / name).write_text(blocks(language)[0])
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(directory / "installed"),
        ".",
    ]
    subprocess.run(pip, cwd=directory, check=True, timeout=180, capture_output=True)
    (directory / "lettabot_function.py").unlink()
    return directory


@pytest.fixture(scope="module")
def environ(place: Path) -> Mapping[str, str]:
    return {"PYTHONPATH": str(place / "installed"), "HOME": str(place), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def lettabot(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("lettabot")), *arguments]


def test_the_page_shows_the_files_of_the_example() -> None:
    shown = [*blocks("toml"), *blocks("yaml"), *blocks("python")]
    names = ["pyproject.toml", "lettabot.yaml", "lettabot_function.py", "test_lettabot_function.py"]
    assert shown == [(EXAMPLE / name).read_text() for name in names]


def test_the_example_is_small() -> None:
    assert len((EXAMPLE / "lettabot_function.py").read_text().splitlines()) < 80


def test_the_commands_are_those_that_are_tried_here() -> None:
    assert blocks("bash") == ["pip install .\nlettabot check\nlettabot agents\nlettabot chat shouter\n"]


def test_check_says_what_it_can(place: Path, environ: Mapping[str, str]) -> None:
    said = run(lettabot("check"), place, environ)
    assert "ok     backend: function answers" in said
    assert "it can: answer\n" in said


def test_its_agents_are_listed_and_talked_to(place: Path, environ: Mapping[str, str]) -> None:
    assert "shouter" in run(lettabot("agents"), place, environ)
    assert run(lettabot("chat", "shouter"), place, environ, said="hello\n") == "HELLO\n"


def test_it_keeps_the_contract(place: Path, environ: Mapping[str, str]) -> None:
    for name in ("test_lettabot_function.py", "conftest.py"):
        (place / name).write_text((EXAMPLE / name).read_text())
    assert "passed" in run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."], place, environ)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{mode: function}", "backends.functions: Object missing required field `functions`"),
        ("{mode: function, functions: [a]}", "Expected `object`, got `array` - at `$.functions`"),
        ("{mode: function, functions: {a: 'builtins:str'}, color: red}", "function has no settings color"),
        (
            "{mode: funktion}",
            "there are: api, docker, letta-code, openai, embedded, function",
        ),
        ("{mode: function, functions: {a: 'nowhere:at_all'}}", "nowhere:at_all is not there"),
    ],
)
def test_a_wrong_section_is_told_at_its_place(
    place: Path, environ: Mapping[str, str], tmp_path: Path, section: str, says: str
) -> None:
    (tmp_path / "lettabot.yaml").write_text(f"backends:\n  functions: {section}\n")
    done = subprocess.run(
        lettabot("agents"), cwd=tmp_path, env=dict(environ), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
