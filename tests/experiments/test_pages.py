"""What the notebooks show in words and numbers is what lies on disk afterwards."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wsss_lib.data.label_spaces import TOY_SCENES
from wsss_lib.data.pictures import read_label_map
from wsss_lib.experiments import pages
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.measure import MEAN_OF_MANY, seed_scores
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import SMOKE
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.reporting.measurements import SCORE_COLUMNS
from wsss_lib.reporting.rendering import NO_NUMBER
from wsss_lib.vocabulary import SceneSet, SettingsError


def learner(dataset: str = "camvid", accuracies: tuple[list[float], ...] = ([80.0, float("nan")],)) -> SimpleNamespace:
    """A role whose classifier knows two classes, the second without pictures; one list of accuracies per seed."""
    shows = np.array([[True, False], [True, False], [True, False]])
    return SimpleNamespace(
        role=SimpleNamespace(
            dataset=dataset,
            played_by=f"stand-in for {dataset}",
            learns_from="tags" if dataset == "voc" else "simple",
            classifier_seeds=tuple(range(len(accuracies))),
            source=SimpleNamespace(reader="toy_streets"),
            plus="",
        ),
        pictures=SimpleNamespace(classes=("car", "traffic_light"), shows=shows),
        classifier_training=lambda seed: {"accuracy": accuracies[seed]},
    )


def experiment_of(folder: Path, *roles: SimpleNamespace) -> SimpleNamespace:
    experiment = SimpleNamespace(
        places=Places(profile="smoke", build=folder),
        profile=SimpleNamespace(name="smoke", summary="a summary"),
        roles={stages.role.dataset: stages for stages in roles},
        main=roles[0],
        label_spaces={},
    )
    for stages in roles:
        stages.experiment = experiment
    return experiment


def predicts(stages: SimpleNamespace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every split has the picture "one", whose prediction lies in ``folder``."""
    one = SceneSet(
        label_space=TOY_SCENES, split="val", names=("one",), image=np.zeros, label_map=None, tags=None, fingerprint=""
    )
    made = SimpleNamespace(predictions=lambda _: SimpleNamespace(folder=folder))
    monkeypatch.setattr(pages, "Segmentation", lambda **_: made)
    stages.scenes = lambda _: one


# --------------------------------------------------------------------------------------------------- roles and scores


def test_introduction_says_who_plays_what(tmp_path: Path):
    experiment = experiment_of(tmp_path, learner(), learner("voc"))
    lines = pages.introduction(experiment, "1").splitlines()
    assert lines[0].startswith("profile smoke (a summary); this notebook: at most about ")
    assert lines[1:] == ["camvid: stand-in for camvid", "voc: stand-in for voc"]


def test_introduction_promises_nothing_it_does_not_know(tmp_path: Path):
    experiment = experiment_of(tmp_path, learner())
    experiment.profile.name = "of my own"
    assert "no promise of time" in pages.introduction(experiment, "01_imagenet_classifier")


def test_roles_by_what_they_learn_from_and_by_name(tmp_path: Path, capsys: pytest.CaptureFixture):
    streets, scenes = learner(), learner("voc")
    experiment = experiment_of(tmp_path, streets, scenes)
    assert pages.driving(experiment) == [streets]
    assert pages.playing(experiment, "voc") == [scenes]
    assert capsys.readouterr().out == ""
    assert pages.playing(experiment, "cityscapes") == []
    assert capsys.readouterr().out == "No data set plays cityscapes in profile smoke: there is nothing to run here.\n"


def test_nothing_measured_is_a_table_without_rows():
    empty = pages.measured([], "seeds", "rounds")
    assert list(empty.columns) == list(SCORE_COLUMNS)
    assert empty.empty


def test_parts_are_measured_role_by_role(monkeypatch: pytest.MonkeyPatch):
    frame = pd.DataFrame({"who": ["x"]})
    for name in ("seeds", "rounds"):
        monkeypatch.setitem(pages.PARTS, name, lambda stages, name=name: frame.assign(who=f"{stages} {name}"))
    monkeypatch.setitem(pages.PARTS, "reference", lambda _: pd.DataFrame())  # a role without labels has none
    found = pages.measured(["a", "b"], "seeds", "reference", "rounds")
    assert found["who"].tolist() == ["a seeds", "a rounds", "b seeds", "b rounds"]
    assert found.index.tolist() == [0, 1, 2, 3]


