import io

import pytest

from wsss_lib.experiments.progress import LineWriter, Progress, time_left
from wsss_lib.training.report import in_words


@pytest.mark.parametrize(
    ("done", "current", "ahead", "left"),
    [
        ([], (0, 0), [60, 30], 90),  # nothing measured yet: what was promised
        ([(60, 90)], (60, 30), [], 60),  # 1.5 times slower: 90 s for the current one, 30 of them over
        ([(60, 90)], (60, 30), [20, 20], 120),
        ([(60, 30)], (60, 500), [60], 30),  # an overdue notebook does not make time negative
        ([(0, 50)], (0, 10), [60], 60),  # without a promise nothing can be scaled
    ],
)
def test_time_left_by_hand(done, current, ahead, left):
    assert time_left(done=done, current=current, ahead=ahead) == pytest.approx(left)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (59.7, "1.0 min"), (150, "2.5 min"), (3599, "1.0 h"), (7200, "2.0 h")],
)
def test_in_words(seconds: float, words: str):
    assert in_words(seconds) == words


def test_lines_say_where_the_run_is():
    said: list[str] = []
    progress = Progress({"01": 60.0, "02": 60.0, "03": 120.0}, said.append)
    progress.skip("01")
    progress.start("02", "has not run yet")
    progress.line("seeds: started")
    progress.finish(1500.0)
    assert said == [
        "[1/3] 01: fresh, nothing to do",
        "[2/3, 3.0 min left] 02: runs (has not run yet)",
        "[2/3, 3.0 min left]   seeds: started",
        "[2/3] 02: done in 0 s, 1.5 GB at most",
    ]
    assert progress.left() == pytest.approx(0, abs=1)  # 02 took no time, so neither will 03


def test_nothing_is_said_about_time_where_nothing_was_promised():
    said: list[str] = []
    Progress({"01": 0.0}, said.append).start("01", "asked for")
    assert said == ["[1/1] 01: runs (asked for)"]


def test_whole_lines_are_passed_on_and_everything_is_logged():
    log, said = io.StringIO(), []
    writer = LineWriter(log, said.append)
    for piece in ["seeds: st", "arted\nround", " 1\n\n", " 0%\r 50%\r100%\nend"]:
        writer.write(piece)
    assert said == ["seeds: started", "round 1", "100%"]
    assert log.getvalue() == "seeds: started\nround 1\n\n 0%\r 50%\r100%\nend"
