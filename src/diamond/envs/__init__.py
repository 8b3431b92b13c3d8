"""Real worlds behind one contract: `make_env` gives a `RealEnv` for an Atari game or any Gymnasium id.

Importing this package registers `diamond/Catch-v0`, a tiny solvable image environment, with Gymnasium.
"""

import gymnasium

from diamond.config import EnvConfig
from diamond.envs.atari import make_atari_env, require_game
from diamond.envs.base import EnvState, Game, Outcome, RealEnv
from diamond.envs.gym import make_gymnasium_env, require_id

__all__ = ["EnvState", "Game", "Outcome", "RealEnv", "make_env", "require_known"]

gymnasium.register(id="diamond/Catch-v0", entry_point="diamond.envs.toy:Catch")


def make_env(cfg: EnvConfig, num_envs: int, *, training: bool) -> RealEnv:
    """n real environments as `cfg` describes them; `cfg.id` if given, else the Atari game `cfg.game`.

    Args:
        num_envs: environments side by side; `cfg.num_envs` is for collection, evaluations may use another number.
        training: whether a lost life ends the episode where `cfg.life_loss_ends_episode` says so; evaluations play
            whole games.

    Raises:
        EnvError: the environment is unknown, does not fit, or its package is missing.
    """
    if cfg.id is not None:
        return make_gymnasium_env(cfg, num_envs)
    return make_atari_env(cfg, num_envs, training=training)


def require_known(cfg: EnvConfig) -> None:
    """Refuse at once an environment that does not exist; `make_env` also looks at what it is.

    Raises:
        EnvError: the game or the id is unknown, or its package is missing.
    """
    if cfg.id is not None:
        require_id(cfg.id)
    else:
        require_game(cfg.game)