def test_unknown_part_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'seeds'"):
        pages.measured([], "seed")


def test_measured_is_what_the_measure_gives(finished: Experiment):
    pd.testing.assert_frame_equal(pages.measured([finished.main], "seeds"), seed_scores(finished.main))


# -------------------------------------------------------------------------------------------------- tables, accuracy


def test_table_is_shown_and_written(finished: Experiment):
    scores = pages.measured([finished.main], "segmentation", "reference")
    table = pages.table(finished, scores, 3)
    assert table.number == 3
    written = finished.places.tables / "table03.md"
    assert written.read_text(encoding="utf-8") == table._repr_markdown_()
    assert {path.suffix for path in written.parent.glob("table03.*")} == {".csv", ".md", ".tex"}


@pytest.mark.parametrize("number", [1, 2, 8])
def test_table_of_a_data_set_that_nobody_plays(finished: Experiment, number: int):
    scores = pages.measured(pages.playing(finished, "voc"), "segmentation")
    assert "No data set plays" in pages.table(finished, scores, number).note


def test_accuracy_by_hand(tmp_path: Path):
    """80 and 90 are 85 on the average, and their sample standard deviation is the root of 50."""
    stages = learner(accuracies=([80.0, float("nan")], [90.0, float("nan")]))
    shown = pages.accuracy(experiment_of(tmp_path, stages), [stages])
    assert shown.to_dict("records") == [
        {"data set": "camvid", "class": "car", "pictures": 3, "accuracy, %": "85.0 ± 7.1"},
        {"data set": "camvid", "class": "traffic light", "pictures": 0, "accuracy, %": NO_NUMBER},
    ]
    folder = tmp_path / "smoke" / "tables"
    assert (folder / "classifier_accuracy.csv").read_text() == (
        "data set,class,pictures,accuracy,std\ncamvid,car,3,85.0000,7.0711\ncamvid,traffic light,0,,\n"
    )
    assert "| camvid | car | 3 | 85.0 ± 7.1 |" in (folder / "classifier_accuracy.md").read_text(encoding="utf-8")


def test_accuracy_of_another_role_has_its_own_file(tmp_path: Path):
    streets, scenes = learner(), learner("voc")
    experiment = experiment_of(tmp_path, streets, scenes)
    assert pages.accuracy(experiment, [scenes])["accuracy, %"].tolist() == ["80.0", NO_NUMBER]  # one seed, no spread
    assert sorted(path.name for path in experiment.places.tables.iterdir()) == [
        "classifier_accuracy_voc.csv",
        "classifier_accuracy_voc.md",
    ]


def test_gains_of_the_centre_loss_are_within_a_seed(finished: Experiment):
    """Of the seeds 0 and 1 the first has both sides: 40.5 and 40.0 without in round 1, 41.0 and 41.25 in round 2."""
    values = {("default", 0): (40.5, 41.0), ("no_center_loss", 0): (40.0, 41.25), ("default", 1): (50.0, 50.0)}
    rows = [
        {"dataset": "camvid", "stage": f"round_{number}", "metric": "miou_class", "variant": variant, "seed": seed,
         "value": value}
        for (variant, seed), each in values.items()
        for number, value in enumerate(each, 1)
    ]  # fmt: skip
    others = [rows[0] | {"stage": "seeds", "value": 1.0}, rows[0] | {"dataset": "voc", "value": 90.0}]
    gains = pages.center_loss_gains(finished, pd.DataFrame([*rows, *others]))
    assert gains.to_dict("list") == {"stage": ["round 1", "round 2"], "random seed 0": ["+0.50", "\N{MINUS SIGN}0.25"]}
    table = finished.places.tables / "center_loss_gains"
    assert table.with_suffix(".md").read_text(encoding="utf-8").endswith("| round 2 | \N{MINUS SIGN}0.25 |\n")
    assert table.with_suffix(".csv").read_text().endswith("round 2,-0.2500\n")
    alone = pages.center_loss_gains(finished, pd.DataFrame(rows[:2]))
    assert list(alone.columns) == ["stage"]


