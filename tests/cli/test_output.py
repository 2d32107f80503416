"""What the service prints and logs never stops it: what cannot be written waits, is dropped, and is counted."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import entrypoints.output
from entrypoints.output import ROOM, Output
from tests.cli.conftest import KEY
from tests.cli.processes import LETTABOT, PATIENCE, Place, get, wait_until

F_SETPIPE_SZ = 1031
LINE = "a line of some length, number %06d\n"


class Ends:
    """Of a pipe, a socket or a terminal: `output` writes to one, `read` reads from the other."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing
        self.output = Output(os.fdopen(writing, "w", closefd=False))

    def read(self, until: str) -> str:
        """All that comes, until that has come."""
        received = b""
        while until.encode() not in received:
            assert select.select([self.reading], [], [], PATIENCE)[0], received[-200:]
            received += os.read(self.reading, 65536)
        return received.decode()


def a_pipe() -> Ends:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    return Ends(reading, writing)


def a_socket() -> Ends:
    reading, writing = socket.socketpair()
    return Ends(reading.detach(), writing.detach())


def a_terminal() -> Ends:
    reading, writing = pty.openpty()
    # Line ends stay as they are.
    tty.setraw(writing)
    return Ends(reading, writing)


@pytest.fixture(params=[a_pipe, a_socket, a_terminal])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    make: Callable[[], Ends] = request.param
    ends = make()
    yield ends
    for descriptor in (ends.reading, ends.writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def say(ends: Ends, count: int) -> None:
    for number in range(count):
        ends.output.write(LINE % number)


def test_what_is_written_can_be_read_at_once(ends: Ends) -> None:
    ends.output.write("one\n")
    assert ends.read("\n") == "one\n"


def test_what_nobody_reads_waits_and_comes_in_order(ends: Ends) -> None:
    say(ends, 10_000)
    assert ends.read(LINE % 9_999) == "".join(LINE % number for number in range(10_000))


def test_what_finds_no_room_is_dropped_and_counted(ends: Ends) -> None:
    count = 2 * ROOM // len(LINE % 0)
    say(ends, count)
    received, lost, kept = "", 0, list[str]()
    while lost + len(kept) < count:
        received += ends.read("\n")
        # Mostly once; on a busy machine something finds room in between.
        lost = sum(map(int, re.findall(r"^(\d+) lines of output were lost\.\n", received, re.MULTILINE)))
        kept = [line for line in received.splitlines(keepends=True) if line.endswith("\n") and "were lost" not in line]
    assert 0 < lost < count
    assert kept == sorted(kept)
    assert kept[0] == LINE % 0


def test_it_is_said_where_lines_are_missing(ends: Ends) -> None:
    say(ends, 2 * ROOM // len(LINE % 0))
    ends.read("were lost.\n")
    ends.output.write("another one\n")
    assert ends.read("another one\n") == "another one\n"


def test_what_is_written_by_several_threads_is_not_mixed(ends: Ends) -> None:
    threads = [threading.Thread(target=say, args=(ends, 500)) for _ in range(4)]
    for thread in threads:
        thread.start()
    received = ""
    while received.count("\n") < 2_000:
        received += ends.read("\n")
    assert {received.count(LINE % number) for number in range(500)} == {4}


def test_nobody_waits_longer_than_asked_for_the_rest() -> None:
    ends = a_pipe()
    say(ends, 1_000)
    ends.output.drain(0.01)
    threading.Timer(0.05, lambda: ends.read(LINE % 999)).start()
    ends.output.drain(PATIENCE)


def test_where_the_file_cannot_be_opened_twice_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoints.output, "_writing_at_once", lambda descriptor: None)
    ends = a_pipe()
    say(ends, 10_000)
    assert ends.read(LINE % 9_999) == "".join(LINE % number for number in range(10_000))


def test_a_descriptor_that_somebody_made_non_blocking_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoints.output, "_writing_at_once", lambda descriptor: None)
    ends = a_pipe()
    os.set_blocking(ends.writing, False)
    say(ends, 10_000)
    assert ends.read(LINE % 9_999) == "".join(LINE % number for number in range(10_000))


def test_the_flags_of_the_descriptor_are_left_alone(ends: Ends) -> None:
    assert os.get_blocking(ends.writing)


def test_a_reader_who_is_gone_is_no_error() -> None:
    ends = a_pipe()
    os.close(ends.reading)
    say(ends, 10)


