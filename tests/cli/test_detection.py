"""What `lettabot init` takes for a backend on a usual port, and what not."""

import socket

import pytest

from entrypoints.cli.detection import found_on
from entrypoints.settings import Mode
from tests.cli.fake_letta import FakeLetta
from tests.cli.usual_ports import Speaker, nobody, port_of, ports


class TestDetection:
    @pytest.mark.parametrize(
        ("info", "words"),
        [
            ((401, b'{"error": "unauthorized"}'), "Letta Code, which wants a token"),
            ((200, b'{"backend": "local", "protocol_version": 1}'), "Letta Code"),
        ],
    )
    def test_letta_code_is_found_with_and_without_a_token(self, info: tuple[int, bytes], words: str) -> None:
        code = Speaker({"/readyz": (200, b"ok\n"), "/app-server-info": info})
        [found] = found_on(ports(letta_code=code.port))
        code.stop()
        assert (found.mode, found.url, found.words) == (Mode.LETTA_CODE, f"ws://127.0.0.1:{code.port}", words)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b'{"data": 1}',
            b'{"status": "ok"}',
            b"[" * 100_000,
            b"\xff\xfe",
            b'"' + b"x" * 2_000_000,
        ],
    )
    def test_other_programs_are_not_taken_for_one(self, body: bytes) -> None:
        other = Speaker(dict.fromkeys(("/v1/health/", "/readyz", "/app-server-info", "/v1/models"), (200, body)))
        assert not found_on(ports(other.port, other.port, other.port))
        other.stop()

    def test_a_port_that_says_nothing_is_left(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            assert not found_on(ports(letta=silent.getsockname()[1]))

    def test_no_proxy_is_asked_and_no_key_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody()}")
        with FakeLetta() as letta:
            [found] = found_on(ports(letta=port_of(letta.url)))
        assert found.url == letta.url
        assert letta.keys == [None]
