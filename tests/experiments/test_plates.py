"""Every figure shows what the stages made, and is kept under its name."""

import inspect
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.data.pictures import read_label_map
from wsss_lib.experiments import pages, plates
from wsss_lib.experiments.counting import prediction_confusion
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.profiles import Role
from wsss_lib.experiments.profiles.schema import Beyond
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.reporting.canvas import PaperFigure
from wsss_lib.vocabulary import DataError, SettingsError

KINDS = (".json", ".pdf", ".png", ".svg")


def kept(experiment: Experiment, name: str) -> bool:
    return all((experiment.places.figures / f"{name}{kind}").is_file() for kind in KINDS)


HERE = "toy streets, 11 classes"
"""What plays CamVid in the tiny profile."""


def subtitle(figure: PaperFigure) -> str:
    """In one line, whichever way it is wrapped."""
    return figure.texts[1].get_text().replace("\n", " ")


# ----------------------------------------------------------------------------------------------------------- by hand


def test_spread_takes_the_middles_of_equal_parts():
    assert plates.spread(2, 8) == [2, 6]
    assert plates.spread(3, 7) == [1, 3, 5]
    assert plates.spread(1, 1) == [0]


@pytest.mark.parametrize(("count", "total"), [(1, 9), (4, 5), (5, 5), (9, 4), (6, 101)])
def test_spread_never_repeats_or_leaves_the_set(count: int, total: int):
    chosen = plates.spread(count, total)
    assert len(set(chosen)) == len(chosen) == min(count, total)
    assert set(chosen) <= set(range(total))


def test_spread_of_nothing_is_refused():
    with pytest.raises(SettingsError, match="at least one picture"):
        plates.spread(0, 5)


def test_heat_is_read_at_pixel_centres():
    """Two cells over four pixels: pixel centres lie at -1/4, 1/4, 3/4 and 5/4 of the way between cell centres."""
    heat = plates._at_size_of(np.zeros((1, 4, 3), np.uint8), np.array([[[0.0, 1.0]]]))
    np.testing.assert_allclose(heat, [[[0.0, 0.25, 0.75, 1.0]]])


def test_history_is_long():
    history = plates._history([("camvid", "seed 0", [3.0, 2.0]), ("voc", "seed 1", [1.0])])
    expected = {"stage": ["camvid", "camvid", "voc"], "series": ["seed 0", "seed 0", "seed 1"], "step": [1, 2, 1]}
    pd.testing.assert_frame_equal(history, pd.DataFrame({**expected, "loss": [3.0, 2.0, 1.0]}))


# ------------------------------------------------------------------------------------- on the stages of a tiny street


def test_training_curves_hold_every_step(finished: Experiment):
    stages = finished.main
    for draw, losses, name in (
        (plates.classifier_losses, stages.classifier_training(0)["losses"], "training_classifier"),
        (plates.segmentation_losses, Segmentation(stages=stages).losses()["network"], "training_segmentation"),
    ):
        assert draw([stages]).data["loss"].tolist() == losses
        assert kept(finished, name)


def test_clustering_losses_set_both_variants_side_by_side(finished: Experiment):
    history = plates.clustering_losses(finished.main).data
    names = ["round 1, cross entropy", "round 2, cross entropy", "round 1, second phase", "round 2, second phase"]
    assert list(dict.fromkeys(history["stage"])) == names
    for _, panel in history.groupby("stage"):
        assert set(panel["series"]) == {"with centre loss", "without"}
    first = history[history["stage"] == names[0]].pivot_table(index="step", columns="series", values="loss")
    np.testing.assert_array_equal(first["without"], first["with centre loss"])  # same seeds, same first phase


def test_figure_3_shows_every_simple_class_once(finished: Experiment):
    data = plates.simple_pictures(finished.main, number=99).data
    assert data["classes"] == list(finished.main.simple.classes)
    for heat in data["heats"]:
        assert heat.shape == (32, 32)
        assert 0 <= heat.min() <= heat.max() <= 1
    assert kept(finished, "figure03_simple_pictures")


def test_figure_4_shows_the_tags_of_its_picture(finished: Experiment):
    stages = finished.main
    figure = plates.whole_and_patches(stages, 1)
    data = figure.data
    assert data["tags"] == [name for name, tag in zip(stages.label_space.classes, stages.tags[1], strict=True) if tag]
    assert data["whole"].shape == data["patches"].shape == (stages.tags[1].sum(), 48, 64)
    assert not np.array_equal(data["whole"], data["patches"])
    for where in ("whole", "patches", "dense"):
        heat = stages.class_maps(where).heat(1, stages.variant("default").heat).numpy()
        np.testing.assert_array_equal(data[where], plates._at_size_of(np.zeros((48, 64, 3)), heat)[stages.tags[1]])
    used = stages.role.variants["default"].where
    assert subtitle(figure) == f"{HERE}; train, picture 1; default method takes its seeds from: {used}; random seed 0"


