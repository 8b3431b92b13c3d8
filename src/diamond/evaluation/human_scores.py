"""Random and human scores of the 26 Atari 100k games, as printed in table 1 of the paper (arXiv 2405.12399).

They are mean returns of whole games. The random ones come from the literature; the random policy that this package
measures itself may differ a little, and is what an agent should be compared with.
"""

from typing import NamedTuple

SOURCE = "as printed in table 1 of arXiv 2405.12399"


class ReferenceScores(NamedTuple):
    """Published mean returns of one game."""

    random: float
    human: float


_TABLE = {
    "Alien": (227.8, 7127.7),
    "Amidar": (5.8, 1719.5),
    "Assault": (222.4, 742.0),
    "Asterix": (210.0, 8503.3),
    "BankHeist": (14.2, 753.1),
    "BattleZone": (2360.0, 37187.5),
    "Boxing": (0.1, 12.1),
    "Breakout": (1.7, 30.5),
    "ChopperCommand": (811.0, 7387.8),
    "CrazyClimber": (10780.5, 35829.4),
    "DemonAttack": (152.1, 1971.0),
    "Freeway": (0.0, 29.6),
    "Frostbite": (65.2, 4334.7),
    "Gopher": (257.6, 2412.5),
    "Hero": (1027.0, 30826.4),
    "Jamesbond": (29.0, 302.8),
    "Kangaroo": (52.0, 3035.0),
    "Krull": (1598.0, 2665.5),
    "KungFuMaster": (258.5, 22736.3),
    "MsPacman": (307.3, 6951.6),
    "Pong": (-20.7, 14.6),
    "PrivateEye": (24.9, 69571.3),
    "Qbert": (163.9, 13455.0),
    "RoadRunner": (11.5, 7845.0),
    "Seaquest": (68.4, 42054.7),
    "UpNDown": (533.4, 11693.2),
}

REFERENCE_SCORES: dict[str, ReferenceScores] = {game: ReferenceScores(*scores) for game, scores in _TABLE.items()}
