"""Device and precision: what is asked for is what is used, and placing changes layout but never values."""

import pytest
import torch
from torch import nn

from wsss_lib.training.compute import Compute, choose_compute, without_autocast
from wsss_lib.vocabulary import SettingsError

FLOAT32 = choose_compute("cpu", "float32")
BFLOAT16 = choose_compute("cpu", "bfloat16")


def test_what_is_asked_for_is_chosen():
    assert Compute(device=torch.device("cpu"), precision=torch.float32) == FLOAT32
    assert Compute(device=torch.device("cpu"), precision=torch.bfloat16) == BFLOAT16
    assert (FLOAT32.mixed, BFLOAT16.mixed) == (False, True)


def test_one_line_for_records():
    assert FLOAT32.describe() == "cpu, float32"
    assert BFLOAT16.describe() == "cpu, bfloat16"


def test_auto_takes_the_gpu_if_there_is_one():
    assert choose_compute().device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_auto_takes_bfloat16_only_where_the_processor_has_it(monkeypatch):
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    for name in units:
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert choose_compute("cpu").precision == torch.float32
    monkeypatch.setattr(torch.cpu, units[0], lambda: True, raising=False)
    assert choose_compute("cpu").precision == torch.bfloat16
    for name in units:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert choose_compute("cpu").precision == torch.float32


@pytest.mark.parametrize(("compute", "expected"), [(FLOAT32, torch.float32), (BFLOAT16, torch.bfloat16)])
def test_products_inside_the_block_have_the_precision(compute, expected):
    layer = compute.place(nn.Linear(4, 2))
    with compute.autocast():
        assert layer(torch.ones(1, 4)).dtype == expected
    assert layer(torch.ones(1, 4)).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def test_without_autocast_products_keep_the_precision_of_their_tensors():
    layer, values = nn.Linear(4, 2), torch.ones(1, 4)
    with BFLOAT16.autocast():
        with without_autocast(values):
            assert layer(values).dtype == torch.float32
        assert layer(values).dtype == torch.bfloat16


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16])
def test_placing_changes_no_value(compute):
    pictures = torch.arange(24.0).reshape(1, 2, 3, 4)
    placed = compute.tensor(pictures)
    assert torch.equal(placed, pictures)
    assert placed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(compute.tensor(pictures[0]), pictures[0])
    layer = nn.Conv2d(2, 3, 3)
    weight = layer.weight.clone()
    assert compute.place(layer) is layer
    assert torch.equal(layer.weight, weight)


def test_bytes_of_pictures_become_numbers_and_those_of_labels_do_not():
    pictures = torch.arange(24, dtype=torch.uint8).reshape(1, 2, 4, 3).permute(0, 3, 1, 2)
    placed = FLOAT32.tensor(pictures)
    assert placed.dtype == torch.float32
    assert torch.equal(placed, pictures.float())
    assert placed.is_contiguous(memory_format=torch.channels_last)
    assert FLOAT32.tensor(pictures[0]).dtype == torch.uint8


def test_to_a_gpu_bytes_go_from_locked_memory(monkeypatch):
    """Without a GPU: what would be locked, and what would be sent, is told by the tensors themselves."""
    seen = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: seen.append(values.dtype) or values)
    monkeypatch.setattr(torch.Tensor, "to", lambda values, device, **_: seen.append((values.dtype, device)) or values)
    device = torch.device("cuda")
    placed = Compute(device=device).tensor(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    assert seen == [torch.uint8, (torch.uint8, device)]
    assert placed.dtype == torch.float32


@pytest.mark.parametrize(("device", "precision"), [("tpu", "auto"), ("cpu", "float16"), ("", "auto"), ("cpu", "bf16")])
def test_unknown_names_are_refused(device, precision):
    with pytest.raises(SettingsError, match="use auto, cpu or cuda and auto, float32 or bfloat16"):
        choose_compute(device, precision)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="torch sees no GPU here; use device 'auto' or 'cpu'"):
        choose_compute("cuda")