def test_superpixels_come_with_the_seeds_that_their_heat_gives(finished: Experiment):
    stages = finished.main
    figure = plates.superpixels_and_seeds(stages, picture=1)
    np.testing.assert_array_equal(figure.data["regions"], stages.regions()[1])
    np.testing.assert_array_equal(figure.data["seeds"], stages.label_maps(stages.seeds())[1])
    assert subtitle(figure) == f"{HERE}; train, picture 1; default method; random seed 0"
    assert kept(finished, "superpixels_and_seeds")
    with pytest.raises(SettingsError, match="there is no train picture 9"):
        plates.superpixels_and_seeds(stages, picture=9)


def test_figure_5_shows_seeds_rounds_and_truth_of_the_same_pictures(finished: Experiment):
    stages, train = finished.main, finished.main.scenes("train")
    data = plates.seeds_and_rounds(stages, rows=2).data
    chosen = plates.spread(2, 3)
    for shown, labels in zip([data["seeds"], *data["rounds"]], [stages.seeds(), *stages.rounds()], strict=True):
        maps = stages.label_maps(labels)
        for label_map, index in zip(shown, chosen, strict=True):
            np.testing.assert_array_equal(label_map, maps[index])
    for label_map, index in zip(data["ground_truths"], chosen, strict=True):
        np.testing.assert_array_equal(label_map, train.label_map(index))
    assert kept(finished, "figure05_seeds_and_rounds")


def test_figure_5_of_another_variant_has_its_own_name(finished: Experiment):
    figure = plates.seeds_and_rounds(finished.main, rows=1, variant="paper_rules")
    assert subtitle(figure) == f"{HERE}; train; variant paper rules; random seed 0"
    assert kept(finished, "figure05_seeds_and_rounds_paper_rules")


def test_figure_6_shows_the_predictions_on_disk(finished: Experiment):
    stages = finished.main
    figure = plates.segmentation_results(stages, rows=1, split="test")
    assert subtitle(figure) == f"{HERE}; test; default method; random seed 0"
    data = figure.data
    chosen = plates.spread(1, 2)[0]
    file = Segmentation(stages=stages).predictions("test").folder / f"{stages.scenes('test').names[chosen]}.png"
    assert list(data["predictions"]) == ["Ours"]
    np.testing.assert_array_equal(data["predictions"]["Ours"][0], read_label_map(file, stages.label_space))
    np.testing.assert_array_equal(data["ground_truths"][0], stages.scenes("test").label_map(chosen))


def test_figure_6_beyond_the_paper_shows_both_methods(open_tiny, finished: Experiment):
    """Of the first of two seeds each; where there are several, only the paper's profiles show them all."""
    role = finished.main.role
    plus = Beyond(labels="default", network=replace(role.segmentation, label_stride=8))
    both = replace(role, clustering_seeds=(0, 1), segmentation_seeds=(0, 1))
    seeds = plates.segmentation_results(open_tiny(finished.places.build, role=both).main, rows=1).data
    assert list(seeds["predictions"]) == ["Ours, seed 0", "Ours, seed 1"]
    stages = open_tiny(finished.places.build, role=replace(both, beyond={"plus": plus})).main
    figure = plates.segmentation_results(stages, rows=1)
    assert subtitle(figure) == f"{HERE}; val; random seed 0"
    shown = figure.data["predictions"]
    name = stages.scenes("val").names[plates.spread(1, len(stages.scenes("val")))[0]]
    for column, system in {"The paper's method": "ours", "Plus": "plus"}.items():
        file = Segmentation(stages=stages, system=system).predictions("val").folder / f"{name}.png"
        np.testing.assert_array_equal(shown[column][0], read_label_map(file, stages.label_space))
    assert list(shown) == ["The paper's method", "Plus"]


def with_collages(role: Role) -> Role:
    """The role with a method beyond the paper that learns from collages."""
    more = replace(role.variants["default"], collages=CollageConfig(pieces=2, smallest=0.0, batch_size=4))
    plus = Beyond(labels="more", network=role.segmentation)
    return replace(role, variants={**role.variants, "more": more}, beyond={"plus": plus})


def test_collages_of_the_method_beyond_the_paper_are_shown(open_tiny, finished: Experiment):
    stages = open_tiny(finished.places.build, role=with_collages(finished.main.role)).main
    figure = plates.collages(stages, rows=2)
    assert subtitle(figure) == f"{HERE}; train; method plus; random seed 0"
    (made,) = stages.collages("more")
    for label_map, picture in zip(figure.data["pasted"], plates.spread(2, 3), strict=True):
        np.testing.assert_array_equal(label_map, made.collage_of(picture)[1])
    assert kept(finished, "collages")


def test_no_collages_are_shown_where_nothing_learns_from_them(open_tiny, finished: Experiment):
    role = finished.main.role
    plus = Beyond(labels="default", network=role.segmentation)
    for stages in (finished.main, open_tiny(finished.places.build, role=replace(role, beyond={"plus": plus})).main):
        with pytest.raises(SettingsError, match="nothing learns from collages"):
            plates.collages(stages)


