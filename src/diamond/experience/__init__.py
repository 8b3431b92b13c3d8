"""Real experience: episodes on disk, and training segments drawn from them."""

from diamond.experience.episodes import Episode, EpisodeFolder, read_episode, write_episode
from diamond.experience.replay import Replay

__all__ = ["Episode", "EpisodeFolder", "Replay", "read_episode", "write_episode"]
