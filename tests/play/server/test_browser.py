"""The page in a real browser: what players see and do, and that it asks nothing of anybody else."""

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from playing import PATIENCE, Served, serving
from tabs import Tab, chromium

from diamond.play.server.room_manager import Limits

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

LAPTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NOTE_STATES = """() => {
    const [status, pause] = ['status', 'pause'].map((id) => document.getElementById(id));
    globalThis.states = [];
    const note = () => states.push([status.dataset.state, status.textContent, pause.matches(':disabled')]);
    new MutationObserver(note).observe(status, { attributes: true, childList: true });
}"""
"""Keeps every state of the connection, however short: its name, its text, and whether the controls are closed."""

Open = Callable[..., Tab]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium("--disable-gpu") as started:
        yield started


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=Limits(sessions=100)) as server:
        yield server


@pytest.fixture
def open_tab(browser: "Browser", served: Served) -> Iterator[Open]:
    """Opens tabs; in the end none of them may have complained or asked another server."""
    tabs: list[Tab] = []

    def open_one(address: str | None = None, to: Served = served, connected: bool = True, **options: Any) -> Tab:
        tabs.append(Tab(browser, to, address, **(options or LAPTOP)))
        if connected:
            tabs[-1].until_connected()
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.close()
    assert [tab.complaints for tab in tabs] == [[]] * len(tabs)
    assert [tab.elsewhere for tab in tabs] == [[]] * len(tabs)


def test_the_page_loads_and_plays_hundreds_of_frames(open_tab: Open) -> None:
    tab = open_tab()
    tab.setting("speed", "60")
    tab.until_text("label[for=setting-speed] ~ output", "60 frames/s")
    tab.until(lambda: tab.frame >= 300, patience=4 * PATIENCE)
    assert tab["#title"].text_content() == "diamond/Catch-v0"
    assert (tab.player, tab.world, tab.views) == ("agent", "dream", ["dream"])
    assert float(tab["#fps"].text_content()) > 0
    assert tab.pixels().std() > 0


def test_the_same_seed_and_key_give_the_same_picture_and_another_key_another(open_tab: Open) -> None:
    tab = open_tab()
    tab.pause()

    def after(key: str) -> np.ndarray:
        for seed in ("1", "7"):  # setting the same seed again would be no change
            before = tab.frame
            tab.setting("seed", seed)
            tab.until(lambda before=before: tab.frame > before)
        tab.page.keyboard.down(key)
        tab.until(lambda: tab.player == "human")
        before = tab.frame
        tab.page.keyboard.press("e")
        tab.until(lambda: tab.frame > before)
        tab.page.keyboard.up(key)
        return tab.pixels()

    left, right, left_again = after("ArrowLeft"), after("ArrowRight"), after("a")
    assert (left == left_again).all()
    assert (left != right).any()


def test_a_key_takes_over_from_the_agent_which_can_be_given_the_game_again(open_tab: Open) -> None:
    tab = open_tab()
    assert tab.player == "agent"
    tab.page.keyboard.down("ArrowLeft")
    tab.until(lambda: tab.player == "human" and tab.action == "LEFT")
    tab.page.keyboard.down("ArrowRight")
    tab.until(lambda: tab.action == "RIGHT")
    for key in ("ArrowLeft", "ArrowRight"):
        tab.page.keyboard.up(key)
    tab.until(lambda: tab.action == "NOOP")
    tab.page.keyboard.press("m")
    tab.until(lambda: tab.player == "agent")
    tab.until(lambda: tab.action in ("LEFT", "RIGHT"))
    tab.choose("player", "human")
    tab.until(lambda: tab.action == "NOOP")


def test_keys_held_when_the_window_loses_the_focus_are_let_go(open_tab: Open) -> None:
    tab = open_tab()
    tab.page.keyboard.down("ArrowLeft")
    tab.until(lambda: tab.action == "LEFT")
    tab.page.evaluate("() => window.dispatchEvent(new Event('blur'))")
    tab.until(lambda: tab.action == "NOOP")