def test_agreement_with_tags_is_shown_and_kept(finished: Experiment):
    shown = pages.agreement_with_tags(finished.main)
    assert list(shown.columns) == ["class", "pictures without it", "whole, %", "patches, %", "dense, %"]
    assert shown["class"].tolist() == [*finished.main.label_space.classes, "mean", MEAN_OF_MANY]
    kept = pd.read_csv(finished.places.tables / "tag_agreement.csv")
    classes = len(finished.main.label_space)
    assert kept["pictures without it"].tolist()[:classes] == (~finished.main.tags).sum(axis=0).tolist()
    ranked = kept["whole, %"].notna()
    assert ranked.tolist()[:classes] == (finished.main.tags.any(axis=0) & ~finished.main.tags.all(axis=0)).tolist()
    assert shown.loc[~ranked, "whole, %"].eq(NO_NUMBER).all()
    assert shown.loc[ranked, "whole, %"].tolist() == [f"{value:.1f}" for value in kept.loc[ranked, "whole, %"]]
    assert (finished.places.tables / "tag_agreement.md").read_text().startswith("| class | pictures without it |")


# ------------------------------------------------------------------------------------------------------- predictions


def test_predictions_are_copied_under_the_pictures_names(finished: Experiment):
    stages = finished.main
    leftover = finished.places.predictions / "val" / "picture_of_an_earlier_run.png"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    rows = pages.write_predictions([stages])
    assert rows.to_numpy().tolist() == [
        ["camvid", "val", 2, "predictions/val"],
        ["camvid", "test", 2, "predictions/test"],
    ]
    for split in ("val", "test"):
        folder, made = finished.places.predictions / split, Segmentation(stages=stages).predictions(split).folder
        names = [f"{name}.png" for name in stages.scenes(split).names]
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)  # the leftover is gone
        assert all((folder / name).read_bytes() == (made / name).read_bytes() for name in names)
        assert read_label_map(folder / names[0], stages.label_space).shape == (48, 64)
    assert sorted(path.name for path in finished.places.predictions.iterdir()) == ["test", "val"]


def test_predictions_of_a_split_without_labels(open_tiny, finished: Experiment):
    """The same pictures, their labels held back: a second experiment on the same store finds the network."""
    experiment = open_tiny(finished.places.build)
    stages = experiment.main
    known = stages.scenes
    stages.scenes = lambda split: replace(known(split), label_map=None if split == "test" else known("train").label_map)
    assert pages.write_predictions([stages])["pictures"].tolist() == [2, 2]


def test_predictions_of_another_role_have_their_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = tmp_path / "made"
    made.mkdir()
    (made / "one.png").write_bytes(b"picture")
    streets, scenes = learner(), learner("voc")
    experiment = experiment_of(tmp_path, streets, scenes)
    predicts(scenes, made, monkeypatch)
    assert pages.write_predictions([scenes])["folder"].tolist() == ["predictions/voc/val", "predictions/voc/test"]
    assert (experiment.places.predictions / "voc" / "val" / "one.png").read_bytes() == b"picture"


def test_failing_copy_leaves_the_old_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stages = learner()
    experiment = experiment_of(tmp_path, stages)
    predicts(stages, tmp_path / "gone", monkeypatch)
    old = experiment.places.predictions / "val" / "one.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        pages.write_predictions([stages])
    assert old.read_bytes() == b"old"
    assert [path.name for path in experiment.places.predictions.iterdir()] == ["val"]


# ----------------------------------------------------------------------------------------------------------- verdict


def test_scores_and_verdict_are_written(finished: Experiment):
    scores = pages.scores(finished)
    kept = pd.read_csv(finished.places.tables / "scores.csv", keep_default_na=False)
    assert len(kept) == len(scores) > 100
    verdict = pages.judged(finished, scores)
    text = (finished.places.tables / "verdict.txt").read_text(encoding="utf-8")
    assert text == str(verdict)
    assert text.startswith("No data set plays Cityscapes here. CamVid is played by a stand-in: ")
    assert (finished.places.tables / "verdict.md").read_text(encoding="utf-8") == verdict._repr_markdown_()
    counts = [int(line.split()[0]) for line in text.splitlines() if " rows: " in line]
    assert sum(counts) == len(verdict.frame)


def test_the_note_of_table_9_says_who_plays_the_papers_networks(finished: Experiment):
    """The toy's networks start from its classifier where they have its backbone, which the DRN has not."""
    networks = SMOKE.main.networks
    stages = SimpleNamespace(role=replace(finished.main.role, networks=networks), label_space=finished.main.label_space)
    cast = pages.networks_cast(stages)
    assert "DeepLab-LargeFOV by largefov_small; FCN by fcn8s_small; " in cast
    assert cast.endswith("DRN-D-105 by drn_small, which starts from nothing.")
