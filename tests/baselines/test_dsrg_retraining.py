"""DSRG's retraining: which pictures, labels and steps every phase is given."""

from dataclasses import replace

import numpy as np
import torch

from wsss_lib.baselines import dsrg as dsrg_module
from wsss_lib.baselines import skeleton
from wsss_lib.baselines.dsrg import DsrgConfig, dsrg
from wsss_lib.vocabulary import IGNORE


def test_every_picture_is_retrained_on_with_its_own_labels(material, settings, run, monkeypatch):
    """Stripes of the classes that begin one class later in every picture; picture 2 has no tag, so it is unknown.

    5 steps: a quarter of them, 1, on the seeds, 4 growing, and all 5 again on the labels.
    """
    columns = np.arange(33)
    phases, retraining, seen = [], [], []

    def on_cues(network, given, own, _loss, _run, name):
        assert given is material
        phases.append((name, own.training.steps, network))
        return [0.5]

    def on_labels(network, given, own, labels, _run, name):
        assert given is material
        phases.append((name, own.training.steps, network))
        retraining.extend(labels)
        return [0.25]

    def predicted(network, given, i, size, _run):
        assert given is material
        seen.append((i, size, network, len(phases)))
        stripes = torch.from_numpy(columns + i) % 3
        return torch.nn.functional.one_hot(stripes, 3).T[:, None].expand(3, 33, 33).float()

    monkeypatch.setattr(dsrg_module, "train_on_cues", on_cues)
    monkeypatch.setattr(dsrg_module, "train_on_labels", on_labels)
    monkeypatch.setattr(skeleton, "tagged_prediction", predicted)
    tags = material.tags.copy()
    tags[2] = False
    material = replace(material, tags=tags)
    settings = replace(settings, training=replace(settings.training, steps=5))
    outcome = dsrg(material, settings, DsrgConfig(), run)

    network = outcome.network
    assert phases == [("dsrg_seeds", 1, network), ("dsrg_growing", 4, network), ("dsrg_retraining", 5, network)]
    assert seen == [(i, (33, 33), network, 2) for i in (0, 1, 3)]
    assert len(retraining) == 4
    for i in (0, 1, 3):
        assert np.array_equal(retraining[i], np.tile((columns + i) % 3, (33, 1)))
    assert (retraining[2] == IGNORE).all()
    assert np.array_equal(outcome.labels, retraining)
    assert outcome.losses == {"seeds": [0.5], "growing": [0.5], "retraining": [0.25]}
