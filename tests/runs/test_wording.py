"""Numbers read as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.runs.wording import (
    duration_text,
    finite,
    interval_text,
    listing,
    number_text,
    size_text,
    tick_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3, "3"),
        (12.345, "12.3"),
        (0.01234, "0.0123"),
        (-20.7, "−20.7"),
        (1234567, "1,234,567"),
        (1e-9, "1.00e−09"),
    ],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert number_text(value) == text.replace("−", "\N{MINUS SIGN}")


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (12.43, 10.21, 14.87, "12.4 (10.2 to 14.9)"),
        (0.2093, 0.1821, 0.2354, "0.209 (0.182 to 0.235)"),
        (1234.5, 1000.2, 1500.9, "1,234 (1,000 to 1,501)"),
        (3, 3, 3, "3 (3 to 3)"),
        (2.5, None, None, "2.50"),
    ],
)
def test_intervals_show_as_many_digits_as_they_warrant(
    mean: float, low: float | None, high: float | None, text: str
) -> None:
    assert interval_text(mean, low, high) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (59, "59 s"),
        (59.7, "60 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (12e3, "3 h 20 min"),
        (86400 * 3, "3 days 0 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(10, "10 bytes"), (1500, "1.50 kB"), (10**9, "1 GB"), (2 * 10**12, "2,000 GB")]
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


def test_ticks_and_listings() -> None:
    assert [tick_text(value) for value in (0, 0.5, 15_000, 2e6, -1e9)] == ["0", "0.5", "15k", "2M", "\N{MINUS SIGN}1G"]
    assert tick_text(1.386292) != tick_text(1.386294)
    assert [listing(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


@given(st.one_of(st.none(), st.booleans(), st.text(), st.just(float("nan")), st.just(10**500), st.just(-(10**200))))
def test_only_numbers_are_numbers(value: object) -> None:
    assert finite(value) is None


@given(st.floats(-1e90, 1e90))
def test_every_number_has_a_text(value: float) -> None:
    assert finite(value) == value
    assert number_text(value) and interval_text(value, value - 1, value + 1) and tick_text(value)
    assert duration_text(abs(value)) and size_text(value)