def test_dream_and_real_game_are_switched_and_stand_side_by_side(open_tab: Open) -> None:
    tab = open_tab()
    tab.choose("world", "real")
    tab.until(lambda: tab.views == ["real"])
    assert not tab["#resync"].is_visible()
    tab.choose("world", "both")
    tab.until(lambda: tab.views == ["real", "dream"])
    boxes = [tab[f"#screen-{name}"].bounding_box() for name in ("real", "dream")]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    tab.pause()
    tab["#resync"].click()
    tab.until(lambda: (tab.pixels("real") == tab.pixels("dream")).all())
    tab.page.keyboard.press("t")
    tab.until(lambda: tab.views == ["dream"])


def test_the_denoising_is_shown_from_noise_to_the_picture(open_tab: Open) -> None:
    tab = open_tab()
    tab["#settings > summary"].click()
    tab["#setting-show_denoising"].click()
    tab.until(lambda: tab.views == ["dream", "noise", "step-1", "step-2"])
    tab.pause()
    assert (tab.pixels("step-2") == tab.pixels("dream")).all()
    assert (tab.pixels("noise") != tab.pixels("dream")).any()


def test_a_real_game_that_is_over_says_so(open_tab: Open) -> None:
    tab = open_tab()
    tab.choose("world", "real")
    tab.until(lambda: tab[".ending"].is_visible())
    assert tab[".ending"].text_content() == "Game over"


def test_pausing_stepping_going_back_and_branching(open_tab: Open) -> None:
    tab = open_tab()
    tab.choose("player", "human")
    tab.pause()
    start = tab.frame
    pictures = {tab.frame: tab.pixels()}
    for _ in range(3):
        tab.step()
        pictures[tab.frame] = tab.pixels()
    tab["#back"].click()
    tab.until(lambda: tab.frame == start + 2)
    tab.page.keyboard.press(",")
    tab.until(lambda: tab.frame == start + 1)
    assert tab["#frames-back"].text_content() == ", 2 back"
    assert (tab.pixels() == pictures[start + 1]).all()
    tab["#forward"].click()
    tab.until(lambda: tab.frame == start + 2)
    assert (tab.pixels() == pictures[start + 2]).all()
    tab["#rewind"].fill(str(start))
    tab.until(lambda: tab.frame == start and (tab.pixels() == pictures[start]).all())
    tab.page.keyboard.down("d")  # the arrows belong to the slider, which has the focus
    tab.step()
    tab.page.keyboard.up("d")
    assert (tab.action, tab["#frames-back"].text_content()) == ("RIGHT", "")  # those after it are gone
    assert (tab.pixels() != pictures[start + 1]).any()
    tab["#pause"].click()
    tab.until(lambda: tab.frame > start + 5)


def test_a_second_page_watches_until_the_driver_has_left_and_then_takes_the_controls(open_tab: Open) -> None:
    driver = open_tab()
    watcher = open_tab(driver.page.url)
    assert watcher.page.url == driver.page.url
    watcher.until(lambda: "somebody else has the controls" in watcher["#watching-text"].text_content())
    assert watcher["#drive"].is_disabled() and watcher["#pause"].is_disabled() and driver["#pause"].is_enabled()
    watcher.until_text("#viewers", "2 viewers")
    driver.pause()
    watcher.until_text("#pause", "Play")
    assert (watcher.pixels() == driver.pixels()).all()
    watcher.page.keyboard.press("ArrowLeft")  # is nobody's business
    assert watcher.player == "agent"
    driver.page.close()
    watcher.until(lambda: "Nobody has the controls" in watcher["#watching-text"].text_content())
    watcher["#drive"].click()
    watcher.until(lambda: watcher["#pause"].is_enabled() and not watcher["#watching"].is_visible())
    watcher.step()


def test_a_page_that_is_reloaded_has_its_game_and_its_controls_again(open_tab: Open) -> None:
    tab = open_tab()
    tab.pause()
    address, frame = tab.page.url, tab.frame
    tab.page.reload()
    tab.until_connected()
    tab.until(lambda: tab.frame == frame)
    assert tab.page.url == address
    assert tab["#pause"].is_enabled() and tab["#pause"].text_content() == "Play"


