"""Writes docs/images/play-*.png: a run, played in a real browser; needs Chromium and the extra `browser`.

python tools/take_screenshots.py runs/some-run
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent.parent / "docs/images"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
LAPTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "color_scheme": "dark",
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
PATIENCE = 60.0
"""Seconds to wait for anything."""


@contextlib.contextmanager
def playing(run: Path) -> Iterator[str]:
    """The address under which `diamond play` serves a run."""
    command = (sys.executable, "-m", "diamond", "play", str(run), "--port", "0", "--device", "cpu")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split(" at ")[1].split()[0]
        finally:
            server.terminate()


def wait_for(page: Any, condition: Callable[[], bool]) -> None:
    """Wait for something; not in the page, whose rules forbid it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the page does not do what it should")
        page.wait_for_timeout(20)


def play_on(page: Any, frames: int) -> None:
    """Let the game go on for some frames."""
    number = page.locator("#frame-number")
    start = int(number.text_content())
    wait_for(page, lambda: int(number.text_content()) >= start + frames)


def laptop(page: Any) -> None:
    """The agent plays its dream."""
    play_on(page, 18)


def side_by_side(page: Any) -> None:
    """The real game beside the dream, and how the dream's picture came out of noise."""
    page.locator("#settings > summary").click()
    page.locator("#setting-show_denoising").click()
    page.locator("label:has(input[value=both])").click()
    page.locator("#settings > summary").click()
    play_on(page, 20)


def phone(page: Any) -> None:
    """Played with the fingers."""
    play_on(page, 12)
    page.locator("#touch [data-button=LEFT]").tap()
    play_on(page, 2)


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a trained run")
    run = parser.parse_args().run
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    shots: dict[str, tuple[dict[str, Any], Callable[[Any], None]]]
    shots = {"laptop": (LAPTOP, laptop), "side-by-side": (LAPTOP, side_by_side), "phone": (PHONE, phone)}
    with playing(run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, (window, prepare) in shots.items():
            context = browser.new_context(**window)
            page = context.new_page()
            page.goto(address)
            page.locator("#views canvas").wait_for()
            prepare(page)
            page.screenshot(path=IMAGES / f"play-{name}.png")
            print(IMAGES / f"play-{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
