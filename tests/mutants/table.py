"""The mutants: one constant, sign or operator of the method changed, and the tests that must notice.

``source`` stands exactly once in ``file`` (below ``wsss_lib``). ``tests`` are files below ``tests``, a notebook whose
checked cells must notice, or what asks for a verdict.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    file: str
    source: str
    instead: str
    breaks: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {self.breaks}"


CAM, PATCHES = "localization/cam.py", "localization/patches.py"
SEEDS, CENTER, ROUNDS = "clustering/seeds.py", "clustering/center_loss.py", "clustering/rounds.py"
SCORES, CLAIMS = "evaluation/scores.py", "reporting/claims.py"

MUTANTS = (
    # class activation maps and heat (paper 3.1, equation 1)
    Mutant(CAM, '"ck,...kyx->...cyx", weights', '"ck,...kyx->...cyx", -weights', "sign of w in M_c", "localization/test_cam.py"),
    Mutant(CAM, "maps.clamp(min=0) * tags", "maps.abs() * tags", "negative evidence is no heat", "localization/test_cam.py"),
    Mutant(CAM, "heat.amax((1, 2), keepdim=True)", "heat.amax()", "each map divided by its own maximum", "localization/test_cam.py"),
    Mutant(CAM, "* tags[:, None, None]", "+ 0 * tags[:, None, None]", "absent tags have no heat", "localization/test_cam.py"),
    Mutant(PATCHES, "maps.split(columns)", "maps.split(len(maps) // columns)", "rows and columns of patches", "localization/test_patches.py"),
    Mutant(PATCHES, "round().astype(int)\n    right", "round().astype(int) * 0\n    right", "where patches are cut", "localization/test_patches.py"),
    Mutant(PATCHES, "logits = maps + bias", "logits = maps - bias", "sign of the bias in the heat", "localization/test_patches.py"),
    Mutant(PATCHES, "logits.softmax(0) if", "logits.softmax(1) if", "softmax over classes", "localization/test_patches.py"),
    Mutant(PATCHES, "1 - result.amax(0)", "result.amax(0)", "background is where nothing else is", "localization/test_patches.py"),
    Mutant(PATCHES, "device=maps.device) + 0.5) / height", "device=maps.device)) / height", "half a cell", "localization/test_patches.py"),
    # beyond the paper: place, shape and colour of regions
    Mutant("regions/geometry.py", "(tall + _THINNEST) / (wide + _THINNEST)", "(wide + _THINNEST) / (tall + _THINNEST)", "upright regions are tall", "regions/test_geometry.py"),
    Mutant("regions/geometry.py", "mean(y * x) - row * column", "mean(y * x) + row * column", "sign of the covariance", "regions/test_geometry.py"),
    Mutant("segmentation/predict.py", ".masked_fill(absent, -torch.inf).softmax(0)", ".softmax(0)", "only tags are predicted of a training picture", "baselines/test_skeleton.py"),
    Mutant("regions/cuttings.py", "border.mean() < _AT_BORDER", "border.mean() > _AT_BORDER", "an outline ends inside the picture", "regions/test_cuttings.py"),
    Mutant("regions/cuttings.py", "sum(outlined) < _FIGURES * len", "sum(outlined) > _FIGURES * len", "ground is taken whole, figures are cut", "regions/test_cuttings.py"),
    Mutant("clustering/collages.py", "np.sqrt(area / mask.sum())", "area / mask.sum()", "a figure has the area of its spot", "clustering/test_collages.py"),
    Mutant("clustering/collages.py", "labels[here][shown] = label", "labels[here] = label", "only what was pasted has its label", "clustering/test_collages.py"),
    Mutant("clustering/collages.py", "adapted * (picture.mean() - image", "adapted * (picture.mean() + image", "pieces come nearer to the picture's brightness", "clustering/test_collages.py"),
    Mutant("clustering/collages.py", "count.max(1) >= _PURE", "count.max(1) <= _PURE", "regions are pure", "clustering/test_collages.py"),
    Mutant(ROUNDS, "return pasted.config.weight *", "return 0 *", "pasted regions teach", "clustering/test_rounds.py"),
    # superpixels and pooling
    Mutant("regions/pooling.py", "(area / (height * width)", "(area / (height + width)", "share of a bin that a region covers", "regions/test_pooling.py"),
    Mutant("regions/pooling.py", "((1.0 / sizes)[ids]", "((sizes / sizes)[ids]", "a mean over the pixels, not a sum", "regions/test_pooling.py"),
    Mutant("regions/superpixels.py", "self.min_size * pixels / self", "self.min_size * self", "smallest region grows with the picture", "regions/test_superpixels.py"),
    # seeds
    Mutant(SEEDS, "np.where(tags, heat, -np.inf)", "np.where(tags, heat, heat)", "seeds are tags", "clustering/test_seeds.py"),
    Mutant(SEEDS, "value >= config.threshold *", "value <= config.threshold *", "seeds are the hottest regions", "clustering/test_seeds.py"),
    Mutant(SEEDS, "allowed.max(0)[best]", "allowed.max()", "hottest of its own class", "clustering/test_seeds.py"),
    Mutant(SEEDS, "1 - share)", "share)", "the surest share is kept", "clustering/test_seeds.py"),
    # relabelling and centre loss (equations 2 and 3)
    Mutant("clustering/relabel.py", "scores.masked_fill(~tags, -torch.inf).argmax(1)", "scores.argmax(1)", "tag mask", "clustering/test_relabel.py"),
    Mutant("clustering/relabel.py", "return -torch.cdist", "return torch.cdist", "nearest, not farthest", "clustering/test_relabel.py"),
    Mutant(CENTER, "(features - self.centers[labels])", "(features + self.centers[labels])", "distance to the own centre", "clustering/test_center_loss.py"),
    Mutant(CENTER, ".mean() / 2", ".mean() / 1", "half the squared distance", "clustering/test_center_loss.py"),
    Mutant(CENTER, "difference = self.centers[labels] - features", "difference = features - self.centers[labels]", "sign of the centre step", "clustering/test_center_loss.py"),
    Mutant(CENTER, "(1 + count)", "count.clamp(min=1)", "1 + n in the centre step", "clustering/test_center_loss.py"),
    Mutant(CENTER, "self.alpha * total", "total", "rate of the centre step", "clustering/test_center_loss.py"),
    Mutant(CENTER, "total / count.clamp(min=1)", "total / (1 + count)", "a class mean", "clustering/test_center_loss.py"),
    Mutant("clustering/network.py", "(pooled.float() - self.mean) / self.scale", "(pooled.float() - self.mean) * self.scale", "standardised features", "clustering/test_network.py"),
    Mutant(ROUNDS, ").mean(0)\n        picture", ")[0]\n        picture", "both views have a say", "clustering/test_rounds.py"),
    Mutant(ROUNDS, "** -config.balance", "** config.balance", "rare classes are drawn more often", "clustering/test_rounds.py"),
    Mutant(ROUNDS, "min(number, len(config.certain)) - 1", "0", "later rounds learn from more", "clustering/test_rounds.py"),
    Mutant(ROUNDS, "config.center_weight * center(x, truth)", "-config.center_weight * center(x, truth)", "sign of the centre loss", "clustering/test_rounds.py"),
    Mutant(ROUNDS, "rate = 0.1 * self", "rate = 1.0 * self", "rate of the second phase", "clustering/test_rounds.py"),
    # training and the segmentation network (paper 3.3)
    Mutant("training/loop.py", "** 0.9", "** 0.5", "power of the poly schedule", "training/test_loop.py"),
    Mutant("training/loop.py", "(2 if is_bias else 1)", "1", "biases at twice the rate", "training/test_loop.py"),
    Mutant("segmentation/training.py", "ignore_index=IGNORE, reduction", "ignore_index=0, reduction", "unknown pixels do not count", "segmentation/test_training.py"),
    Mutant("segmentation/training.py", "- reverse * LOG_OF_ZERO", "+ reverse * LOG_OF_ZERO", "sign of the reverse term", "segmentation/test_training.py"),
    Mutant("segmentation/training.py", "::label_stride, ::label_stride", "1::label_stride, 1::label_stride", "labels from pixel (0, 0)", "segmentation/test_training.py"),
    Mutant("segmentation/networks.py", "align_corners=True", "align_corners=False", "corners of grid and picture coincide", "segmentation/test_networks.py"),
    Mutant("segmentation/largefov.py", "padding=dilation, dilation=dilation", "padding=1, dilation=1", "field of view of fc6", "segmentation/test_networks.py"),
    Mutant("segmentation/largefov.py", "width=1024, dilation=12", "width=1024, dilation=6", "the published dilation", "segmentation/test_networks.py"),
    Mutant("segmentation/crf.py", "bilateral_weight * bilateral + config", "bilateral_weight * -bilateral + config", "neighbours agree", "segmentation/test_crf.py"),
    # tags, scores and verdict
    Mutant("data/tags.py", "counts[:num_classes] >= 1", "counts[:num_classes] >= 2", "one pixel is a tag", "data/test_tags.py"),
    Mutant("evaluation/confusion.py", "counter.update(torch.from_numpy(column), torch.from_numpy(label_map.astype(np.int64)))", "counter.update(torch.from_numpy(label_map.astype(np.int64)), torch.from_numpy(column).long())", "rows are labels", "evaluation/test_confusion.py"),
    Mutant("evaluation/confusion.py", "ignore_index=IGNORE,", "ignore_index=0,", "void does not count", "evaluation/test_confusion.py"),
    Mutant(SCORES, ".sum() - intersection", ".sum()", "union in IoU", "evaluation/test_scores.py"),
    Mutant(SCORES, "matrix[np.ix_(columns, columns)].sum()", "np.trace(matrix[np.ix_(columns, columns)])", "a category forgives its own classes", "evaluation/test_scores.py"),
    Mutant(SCORES, "values[~np.isnan(values)]", "np.nan_to_num(values)", "absent classes are left out", "evaluation/test_scores.py"),
    Mutant(CLAIMS, "lower, upper = mean - half, mean + half", "lower, upper = mean + half, mean - half", "bounds of the verdict", "reporting/test_claims.py"),
    Mutant(CLAIMS, "gains = _paired(better.by_seed, worse.by_seed)", "gains = _paired(worse.by_seed, better.by_seed)", "who beats whom in the verdict", "reporting/test_claims.py"),
    Mutant(CLAIMS, "return HOLDS if mean > 0 else FAILS", "return HOLDS", "a verdict can be no", "reporting/test_claims.py"),
    # the compared systems
    Mutant("baselines/sec.py", "decay) ** torch.arange", "decay) * torch.arange", "SEC: weights of rank pooling", "baselines/test_sec.py"),
    Mutant("baselines/sec.py", "-(1 - flat.amax(-1))", "-(0 + flat.amax(-1))", "SEC: absent classes are pushed down", "baselines/test_sec.py"),
    Mutant("baselines/seed_losses.py", "return -(sums.sum(1)", "return (sums.sum(1)", "SEC: sign of the seed loss", "baselines/test_seed_losses.py"),
    Mutant("baselines/ccnn.py", "torch.where(scaled, free / count, wanted)", "torch.where(scaled, wanted, wanted)", "CCNN: bounds that can be met", "baselines/test_ccnn.py"),
    Mutant("regions/random_walk.py", "weights = weights**beta", "weights = weights * beta", "PSA: power of the affinity", "regions/test_random_walk.py"),
    Mutant("baselines/affinity.py", "apart / 2 + torch", "apart + torch", "PSA: weight of unequal pairs", "baselines/test_affinity.py"),
    Mutant("baselines/dsrg.py", "early = int(config.seeds_first * steps)", "early = 0", "DSRG: seeds before growing", "baselines/test_dsrg.py"),
    Mutant("baselines/dsrg.py", "likely.max(0) > thresholds[best]", "likely.max(0) < thresholds[best]", "DSRG: seeds grow where it is sure", "baselines/test_dsrg.py"),
    Mutant("baselines/bbf.py", "best[:, 0] - second > margin", "best[:, 0] + second > margin", "BBF: margin of a confident cell", "baselines/test_bbf.py"),
    Mutant("baselines/stc.py", "(1 - stands_out) *", "stands_out *", "STC: ground is not salient", "baselines/test_stc.py"),
    Mutant("baselines/spn.py", "branch(everywhere).float(), truth) + loss", "branch(everywhere).float(), truth) - loss", "SPN: both losses", "baselines/test_spn.py"),
    Mutant("baselines/lcem.py", "+ config.kappa * heat", "- config.kappa * heat", "LCEM: heat in the E step", "baselines/test_lcem.py"),
    Mutant("baselines/ae_psl.py", "config.coldest * warm.max()", "0 * warm.max()", "AE-PSL: nothing cold is mined", "baselines/test_ae_psl.py"),
    Mutant("baselines/mcof.py", "mean >= config.posterior", "mean <= config.posterior", "MCOF: what belongs to the object", "baselines/test_mcof.py"),
    Mutant("baselines/psa.py", "walk_steps * min(1.0, (PUBLISHED_STRIDE / self.stride) ** 2)", "walk_steps * (PUBLISHED_STRIDE / self.stride)", "PSA: steps of the walk on a coarser grid", "baselines/test_psa.py"),
    Mutant("baselines/skeleton.py", "* (pixels - 1) / pixels", "* 1.0", "heat is read at the logits' pixels", "baselines/test_skeleton.py"),
    Mutant("baselines/skeleton.py", "forward=logits", "forward=lambda cues: network(cues.images)", "batch normalisation settles on the network's inputs", "baselines/test_skeleton.py"),
    # what a processor needs
    Mutant("classification/convolutions.py", "weight.flip(2, 3)", "weight", "the kernel is turned on the way back", "classification/test_convolutions.py"),
    Mutant("training/compute.py", 'else "cpu", enabled=False', 'else "cpu", enabled=True', "FCN: scores in float32", "segmentation/test_fcn.py"),
)  # fmt: skip

NOTEBOOK_MUTANTS = (
    Mutant("clustering/relabel.py", "scores.masked_fill(~tags, -torch.inf).argmax(1)", "scores.argmax(1)", "tag mask", "03_iterative_clustering.ipynb"),
    Mutant(CENTER, "(1 + count)", "count.clamp(min=1)", "1 + n in the centre step", "04_center_loss_ablation.ipynb"),
)  # fmt: skip

VERDICT_MUTANTS = (
    Mutant(CAM, '"ck,...kyx->...cyx", weights', '"ck,...kyx->...cyx", -weights', "sign of w in M_c", "mutants/patches_claim.py"),
)  # fmt: skip

QUICK = (CAM, CENTER, "clustering/relabel.py", SCORES, CLAIMS)
"""Files of which ``make test`` tries the first mutant; ``make mutants`` tries all."""
