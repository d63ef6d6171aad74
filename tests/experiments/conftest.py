"""A profile of one role with three small pictures: every stage runs in a second."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import PROFILES, SMOKE, Profile, Role
from wsss_lib.experiments.segmentation import Segmentation


def tiny_role() -> Role:
    """The smoke profile's CamVid, smaller still."""
    role = SMOKE.roles["camvid"]
    fitting, pixels = (65, 49), 64 * 48
    variants = {
        name: replace(
            variant,
            seeds=replace(variant.seeds, threshold=1.0),  # sparse, however little the classifier has learnt
            features=replace(variant.features, size=fitting),
            clustering=replace(
                variant.clustering,
                hidden=8,
                rounds=2,
                center_steps=2,
                pictures_per_batch=2,
                training=replace(variant.clustering.training, steps=4, batch_size=8, checkpoint_every=3),
            ),
        )
        for name, variant in role.variants.items()
    }
    return replace(
        role,
        source=replace(role.source, size=(64, 48), counts=(3, 2, 2), simple_count=1, simple_size=(32, 32)),
        classifier=replace(
            role.classifier,
            input_size=33,
            training=replace(role.classifier.training, steps=12, batch_size=8, checkpoint_every=3),
        ),
        whole=replace(role.whole, patch_size=fitting),
        patches=replace(role.patches, patch_size=(17, 17)),
        dense=replace(role.dense, patch_size=fitting) if role.dense else None,
        superpixels=replace(role.superpixels, reference_pixels=pixels),
        variants=variants,
        segmentation=replace(
            role.segmentation,
            input_size=fitting,
            crop_size=fitting,
            training=replace(role.segmentation.training, steps=4, batch_size=2, checkpoint_every=3),
        ),
    )


@pytest.fixture(scope="module")
def tiny() -> Role:
    return tiny_role()


OpenTiny = Callable[..., Experiment]


@pytest.fixture(scope="module")
def open_tiny(tiny: Role):
    """``open_tiny(folder, said)``: an experiment with the tiny role, or another one, that reports to the list."""
    with pytest.MonkeyPatch.context() as patch:

        def open_(folder: Path, said: list[str] | None = None, role: Role = tiny) -> Experiment:
            roles = {role.dataset: role}
            patch.setitem(PROFILES, "tiny", Profile(name="tiny", summary="tests", needs_data=False, roles=roles))
            report = (lambda _: None) if said is None else said.append
            return Experiment(Places(profile="tiny", build=folder), report=report)

        yield open_


@pytest.fixture(scope="module")
def finished(open_tiny: OpenTiny, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The tiny experiment with every stage made."""
    experiment = open_tiny(tmp_path_factory.mktemp("finished"))
    for split in ("train", "val", "test"):
        Segmentation(stages=experiment.main).predictions(split)
    for variant in experiment.main.role.variants:
        experiment.main.rounds(variant)
    return experiment
