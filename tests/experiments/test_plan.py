"""The plan multiplies what it has measured by what there is to do, and touches nothing."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wsss_lib.baselines.network_rounds import round_settings
from wsss_lib.baselines.spn import SpnConfig
from wsss_lib.experiments import estimates as measured
from wsss_lib.experiments import plan
from wsss_lib.experiments.estimates import UNPLANNED, Estimate, estimates
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.inputs import SPLITS
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.plan import picture_counts, plan_lines, summary
from wsss_lib.experiments.profiles import PAPER, PROFILES, SMOKE, TRUTH, Profile, Role
from wsss_lib.experiments.profiles.plus import with_plus
from wsss_lib.experiments.segmentation import FULL_SUPERVISION
from wsss_lib.experiments.store import Wanted
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
    assert config.whole == config.dense  # so both are one artefact, and made once
    assert found["class maps, whole"].units == 7  # of val and test, too, for the reference row
    assert found["class maps, patches"].units == 3
    clustering = config.variants["default"].clustering
    assert found["clustering, default"].units == clustering.rounds * (clustering.training.steps + 2)
    assert found["segmentation"].units == config.segmentation.training.steps
    assert found["predictions, segmentation"].units == 7
    assert found["full supervision"].units == config.segmentation.training.steps
    assert found["predictions, full supervision"].units == 7
    assert all(each.seconds >= 0 and each.memory > 0 for each in found.values())
    assert found["superpixels"].seconds > 0
    assert not (tmp_path / "tiny" / "store").exists()


COUNTS = (30, 20, 7)


def with_more(role: Role) -> Role:
    """Another network, two seeds, and a classifier for each of them."""
    more = {"fcn": replace(role.segmentation, network="fcn8s_small")}
    return replace(role, networks=more, clustering_seeds=(0, 1), segmentation_seeds=(0, 1))


def literal(role: Role) -> Role:
    """As in the profile ``paper``: the literal rules alone, one classifier, and labels of every seed for networks."""
    variants = {"default": role.variants["paper_rules"]}
    return replace(with_more(role), variants=variants, classifier_per_seed=False)


def beyond(role: Role) -> Role:
    """What goes beyond the paper, with its ablations, its ceiling and the halves of the simple pictures."""
    return with_plus(Profile(name="x", summary="", needs_data=False, roles={"camvid": with_more(role)})).main


def frozen(role: Role) -> Role:
    """A backbone that does not learn describes the regions alike for every seed and half."""
    role = beyond(role)
    return replace(role, classifier=replace(role.classifier, frozen=True))


def from_tags(_: Role) -> Role:
    """A classifier that learns from the scenes themselves: there are no halves."""
    return SMOKE.roles["voc"]


@pytest.mark.parametrize("change", [with_more, literal, beyond, frozen, from_tags])
def test_what_is_planned_is_what_the_makers_ask_for(open_tiny, tiny, tmp_path, monkeypatch, change):
    """By stage and number: what a maker asks for and the plan forgets, or counts twice, is a difference here."""
    monkeypatch.setattr(measured, "_per_step", lambda *_: (1.0, 1))
    monkeypatch.setattr(measured, "_timed", lambda call, _: (call(), 1.0, 1))
    stages = open_tiny(tmp_path, role=change(tiny)).main
    planned, asked = planned_work(stages), asked_work(stages)
    assert planned == pytest.approx({stage: work for stage, work in asked.items() if stage not in UNPLANNED})
    cut = {"cuttings"} if any(variant.collages for variant in stages.role.variants.values()) else set()
    assert set(asked) - set(planned) == set(UNPLANNED) - {"cuttings"} | cut


def planned_work(stages: Stages) -> Counter[str]:
    """Steps or pictures of every stage of the store, from the rows of a plan."""
    work: Counter[str] = Counter()
    ceilings = [name for name, each in stages.role.beyond.items() if each.labels == TRUTH]
    rows = {
        name: name for name in ("classifier", "superpixels", "clustering", "relabelling", "predictions", "collages")
    }
    rows |= {"class maps": "class_maps", "region features": "region_features", "compared systems": "system"}
    rows |= dict.fromkeys([FULL_SUPERVISION, *ceilings], "full_supervision")
    for row in estimates(stages, COUNTS):
        stage = rows.get(row.stage) or rows.get(row.stage.split(",")[0]) or "segmentation"
        work[stage] += row.units
    return work


def asked_work(stages: Stages) -> Counter[str]:
    """The same from what the makers ask for; ``relabelling`` is a part of ``clustering``."""
    with stages.experiment.store.asking() as asked:
        for tasks in MAKERS.values():
            for task in tasks(stages):
                task()
    work: Counter[str] = Counter()
    for each in {each.artefact.key: each for each in asked}.values():
        work[each.artefact.stage] += work_of(each, stages)
        if each.artefact.stage == "clustering":
            work["relabelling"] += each.params["variant"]["clustering"]["rounds"] * COUNTS[0]
    return work


def work_of(wanted: Wanted, stages: Stages) -> float:
    """Steps of what is trained, pictures of what is not; 1 of what has no price."""
    params = wanted.params
    match wanted.artefact.stage:
        case "classifier" | "segmentation" | "full_supervision":
            return params["config"]["training"]["steps"]
        case "clustering":
            settings = params["variant"]["clustering"]
            return settings["rounds"] * (settings["training"]["steps"] + settings["center_steps"])
        case "system":
            return params["settings"]["training"]["steps"] * measured.TRAININGS[params["system"]]
        case "superpixels" | "class_maps" | "region_features" | "collages" | "predictions":
            pictures = {stages.scenes(split).fingerprint: i for i, split in enumerate(SPLITS)}
            return COUNTS[pictures[wanted.inputs["pictures"]]]
    return 1


def test_no_file_of_weights_is_needed_to_plan(tmp_path):
    """CamVid's networks start from a file; what is asked for in a plan must not look for it."""
    for role in plan._without_weights(Places(profile="camvid-plus", build=tmp_path)).roles.values():
        configs = [role.segmentation, *role.networks.values(), *(each.network for each in role.beyond.values())]
        assert {config.weights for config in [role.classifier, *configs]} == {"none", "torchvision"}


def test_published_numbers_stand_for_data_that_are_not_there(tmp_path):
    experiment = Experiment(Places(profile="paper-dry", build=tmp_path), report=lambda _: None)
    assert picture_counts(experiment.role("cityscapes"), Places(profile="paper", build=tmp_path)) == (2975, 500, 1525)
    assert picture_counts(experiment.role("cityscapes"), experiment.places) == (4, 1, 1)


def test_a_profile_of_textures_is_planned_with_as_many_as_it_has(tmp_path):
    """Planning puts its textures into a folder of its own, so the data are not where the profile would have them."""
    experiment = Experiment(Places(profile="paper-dry", build=tmp_path / "plan"), report=lambda _: None)
    assert picture_counts(experiment.role("cityscapes"), Places(profile="paper-dry", build=tmp_path)) == (4, 1, 1)


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


def test_spn_costs_the_steps_of_its_rounds():
    settings, rounds = PROFILES["toy"].main.segmentation, SpnConfig().rounds
    steps = sum(round_settings(settings, number, rounds).training.steps for number in range(1, rounds + 1))
    assert steps / settings.training.steps == measured.TRAININGS["spn"]


def test_an_unknown_profile_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(SettingsError, match="no profile named 'papr'; did you mean 'paper'"):
        next(plan_lines(Places(profile="papr", build=tmp_path)))
