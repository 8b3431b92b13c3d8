"""From what a player holds to the action of the game.

The five parts of a joystick are buttons; an action such as UPRIGHTFIRE is three of them at once. An action with any
other name is a button of its own.
"""

import re
from collections.abc import Collection, Iterable, Sequence

JOYSTICK = ("UP", "RIGHT", "LEFT", "DOWN", "FIRE")
IDLE = ("NOOP", "STAY", "NONE")
"""What games call doing nothing."""
_KEYS = {
    "UP": ("ArrowUp", "KeyW"),
    "RIGHT": ("ArrowRight", "KeyD"),
    "LEFT": ("ArrowLeft", "KeyA"),
    "DOWN": ("ArrowDown", "KeyS"),
    "FIRE": ("Space",),
    "FORWARD": ("ArrowUp", "KeyW"),
}
"""Keys as `KeyboardEvent.code` names them: by their place, whatever is printed on them."""
_OTHER_KEYS = (*(f"Digit{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)), *(f"Key{letter}" for letter in "QRFZXCVGH"))


def buttons_of(action: str) -> tuple[str, ...]:
    """The buttons that together mean an action."""
    if action in IDLE:
        return ()
    if re.fullmatch(f"({'|'.join(JOYSTICK)})+", action):
        return tuple(re.findall("|".join(JOYSTICK), action))
    return (action,)


def all_buttons(actions: Sequence[str]) -> tuple[str, ...]:
    """Every button of a game, those of the joystick first."""
    used = {button for action in actions for button in buttons_of(action)}
    others = [action for action in actions if action in used and action not in JOYSTICK]
    return (*(button for button in JOYSTICK if button in used), *others)


def default_keys(buttons: Iterable[str]) -> dict[str, str]:
    """The button of each key, until the player chooses others; buttons beyond the keyboard's room get none."""
    keys: dict[str, str] = {}
    others = iter(_OTHER_KEYS)
    for button in buttons:
        own = [code for code in _KEYS.get(button, ()) if code not in keys]
        for code in own or [code for code in [next(others, None)] if code is not None]:
            keys[code] = button
    return keys


def action_for(held: Sequence[str], actions: Sequence[str]) -> int:
    """The action that most of the held buttons make up, all of its own buttons among them; with none held, idling.

    Args:
        held: buttons, the newest press last; where two actions use equally many, the newest press decides.
        actions: the game's action names.
    """
    recency = {button: place for place, button in enumerate(held)}

    def rank(action: str) -> tuple[int, list[int]]:
        buttons = buttons_of(action)
        return len(buttons), sorted((recency[button] for button in buttons), reverse=True)

    possible = [i for i, action in enumerate(actions) if set(buttons_of(action)) <= recency.keys()]
    return max(possible, key=lambda i: rank(actions[i]), default=0)


class Pad:
    """Buttons as messages tell of them, read once a frame: a tap between two frames counts in the next."""

    def __init__(self, buttons: Collection[str]) -> None:
        self._buttons = frozenset(buttons)
        self._held: set[str] = set()
        self._pressed: dict[str, None] = {}  # an ordered set, the newest press last

    def update(self, held: Iterable[str], pressed: Iterable[str]) -> None:
        """What is held now, and what has gone down since the last message."""
        self._held = set(held) & self._buttons
        for button in pressed:
            if button in self._buttons:
                self._pressed.pop(button, None)
                self._pressed[button] = None
        # What is held without a press of its own was pressed before anything that was.
        self._pressed = dict.fromkeys(sorted(self._held - self._pressed.keys())) | self._pressed

    def read(self) -> tuple[str, ...]:
        """Buttons held or tapped since the last reading, the newest press last."""
        now = tuple(self._pressed)
        self._pressed = {button: None for button in now if button in self._held}
        return now

    def release(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._pressed.clear()
