"""Ports of this machine on which something answers as a backend does, or nobody."""

import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from entrypoints.cli.detection import UsualPorts


def nobody() -> int:
    """A port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def ports(letta: int | None = None, letta_code: int | None = None, openai: int | None = None) -> UsualPorts:
    return UsualPorts(letta or nobody(), letta_code or nobody(), ((openai or nobody(), "Ollama"),))


class Speaker:
    """Answers GET with what it was given for the path: a status and a body."""

    def __init__(self, answers: Mapping[str, tuple[int, bytes]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, b""))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


OLLAMA = {"/v1/models": (200, b'{"object": "list", "data": [{"id": "qwen3", "object": "model"}]}')}
