"""How a number is looked up in the tidy scores: one row per number, percent, one column per thing that names it.

==========  ===============================================================================================
column      meaning
==========  ===============================================================================================
dataset     role: the paper's data set that this one plays, a key of ``ROLES``
played_by   what plays the role, for example ``"toy streets, 19 classes"``
split       ``"train"``, ``"val"`` or ``"test"``
system      ``"ours"``, a baseline (``"psa"``), or a reference row (``"constant: road"``)
stage       ``"seeds_whole"``, ``"seeds_patch"``, ``"seeds_dense"``, ``"seeds"`` (those that clustering starts from),
            ``"round_1"`` .. ``"round_3"``, ``"labels"``, ``"segmentation"``, ``"ablation"``, ``"reference"``
variant     ``"default"`` (with centre loss), ``"no_center_loss"``, another named variant, ``""`` if not applicable
network     segmentation network (``"deeplab_largefov"``), or ``""``
seed        int, -1 where nothing is random
metric      ``"iou"``, ``"miou_class"``, ``"miou_category"`` (others are not shown by the paper's tables)
target      class or category name for per-class rows, else ``""``
value       float, 0..100, ``nan`` where the class is absent
==========  ===============================================================================================
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wsss_lib.evaluation.scores import CONSTANT_ABOVE
from wsss_lib.vocabulary import PAPER_NETWORK, DataError, LabelSpace, SettingsError

ROLES = {"cityscapes": "Cityscapes", "camvid": "CamVid", "voc": "PASCAL VOC 2012"}
NAMING_COLUMNS = ("dataset", "split", "system", "stage", "variant", "network", "metric", "target")
SCORE_COLUMNS = ("dataset", "played_by", *NAMING_COLUMNS[1:6], "seed", "metric", "target", "value")


@dataclass(frozen=True, kw_only=True)
class ScoreKey:
    """The name of one number, measured once per seed. ``network=None`` means the default network (see ``measure``)."""

    dataset: str
    split: str
    stage: str
    system: str = "ours"
    variant: str = "default"
    network: str | None = None
    metric: str = "miou_class"
    target: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """One number over seeds: its values, indexed by seed in increasing order, without runs where it does not exist.

    ``status`` is ``""`` where the number was measured, else why it was not; there are no values then. A class that is
    absent from the data was measured, and has no values either.
    """

    by_seed: pd.Series
    status: str = ""

    @property
    def mean(self) -> float:
        """``nan`` without values."""
        return float(self.by_seed.mean())

    @property
    def std(self) -> float:
        """Sample standard deviation (ddof 1); ``nan`` for fewer than two values."""
        return float(np.std(self.by_seed.to_numpy(), ddof=1)) if len(self.by_seed) > 1 else float("nan")


NOT_RUN = "not run"
NOT_MEASURED = "not measured"
HELD_BACK = "not measured (labels held back)"


def checked(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores, with text as categories and empty text as ``""``.

    ``DataError`` if a column is missing, a data set is unknown, a number is named twice or a value is not a percentage.
    """
    missing = [name for name in SCORE_COLUMNS if name not in scores.columns]
    if missing:
        raise DataError(f"the scores lack the columns {', '.join(missing)}; they need {', '.join(SCORE_COLUMNS)}")
    texts = ["played_by", *NAMING_COLUMNS]
    scores = scores.reset_index(drop=True)  # concatenated tables repeat their row labels
    scores = scores.assign(**{name: scores[name].astype(object).fillna("").astype("category") for name in texts})
    unknown = sorted(set(scores["dataset"]) - set(ROLES))
    if unknown:
        raise DataError(
            f"the scores name the data set {unknown[0]!r}; the column 'dataset' must be one of {', '.join(ROLES)}"
        )
    twice = scores.loc[scores.duplicated([*NAMING_COLUMNS, "seed"])]
    if len(twice):
        raise DataError(
            f"the scores hold two values for {twice.iloc[0][[*NAMING_COLUMNS, 'seed']].to_dict()}; keep one"
        )
    outside = scores.loc[(scores["value"] < 0) | (scores["value"] > 100 + 1e-6)]
    if len(outside):
        raise DataError(f"the scores hold the value {outside['value'].iloc[0]}; all values are percent, 0 to 100")
    return scores


