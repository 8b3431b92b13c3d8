"""Episodes that somebody played and recorded, as experience to train on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from diamond.errors import DataError
from diamond.experience.episodes import Episode, EpisodeFolder


def recorded_episodes(
    folders: Sequence[str], game: str, num_actions: int, shape: tuple[int, int, int], dreamed: bool
) -> Iterator[Episode]:
    """The episodes in folders of recordings, or of another run, in order.

    Args:
        folders: their paths.
        game: what must have been played.
        num_actions: of the game.
        shape: of its frames (h, w, 3).
        dreamed: also those that were played in a dream; else they are left out.

    Raises:
        DataError: a folder holds nothing to train on, or an episode does not fit.
    """
    for name in folders:
        folder = EpisodeFolder(Path(name))
        taken = 0
        for index in folder.indices():
            episode = folder.read(index)
            if episode.origin is not None and episode.origin.world == "dream" and not dreamed:
                continue
            remedy = "train with the environment that it was recorded in"
            require_fitting(folder.path(index), episode, game, num_actions, shape, remedy)
            yield episode
            taken += 1
        if taken == 0:
            raise DataError(
                f"{name} holds no episode of the real game: name a folder of episodes in collection.recordings, "
                "or set collection.dreamed_recordings to train on dreamed ones too"
            )


def require_fitting(
    path: Path, episode: Episode, game: str, num_actions: int, shape: tuple[int, int, int], remedy: str
) -> None:
    """Refuse an episode that does not fit the game, as far as it tells which one it is of.

    Raises:
        DataError: another game was played in it, or its frames or actions are others.
    """
    if episode.origin is not None and episode.origin.game != game:
        raise DataError(f"{path} was recorded in {episode.origin.game}, not in {game}: {remedy}")
    if episode.frames.shape[1:] != shape:
        raise DataError(f"{path} has frames of shape {episode.frames.shape[1:]}, not {shape}: {remedy}")
    if episode.num_steps and episode.actions.max() >= num_actions:
        raise DataError(f"{path} has action {episode.actions.max()}, the game has {num_actions}: {remedy}")