def test_a_full_disk_is_no_error() -> None:
    with open("/dev/full", "w") as full:
        output = Output(full)
        output.write("lost\n")
        output.drain(PATIENCE)


def test_a_line_that_a_full_disk_has_cut_stays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a disk that is full does it: a part is written, then nothing, then all."""
    fits = [3, None, 1_000_000]

    def write(descriptor: int, data: bytes) -> int:
        room = fits[0] if len(fits) == 1 else fits.pop(0)
        if room is None:
            raise OSError("full")
        return plain(descriptor, data[:room])

    plain = os.write
    monkeypatch.setattr(os, "write", write)
    with (tmp_path / "log").open("w") as file:
        output = Output(file)
        output.write("a line\n")
        output.drain(PATIENCE)
        output.write("another one\n")
        output.write("and another one\n")
    log = (tmp_path / "log").read_text()
    assert log == "a l\n1 lines of output were lost.\nanother one\nand another one\n"


def test_a_process_that_is_forked_has_none_of_what_waits() -> None:
    ends = a_pipe()
    say(ends, 1_000)
    if (child := os.fork()) == 0:
        ends.output.write("of the child\n")
        ends.output.drain(PATIENCE)
        os._exit(0)
    received = ends.read("of the child\n")
    while received.count("\n") < 1_001:
        received += ends.read("\n")
    assert os.waitpid(child, 0)[1] == 0
    assert received.count("of the child\n") == 1
    assert received.replace("of the child\n", "") == "".join(LINE % number for number in range(1_000))


def test_a_line_before_a_crash_comes_out(place: Place) -> None:
    crashing = (
        "import os, sys; from entrypoints.output import *; unblock_output(); print('why', file=sys.stderr); os.abort()"
    )
    crashed = place.start(["-c", crashing], {}, [sys.executable])
    assert crashed.process.wait(PATIENCE) == -signal.SIGABRT
    assert crashed.err == "why\n"


CRASHING = """
import os, sys
from entrypoints.output import unblock_output

unblock_output()
print("why", file=sys.stderr)
os.abort()
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_nobody_reads_stops_neither_answers_nor_the_end(place: Place, workers: str) -> None:
    ends = a_pipe()
    with open(place.directory / "out", "w") as out:
        server = subprocess.Popen(
            [*LETTABOT, "server", "--port", "0", "--workers", workers],
            cwd=place.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(place.directory), "LETTABOT_API_KEY": KEY},
            stdout=out,
            stderr=ends.writing,
        )
    os.close(ends.writing)
    try:
        url = re.findall(r"http://127\.0\.0\.1:\d+", ends.read("/v1"))[0]
        for _ in range(60):
            assert get(f"{url}/{'a' * 200}").status_code == 404
        server.terminate()
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()
        server.wait()
        os.close(ends.reading)


def test_a_log_that_is_read_again_says_what_is_missing(place: Place) -> None:
    """Ctrl-S in a terminal, and Ctrl-Q."""
    ends = a_terminal()
    ready = place.write("count.py", COUNTING)
    process = subprocess.Popen([sys.executable, str(ready)], stdout=subprocess.PIPE, stderr=ends.writing)
    try:
        termios.tcflow(ends.writing, termios.TCOOFF)
        assert process.stdout is not None
        assert process.stdout.readline() == b"logged\n"
        termios.tcflow(ends.writing, termios.TCOON)
        text = ends.read("were dropped, because they could not be written")
        while "\n" not in text[text.index("were dropped") :]:
            text += ends.read("\n")
        assert re.search(r"were dropped.*lines.*\d+", text)
    finally:
        process.kill()
        process.wait()


COUNTING = """
import sys, time, structlog
from entrypoints.logs import configure_logs
from entrypoints.output import unblock_output

unblock_output()
configure_logs("info", as_json=False)
time.sleep(0.5)
for number in range(20_000):
    structlog.get_logger().info("a line of some length, so that there is no room for all of them", number=number)
print("logged")
time.sleep(60)
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_do_no_harm(place: Place, closed: str) -> None:
    port = str(free_port())
    command = f'exec "$0" server --port {port} {closed}'
    server = place.start(["-c", command, *LETTABOT], {"LETTABOT_API_KEY": KEY}, ["sh"])

    def is_up() -> bool | None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", int(port))).close()
            return True
        assert server.process.poll() is None
        return None

    wait_until(is_up, "a server")
    # An answer for which all has to be there: before that, a signal is another matter.
    assert get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    assert server.stop() == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
