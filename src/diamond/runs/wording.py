"""Numbers as people read them."""

import math

Number = int | float
_LARGEST = 1e100

MINUS = "\N{MINUS SIGN}"


def finite(value: object) -> float | None:
    """A number found in a file, or None if it is something else, not a number, or too large to draw or to print."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of floats
        return None
    return number if abs(number) < _LARGEST else None  # false for nan, too


def number_text(value: Number, decimals: int | None = None) -> str:
    """A number with thousands separators; without `decimals`, to about three significant digits."""
    if decimals is None:
        decimals = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        if value != 0 and decimals > 6:
            return f"{value:.2e}".replace("-", MINUS)
        decimals = 0 if float(value).is_integer() else decimals
    text = f"{value:,.{decimals}f}"
    return "0" if text.strip("-0.") == "" and decimals == 0 else text.replace("-", MINUS)


def interval_decimals(mean: Number, low: Number | None, high: Number | None) -> int | None:
    """Decimals that show a mean as finely as its interval warrants: two digits of the half-width."""
    if low is None or high is None or high <= low:
        return None
    return min(6, max(0, 1 - math.floor(math.log10((high - low) / 2))))


def interval_text(mean: Number, low: Number | None, high: Number | None) -> str:
    """A mean and its interval, for example `12.4 (10.2 to 14.9)`."""
    decimals = interval_decimals(mean, low, high)
    if low is None or high is None:
        return number_text(mean)
    return f"{number_text(mean, decimals)} ({number_text(low, decimals)} to {number_text(high, decimals)})"


def duration_text(seconds: Number) -> str:
    """A duration in its two largest units."""
    if seconds < 60:
        return f"{number_text(seconds, 1 if 0 < seconds < 10 else 0)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h"


def size_text(size: Number) -> str:
    """Bytes in the largest decimal unit that keeps the number above one."""
    for unit in ("bytes", "kB", "MB"):
        if abs(size) < 1000:
            return f"{number_text(size)} {unit}"
        size /= 1000
    return f"{number_text(size)} GB"


def tick_text(value: Number) -> str:
    """A short axis label: 15000 is `15k`, 2000000 is `2M`."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.10g}{name}".replace("-", MINUS)
    return f"{value:.10g}".replace("-", MINUS)


def listing(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
