"""Tabs of a real browser, looked at from outside: what they show, what they asked for, and what they complained of."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playing import PATIENCE, Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]
PIXELS = """name => {
    const screen = document.getElementById(`screen-${name}`);
    const copy = new OffscreenCanvas(screen.width, screen.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(screen, 0, 0);
    return Array.from(copy.getImageData(0, 0, screen.width, screen.height).data);
}"""
VIEWS = "() => Array.from(document.querySelectorAll('canvas'), ({ id }) => id.replace('screen-', ''))"
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextlib.contextmanager
def chromium(*arguments: str) -> Iterator["Browser"]:
    """The browser, without a window; skips the test where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e '.[browser]'")
    with api.sync_playwright() as playwright, _launched(playwright.chromium, *arguments) as browser:
        yield browser


def another(browser: "Browser", *arguments: str) -> contextlib.AbstractContextManager["Browser"]:
    """The browser again with other arguments, beside one that runs: Playwright itself can be started only once."""
    return _launched(browser.browser_type, *arguments)


@contextlib.contextmanager
def _launched(kind: "BrowserType", *arguments: str) -> Iterator["Browser"]:
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    if not found:
        pytest.skip("no Chromium is installed")
    browser = kind.launch(executable_path=found[0], args=[*ARGUMENTS, *arguments])
    yield browser
    browser.close()


class Tab:
    """A page in a browser context of its own, so with a storage and an id of its own.

    Args:
        browser: see the fixture.
        served: the server; the page may ask no other.
        address: of the page; by default that of the server, for a new game.
        options: of the context: window, colours, touch.
    """

    def __init__(self, browser: "Browser", served: Served, address: str | None = None, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        host = urlsplit(served.address).netloc
        for event in ("request", "websocket"):
            self.page.on(event, lambda asked: self._note(asked.url, host))
        self.page.goto(address or served.address)

    def _note(self, url: str, host: str) -> None:
        if urlsplit(url).netloc != host and not url.startswith(("blob:", "data:")):
            self.elsewhere.append(url)

    def close(self) -> None:
        self.context.close()

    def __getitem__(self, selector: str) -> Any:
        """The one element of this CSS selector."""
        return self.page.locator(selector)

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait for something to become true. (The page's rules forbid Playwright to wait inside the page.)"""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, "this never came true"
            self.page.wait_for_timeout(20)

    def until_text(self, selector: str, text: str) -> None:
        self.until(lambda: self[selector].text_content() == text)

    def until_connected(self) -> None:
        self.until(lambda: self["#status"].get_attribute("data-state") == "connected")
        self.until(lambda: self["#views canvas"].count() > 0)

    @property
    def frame(self) -> int:
        """Number of the frame that is shown."""
        return int(self["#frame-number"].text_content())

    @property
    def action(self) -> str:
        return self["#action"].text_content()

    @property
    def player(self) -> str:
        return self["input[name=player]:checked"].get_attribute("value")

    @property
    def world(self) -> str:
        return self["input[name=world]:checked"].get_attribute("value")

    @property
    def views(self) -> list[str]:
        """Which pictures are shown."""
        return self.page.evaluate(VIEWS)

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate(OVERFLOW)

    def pixels(self, name: str = "dream") -> np.ndarray:
        """(16, 16, 4) of a picture, as the canvas holds them."""
        return np.array(self.page.evaluate(PIXELS, name), np.uint8).reshape(16, 16, 4)

    def choose(self, name: str, value: str) -> None:
        """Click a switch and wait until the server has agreed."""
        self[f"label:has(input[name={name}][value={value}])"].click()
        self.until(lambda: self[f"input[name={name}]:checked"].get_attribute("value") == value)

    def pause(self) -> None:
        self["#pause"].click()
        self.until_text("#pause", "Play")

    def step(self) -> None:
        """One frame while paused."""
        before = self.frame
        self["#step"].click()
        self.until(lambda: self.frame == before + 1)

    def setting(self, name: str, value: str) -> None:
        """Turn a setting in its panel, as by hand."""
        if not self[f"#setting-{name}"].is_visible():
            self["#settings > summary"].click()
        self[f"#setting-{name}"].fill(value)
        self[f"#setting-{name}"].press("Enter")
