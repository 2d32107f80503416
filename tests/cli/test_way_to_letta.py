"""What stands between lettabot and Letta: redirects, strangers, proxies and certificates, as an operator meets them."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.cli.conftest import KEY, Lettabot, client_of, question
from tests.cli.fake_letta import FakeLetta
from tests.cli.processes import Place, wait_until

COMMANDS = [("check",), ("agents",), ("chat",)]
ELSEWHERE = "https://letta.example"
AGENTS = json.dumps([{"id": "agent-00000000-0000-4000-8000-00000000000a", "name": "anna"}]).encode()

Reply = tuple[int, Mapping[str, str], bytes]


@contextmanager
def answering(reply: Callable[[str, str], Reply]) -> Iterator[str]:
    """The URL of a server that answers this to a method and a path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = reply(self.command, self.path.partition("?")[0])
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def redirecting(_method: str, path: str) -> Reply:
    return 307, {"location": f"{ELSEWHERE}{path}?token=secret"}, b""


def page(_method: str, _path: str) -> Reply:
    return 200, {"content-type": "text/html"}, b"<h1>Welcome</h1>"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_redirect_and_the_url_to_set_are_named(lettabot: Lettabot, command: tuple[str, ...]) -> None:
    with answering(redirecting) as url:
        ended = lettabot(*command, typed="hi", LETTA_BASE_URL=url)
    assert ended.exit_code == 1
    assert f"redirects (307) to {ELSEWHERE}/v1/agents" in ended.output
    assert f"set LETTA_BASE_URL (server.baseUrl) to {ELSEWHERE}." in ended.output
    assert "secret" not in ended.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stranger_is_named(lettabot: Lettabot, command: tuple[str, ...]) -> None:
    with answering(page) as url:
        ended = lettabot(*command, typed="hi", LETTA_BASE_URL=url)
    assert ended.exit_code == 1
    assert f"{url}: What answers at the agent backend's address is not Letta" in ended.output


def test_a_service_says_it_to_its_clients_and_to_whoever_asks_whether_it_is_ready(place: Place) -> None:
    def reply(method: str, path: str) -> Reply:
        return (200, {}, AGENTS) if method == "GET" else redirecting(method, path)

    with answering(reply) as good_for_lists, answering(redirecting) as bad:
        first = place.serve(LETTA_BASE_URL=bad, LETTABOT_API_KEY=KEY)
        second = place.serve(LETTA_BASE_URL=good_for_lists, LETTABOT_API_KEY=KEY, DATA_DIR="second")
        with client_of(first) as client:
            ready = client.get("/health/ready")
            asked = client.post("/v1/chat/completions", json=question("hi"))
            assert (ready.status_code, asked.status_code) == (503, 502)
            for code, message in (
                (ready.json()["code"], ready.json()["message"]),
                (asked.json()["error"]["code"], asked.json()["error"]["message"]),
            ):
                assert code == "upstream_redirect"
                assert f"set LETTA_BASE_URL (server.baseUrl) to {ELSEWHERE}." in message
            assert asked.headers["x-should-retry"] == "false"
        wait_until(lambda: "upstream_redirect" in first.err, "the first look")
        with client_of(second) as client:
            assert client.get("/health/ready").status_code == 200
            for stream in (False, True):
                asked = client.post("/v1/chat/completions", json=question("hi", stream=stream))
                assert (asked.status_code, asked.json()["error"]["code"]) == (502, "upstream_redirect")
                assert asked.json()["error"]["message"].endswith("Nothing was delivered.")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080/"),
        ("https_proxy", "http://[::1"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
        ("SSL_CERT_DIR", "/nowhere"),
        ("LETTA_CUSTOM_HEADERS", "not a name: x"),
        ("LETTA_BASE_URL", "http://letta example"),
        ("LETTA_API_KEY", "a\nb"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    lettabot: Lettabot, command: tuple[str, ...], name: str, value: str
) -> None:
    ended = lettabot(*command, typed="hi", **{"LETTA_BASE_URL": ELSEWHERE, name: value})
    assert ended.exit_code == 1
    [line] = [line for line in ended.output.splitlines() if line.startswith(("Error: ", "NOT OK"))]
    assert name in line


def test_the_server_does_not_start_with_such_a_variable(place: Place) -> None:
    variables = {
        "ALL_PROXY": "socks://127.0.0.1:1080/",
        "SSL_CERT_FILE": "/nowhere/certificates.pem",
        "SSLKEYLOGFILE": "/nowhere/keys",
    }
    started = {
        name: place.start(
            ["server", "--port", "0"], {"LETTA_BASE_URL": ELSEWHERE, "LETTABOT_API_KEY": KEY, name: value}
        )
        for name, value in variables.items()
    }
    for name, server in started.items():
        assert server.process.wait(30) == 1
        assert "Traceback" not in server.err
        [line] = [line for line in server.err.splitlines() if line.startswith("Error: ")]
        assert name in line


def test_letta_on_this_machine_needs_no_proxy_and_libraries_read_no_numbers_of_workers(place: Place) -> None:
    with FakeLetta() as letta:
        server = place.serve(
            LETTA_BASE_URL=letta.url,
            LETTABOT_API_KEY=KEY,
            ALL_PROXY="socks://127.0.0.1:1/",
            HTTP_PROXY="http://127.0.0.1:1",
            WEB_CONCURRENCY="auto",
            LETTA_LOG="debug",
        )
        with client_of(server) as client:
            answer = client.post("/v1/chat/completions", json=question("a secret"))
        assert answer.json()["choices"][0]["message"]["content"] == "You said: a secret"
        assert "a secret" not in server.err


def test_what_refuses_a_message_is_named_to_clients(place: Place) -> None:
    refusals: list[tuple[Reply, int, str, str, str | None]] = [
        ((402, {}, b""), 402, "insufficient_quota", "false", None),
        ((400, {}, b'{"detail":"Insufficient credits"}'), 402, "insufficient_quota", "false", None),
        ((413, {"content-type": "text/html"}, b"<h1>413</h1>"), 413, "upstream_too_large", "false", None),
        ((429, {"retry-after": "7"}, b'{"detail":"slow down"}'), 429, "backend_rate_limit", "true", "7"),
        ((429, {"retry-after": "-9"}, b""), 429, "backend_rate_limit", "true", "20"),
        ((404, {"content-type": "text/html"}, b"<h1>nginx</h1>"), 502, "upstream_not_letta", "false", None),
        ((405, {"content-type": "text/html"}, b"<h1>no</h1>"), 502, "upstream_not_letta", "false", None),
        (page("POST", "/"), 502, "upstream_not_letta", "false", None),
        ((404, {}, b'{"detail":"Agent with ID agent-1 not found"}'), 404, "model_not_found", "false", None),
    ]
    refusal = refusals[0][0]

    def reply(method: str, _path: str) -> Reply:
        return (200, {}, AGENTS) if method == "GET" else refusal

    with answering(reply) as url:
        server = place.serve(LETTA_BASE_URL=url, LETTABOT_API_KEY=KEY)
        with client_of(server) as client:
            for number, (each, status, code, retry, after) in enumerate(refusals):
                refusal = each
                for stream in (False, True):
                    body = question(f"{number} {stream}", stream=stream, model="anna")
                    answer = client.post("/v1/chat/completions", json=body)
                    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
                    assert answer.headers["x-should-retry"] == retry
                    assert answer.headers.get("retry-after") == after
                    assert answer.json()["error"]["message"].endswith("Nothing was delivered.")