def test_figure_6_without_labels_shows_predictions_alone(open_tiny, finished: Experiment):
    stages = open_tiny(finished.places.build).main
    known = stages.scenes
    stages.scenes = lambda split: replace(known(split), label_map=None if split == "test" else known("train").label_map)
    assert plates.segmentation_results(stages, rows=1, split="test").data["ground_truths"] == []


def test_figure_7_rows_are_the_classes(finished: Experiment):
    stages = finished.main
    scores = pages.measured([stages], "seeds", "segmentation")
    figure = plates.failures(finished, scores)
    assert subtitle(figure) == f"{HERE}; val; default method; random seed 0"
    data = figure.data
    val = scores[(scores["stage"] == "segmentation") & (scores["split"] == "val") & (scores["metric"] == "iou")]
    np.testing.assert_allclose(
        data["iou"]["here"], val.set_index("target").loc[list(stages.label_space.classes), "value"]
    )
    assert data["confusion"].shape == (11, 11)
    known = sum(np.count_nonzero(stages.scenes("val").label_map(i) != 255) for i in range(2))
    assert data["confusion"].sum() == known
    assert kept(finished, "figure07_failures")


def test_beyond_the_paper_figure_7_is_of_that_method_and_losses_are_of_both(open_tiny, finished: Experiment):
    role = finished.main.role
    plus = Beyond(labels="default", network=replace(role.segmentation, label_stride=8))
    experiment = open_tiny(finished.places.build, role=replace(role, beyond={"plus": plus}))
    stages = experiment.main
    figure = plates.failures(experiment, pages.measured([stages], "segmentation"))
    assert subtitle(figure) == f"{HERE}; val; method plus; random seed 0"
    ours, beyond = (Segmentation(stages=stages, system=system) for system in ("ours", "plus"))
    np.testing.assert_array_equal(figure.data["confusion"], prediction_confusion(beyond, "val")[:, :11])
    losses = plates.segmentation_losses([stages]).data
    assert list(dict.fromkeys(losses["stage"])) == [f"{HERE}: default method", f"{HERE}: method plus"]
    assert losses["loss"].tolist() == ours.losses()["network"] + beyond.losses()["network"]


def test_figures_1_and_2_follow_the_same_picture(finished: Experiment):
    stages = finished.main
    first, second = plates.teaser(stages, 1).data, plates.framework(stages, 1).data
    for name in ("seeds", "prediction"):
        np.testing.assert_array_equal(first[name], second[name])
    np.testing.assert_array_equal(second["regions"], stages.regions()[1])
    np.testing.assert_array_equal(first["rounds"][-1], stages.label_maps(stages.rounds()[-1])[1])
    assert kept(finished, "figure01_teaser")
    assert kept(finished, "figure02_framework")


@pytest.mark.parametrize("draw", [plates.teaser, plates.framework, plates.whole_and_patches])
@pytest.mark.parametrize("picture", [-1, 3])
def test_picture_that_is_not_there(finished: Experiment, draw, picture: int):
    with pytest.raises(SettingsError, match="choose one from 0 to 2"):
        draw(finished.main, picture)


def test_rounds_curve_is_kept(finished: Experiment):
    plates.rounds_curve(finished, pages.measured([finished.main], "seeds", "rounds"))
    assert kept(finished, "rounds")


def test_nothing_to_compare_with_is_said(open_tiny, finished: Experiment):
    stages = open_tiny(finished.places.build).main
    known = stages.scenes
    stages.scenes = lambda split: replace(known(split), label_map=None)
    with pytest.raises(DataError, match="no label maps to compare with"):
        plates.seeds_and_rounds(stages, rows=1)


def draws(name: str) -> bool:
    function = getattr(plates, name)
    return inspect.isfunction(function) and inspect.signature(function).return_annotation is PaperFigure


PLATES = [name for name in vars(plates) if not name.startswith("_") and draws(name)]


@pytest.mark.parametrize("name", PLATES)
def test_every_figure_drawn_twice_has_the_same_bytes(open_tiny, finished: Experiment, name: str):
    """SVG, PNG, PDF and data; the second time in an experiment that was opened anew."""

    def files(experiment: Experiment) -> dict[str, bytes]:
        shutil.rmtree(experiment.places.figures, ignore_errors=True)
        given = {"stages": experiment.main, "roles": [experiment.main], "experiment": experiment, "rows": 1}
        draw = getattr(plates, name)
        wanted = inspect.signature(draw).parameters
        if "scores" in wanted:
            given["scores"] = pages.measured([experiment.main], "seeds", "rounds", "segmentation")
        draw(**{parameter: given[parameter] for parameter in wanted if parameter in given})
        return {path.name: path.read_bytes() for path in experiment.places.figures.iterdir()}

    role = with_collages(finished.main.role) if name == "collages" else finished.main.role
    once, twice = (files(open_tiny(finished.places.build, role=role)) for _ in range(2))
    assert sorted({Path(file).suffix for file in once}) == list(KINDS)
    assert once == twice


def test_every_figure_is_among_them():
    assert len(PLATES) == 13
