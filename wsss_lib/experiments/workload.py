"""How much there is to do on a role: the artefacts that its makers ask for, and the pictures that these go over."""

from collections.abc import Iterable
from typing import Any

from wsss_lib.experiments.inputs import SPLITS
from wsss_lib.experiments.makers import asked_for
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.store import Wanted, plain


class Workload:
    """All that the makers ask for of a role; ``counts`` are the pictures of train, val and test."""

    def __init__(self, stages: Stages, counts: tuple[int, int, int]) -> None:
        self._asked = asked_for(stages)
        fingerprints = [stages.scenes(split).fingerprint for split in SPLITS]
        self._counts = dict(zip(fingerprints, counts, strict=True))

    def take(self, stage: str, **params: Any) -> list[Wanted]:
        """The artefacts of a stage with these parameters; none is given twice, however many settings are alike."""
        wanted = {name: plain(value) for name, value in params.items()}
        taken = [
            each
            for each in self._asked
            if each.artefact.stage == stage and all(each.params[name] == value for name, value in wanted.items())
        ]
        self._asked = [each for each in self._asked if each not in taken]
        return taken

    def pictures(self, artefacts: Iterable[Wanted]) -> int:
        """How many pictures they go over in all."""
        return sum(self._counts[each.inputs["pictures"]] for each in artefacts)
