"""The examples of the README and of docs/, executed, and their tables and links, compared with what is there."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.model.failure_table import FailureCode
from tests.cli.processes import Place, Running
from tests.clients.conftest import CLIENTS, KEY, ROOT, installed

PAGES = [
    ROOT / "README.md",
    *(path for name in ("architecture", "CONTRIBUTING", "SECURITY", "CHANGELOG") for path in ROOT.glob(f"{name}.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FOR_USERS = [path for path in PAGES if path.name == "README.md" or path.parent.name == "docs"]
TEXTS = {path: path.read_text() for path in PAGES}


def examples(language: str) -> list[str]:
    blocks = [
        block
        for path in FOR_USERS
        for block in re.findall(rf"^```{language}\n(.*?)^```", TEXTS[path], re.DOTALL | re.MULTILINE)
    ]
    return [block for block in blocks if "localhost:8080" in block and "YOUR_API_KEY" in block]


def section(page: str, heading: str) -> str:
    text = TEXTS[ROOT / "docs" / page]
    return text[text.index(f"\n## {heading}") :].split("\n## ")[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = Place(tmp_path_factory.mktemp("readme"))
    yield place.serve(LETTABOT_API_KEY=KEY)
    place.clear()


def filled_in(example: str, server: Running) -> str:
    return example.replace("http://localhost:8080", server.url).replace("YOUR_API_KEY", KEY)


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_examples(server: Running) -> None:
    assert examples("python")
    for example in examples("python"):
        said = output_of([sys.executable, "-c", filled_in(example, server)])
        assert "todo list" in said


def test_the_curl_examples(server: Running) -> None:
    said = [output_of(["bash", "-c", filled_in(example, server)]) for example in examples("bash")]
    assert sum('"object":"chat.completion"' in each for each in said) >= 1
    assert sum("data: [DONE]" in each for each in said) == 1
    assert sum('"object":"list"' in each for each in said) == 1
    assert sum('"agentName"' in each for each in said) == 2
    assert sum('"jobId"' in each for each in said) == 1
    assert not [each for each in said if '"error"' in each]


def test_the_node_examples(server: Running) -> None:
    home = installed(CLIENTS / "node" / "node_modules" / "openai").parents[1]
    assert examples("typescript")
    for number, example in enumerate(examples("typescript")):
        script = home / f"readme_{number}.mjs"
        script.write_text(filled_in(example, server))
        assert "todo list" in output_of([str(home / "node"), str(script)])


def test_every_error_code_of_the_api_is_in_the_table() -> None:
    table = section("delivery.md", "Errors")
    assert {code.value for code in FailureCode} <= set(re.findall("`([a-z_]+)`", table))


def test_the_commands_that_people_are_told_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^|  )make ([a-z-]+)", "\n".join(TEXTS.values()), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert shutil.which("make")


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short() -> None:
    assert len(TEXTS[ROOT / "README.md"].splitlines()) <= 150
    assert len(TEXTS[ROOT / "architecture.md"].splitlines()) <= 200
