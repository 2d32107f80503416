"""A person at Open WebUI, in headless Chromium. Runs in Open WebUI's own environment, which has Playwright.

Does what lines of JSON on stdin say, {"do": ..., ...}, and answers each with a line: what is on the page by then."""

import json
import sys
import time
from typing import Any

from playwright.sync_api import Page, sync_playwright

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
STOP = 'button[aria-label*="Stop"]'


class Person:
    """One browser page, signed in."""

    def __init__(self, page: Page, url: str, email: str, password: str) -> None:
        self._page = page
        self._url = url
        # Nothing but this machine: the page asks for nothing that is needed elsewhere.
        page.route(
            "**/*",
            lambda route: route.continue_() if route.request.url.startswith((url, "data:", "blob:")) else route.abort(),
        )
        page.goto(f"{url}/auth")
        page.fill('input[type="email"]', email, timeout=60_000)
        page.fill('input[type="password"]', password)
        page.click('button[type="submit"]')
        page.wait_for_selector("#chat-input", timeout=60_000)
        time.sleep(1.5)
        self._close_dialogs()

    def new_chat(self, model: str) -> None:
        self._page.goto(f"{self._url}/")
        self._page.wait_for_selector("#chat-input", timeout=60_000)
        time.sleep(1)
        self._close_dialogs()
        self._page.click('button[id^="model-selector"]')
        search = self._page.locator("#model-search-input")
        search.wait_for(timeout=15_000)
        search.fill(model)
        time.sleep(0.7)
        self._page.keyboard.press("Enter")
        time.sleep(0.5)

    def say(self, text: str, image: str | None = None, wait: bool = True) -> None:
        answers = self._page.locator(".chat-assistant").count()
        if image:
            self._page.set_input_files("input[type=file]", image)
            time.sleep(2)
        self._page.click("#chat-input")
        self._page.keyboard.type(text, delay=5)
        self._page.keyboard.press("Enter")
        if wait:
            self.wait(answers + 1)

    def wait(self, answers: int = 1) -> None:
        """Until so many answers are there, and the last one is done."""
        started = time.monotonic()
        quiet_since = started
        while time.monotonic() - started < 120:
            busy = self._page.locator(STOP).count() or self._page.locator(".chat-assistant").count() < answers
            if busy:
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since > 2:
                return
            time.sleep(0.1)
        raise TimeoutError("the answer never came to its end")

    def stop(self) -> None:
        self._page.locator(STOP).first.click()
        self.wait()

    def regenerate(self) -> None:
        self._page.locator(".regenerate-response-button, button[aria-label='Regenerate']").last.click()
        time.sleep(0.7)
        again = self._page.locator("text=Try Again")
        if again.count():
            again.first.click()
        self.wait()

    def edit(self, text: str) -> None:
        self._page.locator(".user-message").last.hover()
        self._page.locator(".edit-user-message-button").last.click()
        self._page.locator('textarea[id^="message-edit"]').last.fill(text)
        self._page.locator("button:has-text('Send')").last.click()
        self.wait()

    def shot(self, path: str) -> None:
        self._page.screenshot(path=path)

    def look(self) -> dict[str, Any]:
        """What is to be read."""
        answers = [each.strip() for each in self._page.locator(".chat-assistant").all_inner_texts()]
        return {"answers": answers, "page": self._page.locator("body").inner_text()}

    def _close_dialogs(self) -> None:
        for _ in range(3):
            if self._page.locator('[role="dialog"], .modal').count():
                self._page.keyboard.press("Escape")
                time.sleep(0.5)


def main(chromium: str, url: str, email: str, password: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        person = Person(browser.new_page(viewport={"width": 1280, "height": 900}), url, email, password)
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            try:
                getattr(person, command.pop("do"))(**command)
                print(json.dumps(person.look()), flush=True)
            except Exception as error:  # noqa: BLE001  (told to whoever asked)
                print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
