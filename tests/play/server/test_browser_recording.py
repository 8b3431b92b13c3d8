"""What is played is recorded, watched again and taken away, in a real browser on the real page."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import TINY, as_options

from diamond.experience.episodes import EpisodeFolder
from diamond.lab.speed.latency import BROWSERS

pytestmark = pytest.mark.browser
PATIENCE = 30_000
"""Milliseconds; machines that run tests are busy."""
FIRST_BYTES = {"mp4": re.compile(rb"....ftyp", re.DOTALL), "webp": re.compile(rb"RIFF....WEBP", re.DOTALL)}


@pytest.fixture
def browser() -> Iterator[Any]:
    """A Chromium, without a screen."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The page of the dream that comes with the package; recordings go below `tmp_path`."""
    command = [sys.executable, "-m", "diamond", "play", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None, "the server printed no address"
            yield found[0]
        finally:
            server.terminate()


@pytest.fixture
def problems() -> list[str]:
    """What the browser complained about; there must be nothing in the end."""
    return []


@pytest.fixture
def page(browser: Any, address: str, problems: list[str]) -> Iterator[Any]:
    """The page with its first picture."""
    page = browser.new_page(reduced_motion="reduce")  # recordings do not play by themselves then
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("#views canvas")
    yield page
    assert problems == []


def test_what_was_recorded_can_be_watched_and_taken_away(page: Any, tmp_path: Path) -> None:
    page.click("#recordings summary")
    page.get_by_text("Nothing is recorded yet").wait_for()
    _record(page, frames=20)
    _open(page, page.locator("#recordings-list button").first)

    (folder,) = (tmp_path / "recordings").iterdir()
    number = int(page.inner_text("#replay-title").split()[-1])
    episode = EpisodeFolder(folder).read(number)
    end = episode.num_steps
    for step in sorted({0, 1, end // 2, end}):
        page.locator("#replay-step").fill(str(step))
        assert page.inner_text("#replay-steps") == f"{step} of {end}"
        assert page.inner_text("#replay-return") == f"{episode.rewards[:step].sum():.0f}"
        assert _pixels(page) == episode.frames[step].tobytes()

    for kind, first_bytes in FIRST_BYTES.items():
        with page.expect_download() as download:
            page.click(f"#replay-{kind}")
        assert download.value.suggested_filename == f"recording-{number}.{kind}"
        assert first_bytes.match(Path(download.value.path()).read_bytes())


def test_a_run_is_trained_on_what_was_recorded(
    page: Any, tmp_path: Path, diamond_command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    page.click("#recordings summary")
    page.click("label:has(input[value=real])")
    _record(page, frames=20)
    (folder,) = (tmp_path / "recordings").iterdir()
    small = {name: value for name, value in TINY.items() if name != "env.id"}
    options = [*as_options(small), "--collection.recordings", str(folder), "--run", str(tmp_path / "run")]
    finished = diamond_command("train", "--preset", "laptop", *options, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    played, taken = EpisodeFolder(folder).read(0), EpisodeFolder(tmp_path / "run/episodes").read(0)
    assert np.array_equal(taken.frames, played.frames)
    assert taken.origin is not None and taken.origin.world == "real"


def test_rewards_are_found_and_points_lost_point_down(page: Any) -> None:
    entry = _listed(page)
    for text in ("Real game, agent and you", "4 steps, return 1.5", "branched off no. 3 at step 12"):
        assert text in entry.inner_text()

    _open(page, entry)
    shown = []
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
        shown.append([page.inner_text(f"#replay-{name}") for name in ("steps", "reward", "return")])
    assert shown == [
        ["1 of 4", "2.5", "2.5"],
        ["3 of 4", "−1", "1.5"],
        ["1 of 4", "2.5", "2.5"],
        ["2 of 4", "0", "2.5"],
    ]
    assert re.fullmatch(r"M1 0v-\d\S*", page.get_attribute("#points-won", "d"))
    assert re.fullmatch(r"M3 0v\d\S*", page.get_attribute("#points-lost", "d"))


def test_keys_act_in_the_dialog_while_it_is_open_and_in_the_game_otherwise(page: Any) -> None:
    _open(page, _listed(page))
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#replay-steps") == "1 of 4"
    page.keyboard.press("Space")
    page.get_by_text("4 of 4").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector("#replay:not([open])", state="attached")
    assert page.get_attribute("#record", "aria-pressed") == "false"
    assert page.locator("input[value=agent]").is_checked()

    page.keyboard.press("ArrowRight")
    page.wait_for_selector("input[value=human]:checked", state="attached")
    page.keyboard.press("r")
    page.wait_for_selector("#record[aria-pressed=true]")


def test_what_cannot_be_shown_is_told(page: Any, problems: list[str]) -> None:
    entry = _listed(page)
    page.route("**/recordings/7", lambda route: route.fulfill(status=500, body="7.npz is damaged"))
    entry.click()
    page.locator("#notice.problem", has_text="7.npz is damaged").wait_for()
    page.route("**/recordings/7", lambda route: route.abort())
    entry.click()
    page.locator("#notice.problem", has_text="The server does not answer").wait_for()
    page.unroute("**/recordings/7")
    entry.click()
    page.locator("#notice.problem", has_text="There is no such recording").wait_for()
    assert not page.locator("#replay").is_visible()
    assert [text.startswith("Failed to load resource") for text in problems] == 3 * [True]
    problems.clear()


def test_a_recording_that_cannot_be_kept_stops(page: Any, tmp_path: Path) -> None:
    (tmp_path / "recordings").touch()  # no folder can be made here
    page.keyboard.press("r")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.keyboard.press("r")
    page.locator("#notice.problem", has_text="cannot be written").wait_for()
    page.wait_for_selector("#record[aria-pressed=false]")


def _record(page: Any, frames: int) -> None:
    """Some frames of the agent's play, until they are listed."""
    page.keyboard.press("r")
    page.wait_for_selector("#record[aria-pressed=true]")
    begun = int(page.inner_text("#frame-number"))
    while int(page.inner_text("#frame-number")) < begun + frames:
        page.wait_for_timeout(50)
    page.keyboard.press("r")
    page.wait_for_selector("#record[aria-pressed=false]")
    page.locator("#recordings-list button").first.wait_for()


def _listed(page: Any) -> Any:
    """The button of a recording that is made up: four black steps, with points won in the first, lost in the third."""
    listed = {"number": 7, "world": "real", "players": ["agent", "human"], "parent": 3, "parent_step": 12}
    listed |= {"steps": 4, "return": 1.5, "ended": "truncated", "rewards": [[1, 2.5], [3, -1.0]]}
    header = b'{"frames":5,"height":1,"width":1,"actions":[0,1,2,0],"fps":15}'
    film = len(header).to_bytes(4, "little") + header + bytes(5 * 3)
    page.route("**/recordings", lambda route: route.fulfill(json=[listed]))
    page.route("**/recordings/7", lambda route: route.fulfill(body=film))
    page.click("#recordings summary")
    entry = page.locator("#recordings-list button")
    entry.wait_for()
    return entry


def _open(page: Any, entry: Any) -> None:
    entry.click()
    page.wait_for_selector("#replay[open]")


def _pixels(page: Any) -> bytes:
    """What the canvas of the dialog shows, as rows of RGB."""
    rgba = page.evaluate(
        """() => {
            const canvas = document.getElementById('screen-replay');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return [...data];
        }"""
    )
    return bytes(value for place, value in enumerate(rgba) if place % 4 != 3)
