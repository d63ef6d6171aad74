"""Lines for the reader and the log, and the time that is left."""

import pytest

from wsss_lib.training import report
from wsss_lib.training.report import SILENT, Clock, Report, in_words


def test_a_line_goes_to_both_and_a_note_to_the_log_alone():
    shown, logged = [], []
    told = Report(shown.append, logged.append).about("camvid, seeds")
    told("done")
    told.log("epoch 1")
    assert shown == ["  camvid, seeds: done"]
    assert logged == ["camvid, seeds: done", "camvid, seeds: epoch 1"]
    SILENT("nobody hears this")


def test_the_time_left_counts_only_what_was_done_since_the_start(monkeypatch):
    """10 of 100 pieces were there; 30 more took 60 s, so the other 60 take 120 s."""
    now = [1000.0]
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    clock = Clock(100, 10)
    assert clock.left(10) == ""
    now[0] += 60
    assert clock.left(40) == "2.0 min left"
    assert clock.left(100) == "0 s left"


@pytest.mark.parametrize(("seconds", "words"), [(42, "42 s"), (59.6, "1.0 min"), (150, "2.5 min"), (7200, "2.0 h")])
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
