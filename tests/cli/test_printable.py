"""What comes from agents, from Letta and from clients cannot play tricks on a terminal, or break a line of the log."""

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.printable import on_one_line, visible
from tests.cli.conftest import Lettabot
from tests.cli.fake_letta import ANNA, BERT, FakeLetta
from tests.cli.processes import LETTABOT, PATIENCE, Place

CLIPBOARD = "\x1b]52;c;Y3VybCBldmlsfHNo\x07"
TRICKS = [CLIPBOARD, "\x1b[2J", "\x9b2J", "\r", "\b", "\x7f", "\u202e", "\u2066", "\u2028", "\ud800", "\x00"]
OBEYED = {character for character in "".join(TRICKS) if not " " <= character <= "~"}


@pytest.mark.parametrize("trick", TRICKS)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(trick: str) -> None:
    for shown in (visible(f"a{trick}b"), on_one_line(f"a{trick}b")):
        assert not set(shown) & OBEYED
        assert re.fullmatch(r"a(\\[bfnrt]|\\[xuU][0-9a-f]+|[\x20-\x7e])+b", shown)


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("plain", "Zoë, naïve", "日本語", "👩‍👩‍👧 🇩🇪", "שלום", "a\N{NO-BREAK SPACE}b", "back\\slash"):
        assert visible(text) == on_one_line(text) == text
    assert visible("two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert visible("two\r\nlines") == "two\nlines"
    assert on_one_line("two\nlines\tand a tab") == r"two\nlines\tand a tab"


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_it_is_it_can_be_written_on_one_line(text: str) -> None:
    assert len(on_one_line(text).encode().decode().splitlines()) <= 1


def all_of(descriptor: int) -> str:
    """What is written at the other end, until that is closed."""
    received = b""
    # Instead of nothing, a terminal at its end has an error.
    with contextlib.suppress(OSError):
        while part := os.read(descriptor, 65536):
            received += part
    os.close(descriptor)
    return received.decode().replace("\r\n", "\n")


LOGGING = f"""
import logging, structlog
from entrypoints.logs import configure_logs

configure_logs("info", as_json=False)
trick = {CLIPBOARD!r} + "\\n2026-01-01 [info] forged"
structlog.get_logger().info(trick, value=trick, other=[trick])
logging.getLogger("library").warning("it said %s", trick)
try:
    raise ValueError(trick)
except ValueError:
    structlog.get_logger().exception("failed")
    logging.getLogger("library").exception("failed, too")
print("end", flush=True)
"""


@pytest.mark.parametrize("on_terminal", [True, False])
def test_the_log_cannot_be_forged_and_does_nothing_to_a_terminal(on_terminal: bool) -> None:
    reading, writing = pty.openpty() if on_terminal else os.pipe()
    subprocess.run([sys.executable, "-c", LOGGING], stderr=writing, check=True, stdout=subprocess.DEVNULL)
    os.close(writing)
    colourless = re.sub(r"\x1b\[[0-9;]*m", "", all_of(reading))
    assert not OBEYED & set(colourless)
    assert colourless.count("Traceback") == 2
    assert colourless.count("]52;c;") == 6
    assert not [line for line in colourless.splitlines() if line.startswith("2026-01-01")]


ODD_NAME = f"anna{CLIPBOARD}\n\tBERT \u202eevil"
ODD_AGENTS = [(ANNA, ODD_NAME), (BERT, "bert")]


def test_the_name_of_an_agent_breaks_no_row_of_the_list(lettabot: Lettabot) -> None:
    with FakeLetta(ODD_AGENTS) as letta:
        listed = lettabot("agents", LETTA_BASE_URL=letta.url).stdout
    assert not OBEYED & set(listed)
    assert "\t" not in listed
    assert [line.split()[-4] for line in listed.splitlines()[1:]] == [ANNA, BERT]


def test_names_and_answers_do_nothing_to_the_terminal_of_a_chat(place: Place) -> None:
    with FakeLetta(ODD_AGENTS) as letta:
        reading, writing = pty.openpty()
        chat = subprocess.Popen(
            [*LETTABOT, "chat"],
            cwd=place.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(place.directory), "LETTA_BASE_URL": letta.url},
            stdin=subprocess.PIPE,
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        chat.communicate(f"two\twords {CLIPBOARD}\u202e\n".encode(), PATIENCE)
        said = all_of(reading)
    assert "You said: two\twords \\x1b]52;c;" in said
    assert not OBEYED & set(said)


def test_a_file_gets_an_answer_as_it_is(lettabot: Lettabot) -> None:
    with FakeLetta(ODD_AGENTS) as letta:
        chatted = lettabot("chat", typed=f"words {CLIPBOARD}\n", LETTA_BASE_URL=letta.url)
    assert chatted.stdout == f"You said: words {CLIPBOARD}\n"


def test_what_an_encoding_does_not_have_is_no_error(place: Place) -> None:
    with FakeLetta([(ANNA, "日本")]) as letta:
        listed = place.run("agents", LETTA_BASE_URL=letta.url, PYTHONIOENCODING="latin-1")
    assert listed.process.returncode == 0
    assert "\\u65e5\\u672c" in listed.out


def test_an_error_names_files_and_what_letta_says_without_their_tricks(lettabot: Lettabot, tmp_path: Path) -> None:
    failed = lettabot("agents", "--config", f"no{CLIPBOARD}.yaml")
    assert "\\x1b]52;c;" in failed.stderr
    assert not OBEYED & set(failed.stderr)
    checked = lettabot("check", DATA_DIR=str(tmp_path / f"data{CLIPBOARD}"))
    assert not OBEYED & set(checked.output)
