"""Which stages of a profile are fresh, stale or missing, and what has changed since a stale one was made.

A run's artefacts are asked for without making any, which gives the keys that they would have today. One that is not in
the store is compared with the stored one that is about the same and differs least, of equal ones the newest: where
their parameters differ is what has changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from wsss_lib.experiments.code import LIBRARIES
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.makers import asked_for
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.profiles.schema import Variant
from wsss_lib.experiments.store import Artefact, Wanted, plain

State = Literal["fresh", "stale", "missing"]
_CODE = "code."  # below this are library versions, modules and functions
_NONE = "nothing"
_SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Stage:
    """One artefact that a run asks for, and the stored one that it is compared with (``None`` without any).

    ``variant`` is the name of the variant that it belongs to, where it does; ``of`` the stage that it predicts or
    counts with.
    """

    wanted: Wanted
    known: Artefact | None
    variant: str = ""
    of: "Stage | None" = None

    @property
    def state(self) -> State:
        if self.wanted.artefact.complete:
            return "fresh"
        return "missing" if self.known is None else "stale"

    @property
    def name(self) -> str:
        """``"camvid, superpixels"``, ``"confusion, round 1 of camvid, clustering, default, seed 0"``."""
        params = self.wanted.params
        words = [params.get("dataset", ""), self.wanted.artefact.stage]
        words += [str(params[name]) for name in ("system", "split", "of") if name in params]
        words += [self.variant]
        words += [_network(params), f"seed {params['seed']}" if "seed" in params else ""]
        return ", ".join(filter(None, words)) + (f" of {self.of.name}" if self.of else "")

    @cached_property
    def changes(self) -> list[str]:
        """What differs from the stored one, in words, parameters first."""
        if self.known is None:
            return []
        record = self.known.record
        old, new = dict(_leaves(record["params"])), dict(_leaves(self.wanted.params))
        lines = []
        for path in [*new, *(path for path in old if path not in new)]:
            if old.get(path) != new.get(path):
                lines.append(_change(path, old.get(path, _NONE), new.get(path, _NONE)))
        lines += [
            f"its input {name} is another one"
            for name, key in self.wanted.inputs.items()
            if record["inputs"].get(name) != key
        ]
        return lines


def stages_of(experiment: Experiment) -> list[Stage]:
    """Every artefact that a run asks for, up to its predictions, in the order of the method, each once."""
    once = {each.artefact.key: each for stages in experiment.roles.values() for each in asked_for(stages)}
    records = {artefact: artefact.record for artefact in experiment.store.contents()}
    wanted = {key: _Facts(each.artefact.stage, each.params, each.inputs) for key, each in once.items()}
    stored = {each.key: _Facts(each.stage, record["params"], record["inputs"]) for each, record in records.items()}
    like: dict[tuple[Any, ...], list[Artefact]] = {}
    for artefact in records:
        like.setdefault(_about(stored[artefact.key], stored), []).append(artefact)
    variants = [item for stages in experiment.roles.values() for item in stages.role.variants.items()]
    found: dict[str, Stage] = {}

    def stage(key: str) -> Stage:
        if key not in found:
            facts = wanted[key]
            nearest = min(reversed(like.get(_about(facts, wanted), [])), key=_differs_from(facts, stored), default=None)
            of = stage(facts.of) if facts.of in wanted else None
            found[key] = Stage(once[key], nearest, _variant_of(once[key], variants), of)
        return found[key]

    return [stage(key) for key in once]


@dataclass(frozen=True)
class _Facts:
    """What the key of a stage is made from."""

    stage: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def of(self) -> str:
        """The key of the stage that it predicts or counts with; ``""`` where it does neither."""
        return next((self.inputs[name] for name in ("network", "source") if name in self.inputs), "")


def _about(facts: _Facts, others: Mapping[str, _Facts]) -> tuple[Any, ...]:
    """What a stage is about, whatever its settings are: two that are about the same can be compared."""
    params = facts.params
    of = _about(others[facts.of], others) if facts.of in others else ()
    names = (params.get(name) for name in ("dataset", "system", "split", "seed", "of"))
    return (facts.stage, *names, _network(params), of)


def _network(params: Mapping[str, Any]) -> str:
    config = params.get("config")
    return config.get("network", "") if isinstance(config, Mapping) else ""


def _differs_from(facts: _Facts, stored: Mapping[str, _Facts]) -> Callable[[Artefact], int]:
    """In how many parameters and inputs a stored artefact differs."""
    new = dict(_leaves(facts.params))

    def differences(artefact: Artefact) -> int:
        known = stored[artefact.key]
        old = dict(_leaves(known.params))
        parameters = sum(old.get(path) != new.get(path) for path in {*old, *new})
        return parameters + sum(known.inputs.get(name) != key for name, key in facts.inputs.items())

    return differences


def _variant_of(wanted: Wanted, variants: Sequence[tuple[str, Variant]]) -> str:
    settings = wanted.params.get("variant")
    return next((name for name, variant in variants if settings == plain(variant)), "")


def count_lines(found: list[Stage]) -> Iterator[str]:
    """A line for each kind of stage: how many are fresh, stale and missing."""
    for name in dict.fromkeys(stage.wanted.artefact.stage for stage in found):
        states = [stage.state for stage in found if stage.wanted.artefact.stage == name]
        counts = [f"{states.count(state)} {state}" for state in ("fresh", "stale", "missing") if state in states]
        yield f"{name:<28} {', '.join(counts)}"


def why_lines(experiment: Experiment, stage: str) -> Iterator[str]:
    """For every artefact of a stage whether it is fresh, and what has changed if it is stale.

    Where an input is another one, the changes of the stale stages that it comes from follow. ``SettingsError`` for a
    stage that the profile has not.
    """
    found = stages_of(experiment)
    check_name("stage", stage, dict.fromkeys(each.wanted.artefact.stage for each in found))
    by_key = {each.wanted.artefact.key: each for each in found}
    for each in found:
        if each.wanted.artefact.stage == stage:
            yield f"{each.name}: {each.state}"
            if each.state == "stale":
                yield from _explained(each, by_key, "  ")


def _explained(stage: Stage, by_key: Mapping[str, Stage], indent: str) -> Iterator[str]:
    for line in stage.changes:
        yield indent + line
    for name, key in stage.wanted.inputs.items():
        source = by_key.get(key)
        if source and source.state != "fresh" and stage.known and stage.known.record["inputs"].get(name) != key:
            yield f"{indent}{name} is {source.name}: {source.state}"
            yield from _explained(source, by_key, indent + "  ")


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything in nested mappings: ``config.training.steps`` and 400."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _change(path: str, old: Any, new: Any) -> str:
    name = path.removeprefix(_CODE)
    if name == path or name in LIBRARIES:
        return f"{name}: {_short(old)} -> {_short(new)}"
    return f"the code of {name} {'is new' if old == _NONE else 'is no longer used' if new == _NONE else 'has changed'}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
