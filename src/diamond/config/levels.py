"""What the levels of a network must fulfil: each has its channels, depth and attention, and channels form groups."""

from itertools import pairwise

from diamond.config.ranges import require


def check_levels(name: str, channels: tuple[int, ...], depths: tuple[int, ...], attention: tuple[bool, ...]) -> None:
    """Refuse levels that are not fully described; `name` is that of their group, such as `reward_model`."""
    check_channels(name, channels, "level")
    levels = len(channels)
    require(len(depths) == levels, f"{name}.depths", depths, f"give {levels} positive numbers, one per level")
    require(len(attention) == levels, f"{name}.attention", attention, f"give {levels} values, one per level")


def check_channels(name: str, channels: tuple[int, ...], part: str) -> None:
    """Refuse channels that cannot be normalised; `part` is what has a number of them, such as "level"."""
    require(len(channels) >= 1, f"{name}.channels", channels, f"give one positive number per {part}")
    require(
        all(map(_form_groups, channels)),
        f"{name}.channels",
        channels,
        "each must be divisible by its number of normalisation groups, channels // 32",
    )


def check_joined(name: str, channels: tuple[int, ...]) -> None:
    """Refuse channels that cannot be normalised when the way up of a U-Net joins them."""
    joined = [2 * width for width in channels] + [sum(pair) for pair in pairwise(channels)]
    require(
        all(map(_form_groups, joined)),
        f"{name}.channels",
        channels,
        "on the way up a level's channels join its own and those above: their sums too must be divisible by their "
        "number of normalisation groups, channels // 32",
    )


def _form_groups(channels: int) -> bool:
    """Whether the groups of `networks.blocks.num_groups` are of one size."""
    return channels < 64 or channels % (channels // 32) == 0
