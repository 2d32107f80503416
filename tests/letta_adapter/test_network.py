"""What the environment says of the way to Letta: what is used, what is ignored, and what is refused by its name."""

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from adapters.letta.proxies import is_loopback, proxy_for
from adapters.letta.setting_error import NetworkSettingError
from domain.model.failures import FailureError

ELSEWHERE = "http://letta.example:8283"
HERE = ["http://localhost:8283", "http://127.0.0.1:8283", "http://127.1.2.3", "http://[::1]:8283", "http://x.localhost"]
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def refusal(base_url: str) -> str:
    with pytest.raises(NetworkSettingError) as raised:
        letta_client(base_url, None)
    assert "secret" not in str(raised.value)
    assert str(raised.value).count("\n") == 0
    return str(raised.value)


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "socks://127.0.0.1:1080/",
        "socks5://user:secret@127.0.0.1:1080",
        "socks5h://127.0.0.1:1080",
        "SOCKS4://127.0.0.1",
        "ftp://proxy.example",
        "http://",
        "http://:3128",
        "http://user:secret@:3128",
        "http://proxy.example:99999",
        "http://proxy.example:0",
        "http://proxy.example:port",
        "http://user:secret@proxy example:3128",
        "http://[::1",
        "http://proxy.example:3128\n",
        '"http://user:secret@proxy.example:3128"',
        "://",
        "proxy.example:3128:secret",
        "http://us%3Aer:secret@proxy.example:3128",
        "http://üsér\u2603:secret@proxy.example:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert refusal(ELSEWHERE).startswith(f"{name} ")
    for url in HERE:
        letta_client(url, None)
    monkeypatch.setenv("NO_PROXY", "letta.example")
    letta_client(ELSEWHERE, None)


def test_a_proxy_for_other_addresses_only_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    letta_client(ELSEWHERE, None)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1")
    letta_client(ELSEWHERE, None)


@pytest.mark.parametrize(
    ("base_url", "environment", "proxy"),
    [
        (ELSEWHERE, {}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (ELSEWHERE, {"http_proxy": "p:1"}, "http://p:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://a:1", "http_proxy": "http://b:1"}, "http://b:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://a:1", "http_proxy": ""}, None),
        (ELSEWHERE, {"ALL_PROXY": "https://p:1"}, "https://p:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://a:1", "ALL_PROXY": "http://b:1"}, "http://a:1"),
        (ELSEWHERE, {"HTTPS_PROXY": "http://a:1"}, None),
        ("https://letta.example", {"HTTPS_PROXY": "http://a:1"}, "http://a:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "other.example,*"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": " letta.example "}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "no_proxy": "example"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": ".example"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "*.example"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "LETTA.EXAMPLE."}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "letta.example:8283"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "http://letta.example"}, None),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "letta.example:80"}, "http://p:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "https://letta.example"}, "http://p:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "etta.example"}, "http://p:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "letta.example.org"}, "http://p:1"),
        (ELSEWHERE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": ""}, "http://p:1"),
        (
            ELSEWHERE,
            {"HTTP_PROXY": "http://p:1", "NO_PROXY": "[::1],http://[,%,::1%1,a:b:c,://,fe80::/99,ü"},
            "http://p:1",
        ),
        ("http://10.1.2.3", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://10.1.2.3", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3"}, None),
        ("http://[fd00::5]:8283", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "[fd00::5]"}, None),
        ("http://[fd00::5]:8283", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "[fd00::5]:8283"}, None),
        ("http://[fd00::5]:8283", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, None),
    ],
)
def test_the_proxy_that_leads_to_letta(
    monkeypatch: pytest.MonkeyPatch, base_url: str, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(httpx.URL(base_url))
    assert (str(found.url) if found else None) == proxy


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "::1", "0.0.0.0"])
def test_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["letta", "localhost.example", "10.0.0.1", "128.0.0.1", "::2", "a b", "", "1.2.3.999"])
def test_other_addresses(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::DeprecationWarning:httpx_aiohttp")
async def test_a_proxy_with_a_login_works_and_its_login_goes_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{port}")
    gateway = LettaGateway(letta_client(ELSEWHERE, "letta-key"))
    await gateway.check()
    await gateway.close()
    server.close()
    [head] = heads
    assert head.startswith(f"GET {ELSEWHERE}/v1/agents/?limit=1 ")
    assert "proxy-authorization: basic dxnlcjpzzwnyzxq=" in head.lower()


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::DeprecationWarning:httpx_aiohttp")
@pytest.mark.parametrize(("proxy", "is_blamed"), [("http://proxy.example:3128", True), ("", False)])
async def test_a_proxy_whose_name_cannot_be_found_is_not_taken_for_letta(
    monkeypatch: pytest.MonkeyPatch, proxy: str, is_blamed: bool
) -> None:
    async def find(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", find)
    monkeypatch.setenv("http_proxy", proxy)
    gateway = LettaGateway(letta_client(ELSEWHERE, None))
    with pytest.raises(FailureError) as raised:
        await gateway.check()
    await gateway.close()
    assert ("The proxy on the way" in raised.value.failure.what) == is_blamed


@pytest.mark.parametrize("kind", ["gone", "a directory", "no certificates", "empty"])
def test_certificates_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    (tmp_path / "no certificates").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "a directory").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / kind))
    for url in ("https://letta.example", "http://letta.example"):
        assert refusal(url).startswith(f"SSL_CERT_FILE names {tmp_path / kind}, which cannot be read as certificates")


@pytest.mark.parametrize("kind", ["gone", "empty"])
def test_a_directory_without_certificates_is_named_where_it_matters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / kind))
    assert refusal("https://letta.example").startswith(f"SSL_CERT_DIR names {tmp_path / kind},")
    letta_client("http://letta.example", None)
    monkeypatch.setenv("SSL_CERT_FILE", ssl.get_default_verify_paths().cafile or _certifi())
    letta_client("https://letta.example", None)


def _certifi() -> str:
    import certifi

    return certifi.where()


@pytest.mark.parametrize("value", ["a b: c", "X-A: ü", "X-A: a\rb", "X-A: \x7f", ": x", "X-Good: 1\nX-Ü: 2"])
def test_headers_that_cannot_be_sent_are_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LETTA_CUSTOM_HEADERS", value)
    assert refusal(ELSEWHERE).startswith("LETTA_CUSTOM_HEADERS has a line")
    monkeypatch.setenv("LETTA_CUSTOM_HEADERS", "X-A: b: c\n\nno colon, not a header\nX-Tab:\ta\tb\n")
    letta_client(ELSEWHERE, None)


@pytest.mark.parametrize("url", ["http://1.2.3.999", "http://[v1.a]", "http://a/" + "x" * 70_000])
def test_what_is_no_url_to_httpx_is_refused_in_words(url: str) -> None:
    assert refusal(url).startswith("LETTA_BASE_URL (server.baseUrl) is not a URL")
