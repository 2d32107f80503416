"""A real browser before the real service, with a fake gateway behind it. What the page complains of fails the test."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser, Page, async_playwright

from domain.model.agent import Agent
from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import KEY, Service, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202e"\'`${1}'

Open = Callable[..., Awaitable["Portal"]]


class Portal:
    """The page, and the service that it shows. `complaints`: what the browser had to say against the page."""

    def __init__(self, page: Page, service: Service) -> None:
        self.page = page
        self.service = service
        self.complaints: list[str] = []
        self.is_lost = False
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        # The browser itself reports each answer that is no 200.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(text)

    async def enter(self, key: str = KEY) -> None:
        await self.page.fill("#key", key)
        await self.page.press("#key", "Enter")

    async def show(self, view: str) -> None:
        await self.page.click(f"#tab-{view}")

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).first.wait_for(timeout=15_000)

    async def text(self) -> str:
        return await self.page.inner_text("body")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (on Debian: apt install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def open_portal(browser: Browser) -> AsyncIterator[Open]:
    """Opens the portal of a service; `viewport` and the like are the browser's, the rest the service's."""
    opened: list[Portal] = []
    async with AsyncExitStack() as stack:

        async def enter(
            gateway: FakeGateway | None = None, key: str | None = KEY, view: str = "", **options: object
        ) -> Portal:
            of_browser = {name: options.pop(name) for name in ("viewport", "color_scheme") if name in options}
            service = await stack.enter_async_context(running(gateway or FakeGateway(), **options))  # type: ignore[arg-type]
            page = await browser.new_page(**of_browser)  # type: ignore[arg-type]
            await page.add_init_script(
                "addEventListener('securitypolicyviolation', (each) => console.error('CSP ' + each.violatedDirective))"
            )
            portal = Portal(page, service)
            opened.append(portal)
            await page.goto(f"{service.url}/portal{view}")
            if key is not None:
                await portal.enter(key)
                await page.wait_for_selector("[role=tab]")
            return portal

        yield enter
        for portal in opened:
            assert await portal.page.evaluate("window.hacked") is None
            assert portal.complaints == []


def hostile_gateway(text: str) -> FakeGateway:
    """Its first agent has a hostile name, and answers everything with this text."""
    agent = Agent("agent-00000000-0000-4000-8000-00000000000a", HOSTILE, 1_700_000_000)
    steps: list[Step] = [
        Accepted("run"),
        ToolCall("c", HOSTILE, '{"a": "<b>"}'),
        ToolResult("c", HOSTILE),
        Text(text),
        Ended(),
    ]
    return FakeGateway([agent], {"hi": steps})


def ring() -> FakeNamedKeyStore:
    return FakeNamedKeyStore(NamedKey("alice", digest_of(b"alices key"), 0.0))