def test_a_lost_connection_is_told_and_the_same_game_goes_on(open_tab: Open, served: Served) -> None:
    tab = open_tab()
    tab.page.keyboard.down("ArrowLeft")
    tab.until(lambda: tab.action == "LEFT")
    address, frame = tab.page.url, tab.frame
    tab.page.evaluate(NOTE_STATES)
    served.cut_connections()
    tab.until(lambda: "connected" in [state for state, *_ in tab.page.evaluate("() => states")])
    states = tab.page.evaluate("() => states")
    assert [state for state, *_ in states] == ["lost", "connecting", "connected"]
    assert states[0][1:] == ["Connection lost, trying again in 0.5 seconds", True]
    tab.until_connected()
    tab.until(lambda: tab.frame > frame + 1)
    assert tab.page.url == address
    assert tab["#pause"].is_enabled() and tab.player == "human"
    tab.until(lambda: tab.action == "NOOP")  # the key was let go with the connection


def test_a_picture_of_the_players_own_begins_a_dream(open_tab: Open) -> None:
    tab = open_tab()
    tab.pause()
    tab["#settings > summary"].click()
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (255, 0, 51)).save(file, "PNG")
    tab["#start-image"].set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()})
    tab.until(lambda: (tab.pixels() == (255, 0, 51, 255)).all())
    tab.step()
    assert (tab.pixels() != (255, 0, 51, 255)).any()
    tab["#start-image"].set_input_files({"name": "own.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    tab.until_text("#notice", "This file is no picture that the browser can read.")


def test_a_phone_shows_buttons_to_touch_which_play(open_tab: Open) -> None:
    tab = open_tab(color_scheme="dark", **PHONE)
    background = tab.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(19, 21, 25)"
    assert tab["#touch"].is_visible()
    assert tab["#touch button"].all_text_contents() == ["→", "←"]
    tab.pause()
    tab["#touch [data-button=RIGHT]"].tap()
    tab.until(lambda: tab.player == "human")
    tab.step()
    assert tab.action == "RIGHT"


def test_a_laptop_shows_no_buttons_to_touch_until_asked(open_tab: Open) -> None:
    tab = open_tab()
    assert not tab["#touch"].is_visible()
    tab["#keys > summary"].click()
    tab["#show-touch"].click()
    assert tab["#touch"].is_visible()


@pytest.mark.parametrize("width", [320, 390, 700, 960, 1280])
def test_nothing_is_wider_than_the_window(open_tab: Open, width: int) -> None:
    tab = open_tab(viewport={"width": width, "height": 700}, has_touch=width < 500)
    tab["#settings > summary"].click()
    tab["#setting-show_denoising"].click()
    tab["#keys > summary"].click()
    tab.choose("world", "both")
    tab.until(lambda: len(tab.views) == 5)
    assert tab.overflow <= 0
    for name in ("real", "dream"):
        box = tab[f"#screen-{name}"].bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_a_wrong_token_is_told_in_the_page(open_tab: Open) -> None:
    with serving(host="0.0.0.0") as served:
        address = f"http://127.0.0.1:{served.port}/"
        local = Served(address)
        tab = open_tab(f"{address}?token=wrong", local, connected=False)
        tab.until(lambda: tab["#status"].get_attribute("data-state") == "ended")
        assert tab["#status"].text_content() == (
            "The address lacks the right token: use the one that the server printed."
        )
        assert tab["#again"].is_visible() and tab["#pause"].is_disabled()
        right = open_tab(f"{address}?token={served.token}", local)
        assert f"token={served.token}" in right.page.url  # it goes on with the address


def test_a_full_server_is_told_in_the_page_and_can_be_tried_again(open_tab: Open) -> None:
    with serving(limits=Limits(sessions=1, empty_seconds=0.5)) as served:
        first = open_tab(to=served, address=served.address)
        second = open_tab(to=served, address=served.address, connected=False)
        second.until(lambda: "The server is full" in second["#status"].text_content())
        first.page.close()

        def tried_again() -> bool:
            if second["#again"].is_visible():
                second["#again"].click()
            return second["#status"].get_attribute("data-state") == "connected"

        second.until(tried_again)


def test_what_the_server_refuses_is_shown_and_the_control_goes_back(open_tab: Open) -> None:
    tab = open_tab()
    tab.pause()
    tab.setting("start", "99")
    tab.until_text("#notice", "Start is a whole number from −1 to 4.")
    assert tab["#setting-start"].input_value() == "-1"
