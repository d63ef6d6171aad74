"""The plan multiplies what it has measured by what there is to do, and touches nothing."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wsss_lib.experiments import estimates as measured
from wsss_lib.experiments import plan
from wsss_lib.experiments.estimates import Estimate, estimates
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.plan import picture_counts, plan_lines, summary
from wsss_lib.experiments.profiles import PAPER, PROFILES
from wsss_lib.training.compute import choose_compute
from wsss_lib.vocabulary import SettingsError


def test_hours_by_hand():
    """3,600 steps of two seconds are two hours."""
    estimate = Estimate(role="camvid", stage="classifier", units=3600, unit="steps", seconds=2.0, disk=5e8)
    assert estimate.hours == 2
    assert " ".join(str(estimate).split()) == "camvid classifier 3,600 steps 2.000 s 2.00 h 0.50 GB 0.0 GB"


def test_the_sum_by_hand(tmp_path):
    parts = [
        Estimate(role="voc", stage=name, units=1800, unit="steps", seconds=1.0, disk=1e9, memory=memory)
        for name, memory in (("a", 10**9), ("b", 3 * 10**9))
    ]
    assert summary(parts, Places(build=tmp_path)).startswith("in all 1.0 h, 2.0 GB on the disk")
    assert summary(parts, Places(build=tmp_path)).endswith("at most 3.0 GB of memory at a time")


def test_every_stage_of_the_tiny_role_is_planned(open_tiny, tmp_path):
    """Steps and pictures are those of the settings: 3 train, 2 val and 2 test pictures, one seed."""
    stages = open_tiny(tmp_path).main
    found = {each.stage: each for each in estimates(stages, (3, 2, 2))}
    config = stages.role
    assert found["classifier"].units == config.classifier.training.steps
    assert found["superpixels"].units == 3
    assert found["class maps, dense"].units == 5  # of val, too, for the reference row
    assert found["class maps, patches"].units == 3
    clustering = config.variants["default"].clustering
    assert found["clustering, default"].units == clustering.rounds * (clustering.training.steps + 2)
    assert found["segmentation"].units == config.segmentation.training.steps
    assert found["predictions, segmentation"].units == 7
    assert all(each.seconds >= 0 and each.memory > 0 for each in found.values())
    assert found["superpixels"].seconds > 0
    assert not (tmp_path / "tiny" / "store").exists()


def test_published_numbers_stand_for_data_that_are_not_there(tmp_path):
    experiment = Experiment(Places(profile="paper-dry", build=tmp_path), report=lambda _: None)
    assert picture_counts(experiment.role("cityscapes"), Places(profile="paper", build=tmp_path)) == (2975, 500, 1525)
    assert picture_counts(experiment.role("cityscapes"), experiment.places) == (4, 1, 1)


def test_the_lines_of_a_plan(open_tiny, tmp_path, monkeypatch):
    open_tiny(tmp_path)
    monkeypatch.setattr(plan, "load_profile", lambda name: replace(PROFILES["tiny"], name=name))
    lines = list(plan_lines(Places(profile="tiny", build=tmp_path / "elsewhere")))
    assert lines[0].startswith("tiny on ")
    assert lines[1] == plan.HEADER
    assert re.match(r"in all \d+\.\d h", lines[-1])
    assert not (tmp_path / "elsewhere").exists()


def test_a_kept_plan_says_what_was_measured_and_where(open_tiny, tmp_path, monkeypatch):
    open_tiny(tmp_path)
    monkeypatch.setattr(plan, "load_profile", lambda name: replace(PROFILES["tiny"], name=name))
    lines = list(plan_lines(Places(profile="tiny", build=tmp_path / "elsewhere"), tmp_path / "kept"))
    numbers = pd.read_csv(tmp_path / "kept" / "plan.csv").set_index("stage")
    assert len(numbers) == len(lines) - 3  # device, header, sum
    batch = PROFILES["tiny"].main.segmentation.training.batch_size
    trained = numbers.loc["segmentation"]
    assert trained["pictures per second"] == pytest.approx(batch / trained["seconds"], rel=0.01)
    assert trained["hours"] == pytest.approx(trained["units"] * trained["seconds"] / 3600, rel=0.01)
    table = (tmp_path / "kept" / f"plan_{trained['role']}.md").read_text()
    assert table.count("\n| ") == len(numbers) + 1
    assert re.search(r"Measured on the processor \(.*\), \d+ threads, PyTorch [\d.]+.*, commit [0-9a-f]{10}", table)


def test_speed_counts_the_pictures_of_a_step():
    """A step of ten pictures in a quarter of a second; what took no time has no speed."""
    step = Estimate(role="voc", stage="a", units=1, unit="steps", seconds=0.25, pictures=10)
    assert step.per_second == 40
    assert np.isnan(replace(step, seconds=0.0).per_second)


@pytest.mark.parametrize(
    ("lasts", "of_a_step", "steps"),
    [
        (0.1, 0.5, [1, 1, 21]),
        (5.0, 0.5, [1, 1, 5]),
        (30.0, 0.5, [1, 2]),
        (0.1, 0.001, [1, 1, 21, 81]),
        (5.0, 0.001, [1, 1, 5, 17, 65]),
        (30.0, 0.001, [1, 2, 5, 17]),
    ],
)
def test_quick_steps_are_measured_more_often_and_warmed_up(monkeypatch, lasts, of_a_step, steps):
    """A step costs half or a thousandth of what starting does; what only the first training pays is not in."""
    done, clock = [], [0.0]

    def run(count):
        clock[0] += lasts + (100 if not done and lasts < 10 else 0) + count * lasts * of_a_step
        done.append(count)

    monkeypatch.setattr(measured.time, "perf_counter", lambda: clock[0])
    if lasts < 10:
        monkeypatch.setattr(measured, "_SLOW", 200.0)  # of the first training, which pays for more
    seconds, _ = measured._per_step(run, choose_compute("cpu"))
    assert done == steps
    assert seconds == pytest.approx(lasts * of_a_step)


def test_every_system_of_the_paper_has_a_price():
    assert {name for role in PAPER.roles.values() for name in role.systems} <= set(measured.TRAININGS)


def test_an_unknown_profile_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(SettingsError, match="no profile named 'papr'; did you mean 'paper'"):
        next(plan_lines(Places(profile="papr", build=tmp_path)))
