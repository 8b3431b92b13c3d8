"""What a waiting person is told: the phase, its speed, the time left; on a terminal in one line, elsewhere now and
then."""

import io
from pathlib import Path

import pytest

from diamond.runs import progress as module
from diamond.runs.progress import PlannedWork, Progress, size
from diamond.runs.wording import duration_text

PLAN = [
    PlannedWork("collect", "real steps", 100),
    PlannedWork("denoiser", "denoiser updates", 20),
    PlannedWork("actor_critic", "actor-critic updates", 20, imagined_frames=40),
]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Screen(io.StringIO):
    """Takes text as a file or a terminal does."""

    buffer, mode, name = io.BytesIO(), "w", "screen"

    def __init__(self, terminal: bool = False) -> None:
        super().__init__()
        self.isatty = lambda: terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def work(progress: Progress, clock: Clock, phase: str, units: int, seconds: float) -> None:
    for _ in range(units):
        clock.now += seconds
        progress.advance(phase, 1)


def test_the_time_left_is_known_when_every_phase_was_seen(clock: Clock) -> None:
    """100 steps at 0.1 s and 20 updates of each network at 1 and 3 s are planned."""
    progress = Progress(quiet=True)
    progress.begin(PLAN, epoch=0, epochs=3)
    assert progress.seconds_left() is None
    work(progress, clock, "collect", 60, 0.1)
    work(progress, clock, "denoiser", 10, 1.0)
    assert progress.seconds_left() is None
    work(progress, clock, "actor_critic", 1, 3.0)
    assert progress.seconds_left() == pytest.approx(40 * 0.1 + 10 * 1.0 + 19 * 3.0)


def test_a_phase_with_nothing_left_need_not_be_seen(clock: Clock) -> None:
    progress = Progress(quiet=True)
    progress.begin([PlannedWork("collect", "real steps", 0), *PLAN[1:]], epoch=2, epochs=3)
    for phase in ("denoiser", "actor_critic"):
        work(progress, clock, phase, 1, 1.0)
    assert progress.seconds_left() == pytest.approx(19 + 19)


def test_more_work_than_planned_leaves_nothing(clock: Clock) -> None:
    progress = Progress(quiet=True)
    progress.begin(PLAN[:1], epoch=0, epochs=1)
    work(progress, clock, "collect", 120, 1.0)
    assert progress.seconds_left() == 0


def test_time_spent_between_epochs_and_on_other_phases_is_no_phase_s(clock: Clock) -> None:
    progress = Progress(quiet=True)
    progress.begin(PLAN[1:], epoch=2, epochs=3)
    for phase in ("denoiser", "actor_critic"):
        work(progress, clock, phase, 1, 1.0)
    clock.now += 1_000
    progress.games(1, 2)
    clock.now += 1_000
    progress.advance("evaluation", 1)
    clock.now += 1_000
    progress.epoch({"epoch": 3}, 0)
    work(progress, clock, "denoiser", 1, 1.0)
    assert progress.seconds_left() == pytest.approx(18 + 19)


def test_a_line_tells_phase_speed_score_disk_and_time(clock: Clock) -> None:
    stream = Screen()
    progress = Progress(stream)
    progress.begin(PLAN, epoch=1, epochs=3)
    progress.epoch({"epoch": 1, "collect/return_mean": 3.25}, 2_600_000)
    work(progress, clock, "collect", 61, 1.0 / 61)
    work(progress, clock, "denoiser", 1, 10.0)
    work(progress, clock, "actor_critic", 1, 0.5)
    work(progress, clock, "actor_critic", 1, 9.5)
    first, second = stream.getvalue().splitlines()
    known = duration_text(39 / 61 + 19 * 10.0)
    assert first == (
        "epoch 2/3 | 0.1 denoiser updates/s | return 3.2 | 2.60 MB on disk | "
        f"more than {known} left: not every phase has run yet"
    )
    left = duration_text(39 / 61 + 19 * 10.0 + 18 * 5.0)
    assert second == (
        f"epoch 2/3 | 0.2 actor-critic updates/s | 8 imagined frames/s | return 3.2 | 2.60 MB on disk | {left} left"
    )


def test_evaluation_counts_games(clock: Clock) -> None:
    stream = Screen()
    progress = Progress(stream)
    progress.games(1, 8)
    clock.now += 11
    progress.games(3, 8)
    assert stream.getvalue() == "playing real games to score the agent: 3 of 8 done\n"


def test_other_work_is_counted_with_the_time_left(clock: Clock) -> None:
    """50 frames in 11 s: the other 150 take 33 s."""
    stream = Screen()
    progress = Progress(stream)
    progress.counted("dreaming", 0, 200)
    clock.now += 5
    progress.counted("dreaming", 20, 200)
    clock.now += 6
    progress.counted("dreaming", 50, 200)
    assert stream.getvalue() == "dreaming\ndreaming: 50 of 200 | 4.5/s | 33 s left\n"


@pytest.mark.parametrize(("stream", "lines"), [(Screen(), 10), (Screen(terminal=True), 100)])
def test_a_file_gets_a_line_every_ten_seconds_and_a_terminal_one_that_changes(
    clock: Clock, stream: Screen, lines: int
) -> None:
    progress = Progress(stream)
    progress.begin(PLAN, epoch=0, epochs=3)
    work(progress, clock, "denoiser", 100, 1.001)
    text = stream.getvalue()
    assert text.count("denoiser updates/s") == lines
    assert text.count("\n") == (0 if stream.isatty() else lines)
    assert text.count("\r\033[K") == (lines if stream.isatty() else 0)


def test_quiet_is_quiet(clock: Clock) -> None:
    stream = Screen()
    progress = Progress(stream, quiet=True)
    progress.begin(PLAN, epoch=0, epochs=3)
    work(progress, clock, "denoiser", 20, 10.0)
    progress.games(1, 2)
    progress.message("hello")
    assert stream.getvalue() == ""


def test_messages_stay(clock: Clock) -> None:
    streams = Screen(), Screen(terminal=True)
    for stream in streams:
        Progress(stream).message("hello")
    assert [stream.getvalue() for stream in streams] == ["hello\n", "\r\033[Khello\n"]


def test_the_size_of_a_folder_counts_all_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"12345")
    (tmp_path / "a" / "b" / "two").write_bytes(b"123")
    assert size(tmp_path) == 8
