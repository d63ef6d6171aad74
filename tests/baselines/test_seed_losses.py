"""What SEC and DSRG share, on two and three cells worked out by hand."""

from math import log

import pytest
import torch

from wsss_lib.baselines.seed_losses import (
    FLOOR,
    PUBLISHED_CRF,
    check_grid_stride,
    constrain_loss,
    floored_softmax,
    on_grid,
    seed_loss,
    smoothed,
)
from wsss_lib.baselines.skeleton import read_cues
from wsss_lib.segmentation.crf import CrfConfig, small_crf
from wsss_lib.vocabulary import IGNORE, SettingsError


def cells(*probabilities):
    """One picture of one row: the probabilities of every cell, class by class."""
    return torch.tensor(probabilities).T[None, :, None]


def seeds(*rows):
    return torch.tensor(rows)[:, None]


def test_floored_softmax_by_hand():
    """Logits 0 and log 3 are 1/4 and 3/4; raised by 1e-4 they sum to 1.0002. Certainty keeps 1e-4 / 1.0002."""
    q = floored_softmax(torch.tensor([0.0, log(3)]).view(1, 2, 1, 1))
    torch.testing.assert_close(q.flatten(), torch.tensor([0.2501, 0.7501]) / 1.0002)
    certain = floored_softmax(torch.tensor([-1e4, 1e4]).view(1, 2, 1, 1))
    torch.testing.assert_close(certain.flatten(), torch.tensor([FLOOR, 1.0001]) / 1.0002)


def test_seed_loss_by_hand():
    """Seeds of class 0 where q = 0.5 and of class 1 where q = 0.8, one cell unknown: -(log 0.5 + log 0.8) / 2."""
    q = cells([0.5, 0.5], [0.2, 0.8], [0.9, 0.1])
    assert seed_loss(q, seeds([0, 1, IGNORE])).item() == pytest.approx(-(log(0.5) + log(0.8)) / 2)


def test_seed_loss_is_a_mean_over_pictures_and_a_picture_without_seeds_adds_nothing():
    """-log 0.5 from one seed, -log 0.1 from two, 0 from none: every picture counts a third."""
    q = torch.cat([cells([0.5, 0.5], [0.5, 0.5]), cells([0.1, 0.9], [0.1, 0.9]), cells([0.3, 0.7], [0.3, 0.7])])
    q.requires_grad_()
    loss = seed_loss(q, seeds([0, IGNORE], [0, 0], [IGNORE, IGNORE]))
    assert loss.item() == pytest.approx(-(log(0.5) + log(0.1)) / 3)
    loss.backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()
    assert not q.grad[2].any()


def test_constrain_loss_by_hand():
    """Cell 1: 0.8 log(0.8/0.5) + 0.2 log(0.2/0.5); cell 2 agrees: 0. The mean over both cells."""
    q, target = cells([0.5, 0.5], [0.3, 0.7]), cells([0.8, 0.2], [0.3, 0.7])
    by_hand = (0.8 * log(1.6) + 0.2 * log(0.4)) / 2
    assert constrain_loss(q, target).item() == pytest.approx(by_hand)


def test_a_clipped_ratio_by_hand():
    """Q = 0.999, 0.001 against q = 0.01, 0.99: ratios 99.9 and 0.00101 become 20 and 0.05, and have no gradient."""
    q, target = cells([0.01, 0.99]).requires_grad_(), cells([0.999, 0.001])
    loss = constrain_loss(q, target, (0.05, 20.0))
    assert loss.item() == pytest.approx(0.999 * log(20) + 0.001 * log(0.05))
    loss.backward()
    assert q.grad is not None
    assert not q.grad.any()


def test_nothing_is_sent_back_through_the_target_or_the_field():
    logits = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = smoothed(-logits, torch.zeros(1, 3, 3, 3), PUBLISHED_CRF, 8)
    assert not target.requires_grad
    q = cells([0.5, 0.5]).requires_grad_()
    given = cells([0.8, 0.2]).requires_grad_()
    constrain_loss(q, given).backward()
    assert q.grad is not None
    assert given.grad is None


def test_the_published_field_at_stride_8_is_that_of_41_cells():
    """80/12 and 3/12 cells; at stride 16 half as many. Values below 1e-4 are raised."""
    generator = torch.Generator().manual_seed(0)
    unary, images = 4 * torch.randn(2, 3, 5, 6, generator=generator), 255 * torch.rand(2, 3, 5, 6, generator=generator)
    for cell, config in (
        (8, CrfConfig(bilateral_xy=80 / 12, gaussian_xy=3 / 12)),
        (16, CrfConfig(bilateral_xy=40 / 12, gaussian_xy=1.5 / 12)),
    ):
        q = small_crf(unary, images, config).clamp(min=FLOOR)
        result = smoothed(unary, images, PUBLISHED_CRF, cell)  # picture by picture
        torch.testing.assert_close(result, q / q.sum(1, keepdim=True))
    assert result.min() > 0.9 * FLOOR


@pytest.mark.parametrize(("cell", "reach"), [(8, 80 / 12), (16, 40 / 12)])
def test_in_a_flat_picture_the_field_reaches_as_many_cells_as_published(cell, reach):
    """Where colours hardly differ, place decides: another reach, or pixels taken for cells, is another Q."""
    generator = torch.Generator().manual_seed(0)
    unary = 2 * torch.randn(1, 3, 5, 20, generator=generator)
    images = 128 + torch.rand(1, 3, 5, 20, generator=generator)
    result = smoothed(unary, images, PUBLISHED_CRF, cell)

    def with_reach(bilateral_xy):
        q = small_crf(unary, images, CrfConfig(bilateral_xy=bilateral_xy, gaussian_xy=2 / cell)).clamp(min=FLOOR)
        return q / q.sum(1, keepdim=True)

    torch.testing.assert_close(result, with_reach(reach))
    for other in (reach / 100, reach / 2, 2 * reach, cell * reach, cell**2 * reach):
        assert (result - with_reach(other)).abs().max() > 0.5


def test_the_field_is_computed_in_full_precision_in_a_mixed_run():
    generator = torch.Generator().manual_seed(0)
    unary, images = torch.randn(1, 3, 4, 4, generator=generator), 255 * torch.rand(1, 3, 4, 4, generator=generator)
    exact = smoothed(unary, images, PUBLISHED_CRF, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(smoothed(unary, images, PUBLISHED_CRF, 8), exact, rtol=0, atol=0)


def test_a_fine_grid_is_thinned_to_the_stride(material):
    """33 pixels and 9 cells are 4 pixels a cell: for stride 8 every second cell stays, with its seed and its pixel."""
    cues = read_cues(material, [0, 1], [False, True], (33, 33))
    logits = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    grid = on_grid(logits, cues, 8)
    assert grid.cell == 8
    torch.testing.assert_close(grid.logits, logits[..., ::2, ::2])
    assert torch.equal(grid.seeds, cues.seeds[:, ::8, ::8].long())
    torch.testing.assert_close(grid.images, cues.images[..., ::8, ::8])


def test_a_coarse_grid_stays(material):
    cues = read_cues(material, [0], [False], (33, 33))
    logits = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    grid = on_grid(logits, cues, 8)
    assert grid.cell == 16
    assert torch.equal(grid.logits, logits)


def test_a_stride_below_one_is_refused():
    with pytest.raises(SettingsError, match="grid_stride"):
        check_grid_stride(0)