def measure(scores: pd.DataFrame, key: ScoreKey) -> Measurement:
    """The values of one number over seeds, or why there are none.

    Variant ``"default"`` also finds rows without a variant. With ``network=None`` the paper's network is taken, or the
    only one there is; ``DataError`` if there are several and none of them is the paper's. A test split without scores
    of a system that was scored on another split of the same data has its labels held back. A system that ran as another
    variant alone, for want of data, says so (``"only zero flow"``): its number stands in a row of its own.
    """
    run = of_run(scores, key)
    rows = _where(run, split=key.split, metric=key.metric, target=key.target)
    values = rows.set_index("seed").sort_index().loc[:, "value"].dropna()
    if len(rows):
        return Measurement(by_seed=values)
    if run.empty:
        others = {*_where(scores, dataset=key.dataset, system=key.system, stage=key.stage)["variant"]} - {"default", ""}
        instead = key.variant == "default" and others  # who asks for another variant gets no third one for it
        return Measurement(by_seed=values, status=f"only {', '.join(sorted(others))}" if instead else NOT_RUN)
    held_back = key.split == "test" and "test" not in set(run["split"])
    return Measurement(by_seed=values, status=HELD_BACK if held_back else NOT_MEASURED)


def collapse(scores: pd.DataFrame, key: ScoreKey, seeds: Collection[int] | None = None) -> str:
    """``"seed 0 collapsed to road"`` for a segmentation network that gave nearly all pixels of the split to one class.

    Such a network scores what a constant predictor scores, however it was trained (specification 10,
    ``evaluation.scores``). Every seed that collapsed is named, or those among ``seeds``; ``""`` if none did. The
    network of a reference row (full supervision) counts, a predictor that is constant by design does not.
    """
    shares = _where(of_run(scores, key), split=key.split, metric="predicted_share")
    networks = (shares["stage"] == "segmentation") | ((shares["stage"] == "reference") & (shares["network"] != ""))
    constant = shares.loc[networks & (shares["value"] > CONSTANT_ABOVE)].sort_values("seed")
    if seeds is not None:
        constant = constant.loc[constant["seed"].isin(list(seeds))]
    return ", ".join(f"seed {row['seed']} collapsed to {row['target']}" for row in constant.to_dict("records"))


def main_dataset(scores: pd.DataFrame) -> str | None:
    """The role that fills Tables 5, 6, 7, 9 and 10: Cityscapes if anything plays it, else CamVid, else none."""
    return next((role for role in ("cityscapes", "camvid") if role in set(scores["dataset"])), None)


def space_of(label_spaces: Mapping[str, LabelSpace], role: str) -> LabelSpace:
    """The classes of the data set that plays the role; ``SettingsError`` if the caller did not give them."""
    if role not in label_spaces:
        raise SettingsError(f"there are scores for {role!r} but no label space; add it to {list(label_spaces)}")
    return label_spaces[role]


def played_by(scores: pd.DataFrame, role: str) -> str:
    """What plays the role in these scores (``""`` if nothing does)."""
    return ", ".join(dict.fromkeys(_where(scores, dataset=role)["played_by"]))


def casting(scores: pd.DataFrame) -> str:
    """One sentence per role: which data the numbers are from. Stand-ins are called stand-ins."""
    return " ".join(_cast(role, played_by(scores, role)) for role in ROLES)


def stands_in(role: str, player: str) -> bool:
    """Whether the data is not the paper's data set itself (whose name the player's name would begin with)."""
    return not player.startswith(ROLES[role])


def _cast(role: str, player: str) -> str:
    if not player:
        return f"No data set plays {ROLES[role]} here."
    return (
        f"{ROLES[role]} is played by a stand-in: {player}." if stands_in(role, player) else f"{ROLES[role]}: {player}."
    )


def of_run(scores: pd.DataFrame, key: ScoreKey) -> pd.DataFrame:
    """All numbers of the same system, stage, variant and network on the same data: every split, metric and target."""
    rows = _where(scores, dataset=key.dataset, system=key.system, stage=key.stage)
    rows = rows.loc[rows["variant"].isin(["default", ""] if key.variant == "default" else [key.variant])]
    return _where(rows, network=_default_network(rows) if key.network is None else key.network)


def _default_network(rows: pd.DataFrame) -> str:
    networks = sorted(set(rows["network"]))
    if len(networks) < 2:
        return networks[0] if networks else ""
    if PAPER_NETWORK not in networks:
        raise DataError(f"the scores hold the networks {', '.join(networks)}; name one, or score {PAPER_NETWORK}")
    return PAPER_NETWORK


def _where(scores: pd.DataFrame, **columns: str) -> pd.DataFrame:
    keep = np.ones(len(scores), bool)
    for name, value in columns.items():
        keep &= (scores[name] == value).to_numpy()
    return scores.loc[keep]
