"""What the verdict says of the paper's first claim, on the toy's streets with one seed: run by the mutation test.

``python -m tests.mutants.patches_claim <build folder>`` prints the outcome alone.
"""

import sys
from dataclasses import replace
from pathlib import Path

from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.measure import seed_scores
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import load_profile
from wsss_lib.reporting.claims import verdict

CLAIM = "Table 5: Seeds: patches beat the whole image (class mIoU)"


def outcome(build: Path) -> str:
    """Train the classifier, localise, choose seeds, score them, and ask the verdict."""
    profile = load_profile("toy")
    main = profile.main
    role = replace(
        main, clustering_seeds=(0,), segmentation_seeds=(0,), dense=None,
        variants={"default": replace(main.variants["default"], where="patches")},
    )  # fmt: skip
    experiment = Experiment(
        Places(profile="toy", build=build), profile=replace(profile, roles={role.dataset: role}), report=lambda _: None
    )
    found = verdict(seed_scores(experiment.main), experiment.label_spaces)
    return str(found.set_index("claim").outcome[CLAIM])


if __name__ == "__main__":
    print(outcome(Path(sys.argv[1])))
