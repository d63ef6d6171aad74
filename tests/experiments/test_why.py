"""What is fresh, what is stale and what has changed, asked of a finished tiny run; nothing is made by asking."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from wsss_lib.experiments import code
from wsss_lib.experiments.counting import counted_predictions
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.measure import reference_scores, round_scores, seed_scores
from wsss_lib.experiments.profiles import Role
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.experiments.why import count_lines, stages_of, why_lines
from wsss_lib.vocabulary import SettingsError

DOWNSTREAM = {"clustering", "segmentation", "predictions", "confusion"}


@pytest.fixture(scope="module")
def folder(finished: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run's store, everything counted, that tests may look at under other settings."""
    seed_scores(finished.main)
    round_scores(finished.main)
    reference_scores(finished.main)
    for split in ("train", "val", "test"):
        counted_predictions(Segmentation(stages=finished.main), split)
    copy = tmp_path_factory.mktemp("why")
    shutil.copytree(finished.places.build, copy, dirs_exist_ok=True)
    return copy


def without_systems(role: Role) -> Role:
    return replace(role, systems={}, networks={}, compared_seeds=(), variants={"default": role.variants["default"]})


def states(experiment: Experiment) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for stage in stages_of(experiment):
        found.setdefault(stage.wanted.artefact.stage, set()).add(stage.state)
    return found


def test_a_finished_run_is_fresh(open_tiny, folder, tiny):
    experiment = open_tiny(folder, role=without_systems(tiny))
    assert set(map(frozenset, states(experiment).values())) == {frozenset({"fresh"})}
    assert all(line.endswith("fresh") for line in count_lines(stages_of(experiment)))


def test_counts_are_told_apart_by_what_they_are_of(open_tiny, folder, tiny):
    found = stages_of(open_tiny(folder, role=without_systems(tiny)))
    assert {
        "confusion, seeds of camvid, seeds",
        "confusion, round 1 of camvid, clustering, default, seed 0",
        "confusion, predictions of camvid, predictions, val of camvid, segmentation, largefov_small, seed 0",
        "confusion, colour table",
    } <= {stage.name for stage in found}


def test_what_was_never_made_is_missing_and_not_a_stale_one_of_something_else(open_tiny, folder, tiny):
    """Another network on the same labels, its predictions and their counts; and all counts but one."""
    role = without_systems(tiny)
    other = replace(role, segmentation=replace(role.segmentation, network="fcn8s_small"))
    found = states(open_tiny(folder, role=other))
    assert {name: each for name, each in found.items() if each != {"fresh"}} == {
        "segmentation": {"missing"},
        "predictions": {"missing"},
        "confusion": {"fresh", "missing"},
    }


def test_one_count_says_nothing_of_the_others(open_tiny, folder, tiny, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    role = without_systems(tiny)
    experiment = open_tiny(tmp_path, role=role)
    kept = next(each for each in stages_of(experiment) if each.name.startswith("confusion, round 1 of "))
    for count in experiment.store.contents("confusion"):
        if count != kept.wanted.artefact:
            shutil.rmtree(count.folder)
    true_statements = code.statements
    monkeypatch.setattr(
        code, "statements", lambda file: true_statements(file) + ("changed" if file.name == "confusion.py" else "")
    )
    after = [each for each in stages_of(open_tiny(tmp_path, role=role)) if each.wanted.artefact.stage == "confusion"]
    assert {each.name for each in after if each.known} == {kept.name} < {each.name for each in after}


def test_asking_makes_nothing(open_tiny, tmp_path, tiny):
    experiment = open_tiny(tmp_path, role=without_systems(tiny))
    assert Counter(stage.state for stage in stages_of(experiment)).keys() == {"missing"}
    assert not list(tmp_path.rglob("record.json"))


def test_another_centre_loss_makes_clustering_and_what_follows_stale(open_tiny, folder, tiny):
    role = without_systems(tiny)
    variant = role.variants["default"]
    heavier = replace(variant, clustering=replace(variant.clustering, center_weight=0.5))
    found = states(open_tiny(folder, role=replace(role, variants={"default": heavier})))
    assert {name for name, each in found.items() if "stale" in each} == DOWNSTREAM
    assert all(each == {"fresh"} for name, each in found.items() if name not in DOWNSTREAM)


def test_the_changed_setting_is_named_and_followed_downstream(open_tiny, folder, tiny):
    role = without_systems(tiny)
    variant = role.variants["default"]
    heavier = replace(variant, clustering=replace(variant.clustering, center_weight=0.5))
    experiment = open_tiny(folder, role=replace(role, variants={"default": heavier}))
    *lines, last = why_lines(experiment, "segmentation")
    assert lines == [
        "camvid, segmentation, largefov_small, seed 0: stale",
        "  its input labels is another one",
        "  labels is camvid, clustering, default, seed 0: stale",
    ]
    assert last in [  # the stored variants with and without centre loss are equally near
        "    variant.clustering.center_weight: 0.001 -> 0.5",
        "    variant.clustering.center_weight: 0.0 -> 0.5",
    ]


def test_other_code_of_the_centre_loss_makes_exactly_what_depends_on_it_stale(open_tiny, folder, tiny, monkeypatch):
    true_statements = code.statements

    def changed(file: Path) -> str:
        return true_statements(file) + ("changed" if file.name == "center_loss.py" else "")

    monkeypatch.setattr(code, "statements", changed)
    experiment = open_tiny(folder, role=without_systems(tiny))
    assert {name for name, each in states(experiment).items() if "stale" in each} == DOWNSTREAM
    assert "  the code of clustering.center_loss has changed" in why_lines(experiment, "clustering")


def test_other_code_of_the_superpixels_makes_all_that_rests_on_regions_stale(open_tiny, folder, tiny, monkeypatch):
    true_statements = code.statements
    monkeypatch.setattr(
        code, "statements", lambda file: true_statements(file) + ("changed" if file.name == "superpixels.py" else "")
    )
    found = states(open_tiny(folder, role=without_systems(tiny)))
    assert {name for name, each in found.items() if "stale" in each} == {*found} - {"classifier", "class_maps"}
    assert {"superpixels", "seeds", "region_features", *DOWNSTREAM} < {*found}


def test_another_colour_of_a_figure_makes_nothing_stale(open_tiny, folder, tiny, monkeypatch):
    true_statements = code.statements
    monkeypatch.setattr(
        code, "statements", lambda file: true_statements(file) + ("red" if "reporting" in file.parts else "")
    )
    assert all(each == {"fresh"} for each in states(open_tiny(folder, role=without_systems(tiny))).values())


def test_variants_are_told_apart(open_tiny, folder, tiny):
    role = replace(without_systems(tiny), variants=tiny.variants)
    lines = list(why_lines(open_tiny(folder, role=role), "clustering"))
    assert len(lines) == len(set(lines))
    named = {line.split(", ")[2] for line in lines}
    assert named == set(tiny.variants)


def test_an_unknown_stage(open_tiny, folder, tiny):
    with pytest.raises(SettingsError, match="no stage named 'clusterin'; did you mean 'clustering'"):
        list(why_lines(open_tiny(folder, role=without_systems(tiny)), "clusterin"))
