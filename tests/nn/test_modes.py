"""The four modes, and what ends them."""

import pytest
import torch
from torch import nn

from rlnorm.nn import MODES, BatchNorm1d, LayerNorm, Moded, set_mode


@pytest.mark.parametrize("mode", MODES)
def test_mode_is_what_was_set(mode):
    norm = BatchNorm1d(3)
    norm.mode = mode
    assert norm.mode == mode


def test_training_alone_chooses_train_and_eval():
    norm = BatchNorm1d(3)
    norm.training = False
    assert norm.mode == "eval"
    norm.training = True
    assert norm.mode == "train"


@pytest.mark.parametrize("mode", ["batch", "track"])
def test_train_and_eval_end_the_other_modes(mode):
    norm = set_mode(BatchNorm1d(3), mode)
    assert norm.eval().mode == "eval"
    assert set_mode(norm, mode).train().mode == "train"


def test_set_mode_touches_norms_only():
    model = nn.Sequential(nn.Linear(3, 3), BatchNorm1d(3), LayerNorm(3), nn.Dropout(), nn.BatchNorm1d(3))
    assert set_mode(model, "eval") is model
    assert [m.training for m in model] == [True, False, True, True, False]


def test_set_mode_refuses_what_torchs_norms_lack():
    model = nn.Sequential(BatchNorm1d(3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="1 is torch's BatchNorm1d and has no mode 'track'"):
        set_mode(model, "track")
    first = model[0]
    assert isinstance(first, Moded)
    assert first.mode == "train"


def test_unknown_mode_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown mode 'trian'\. Did you mean 'train'"):
        set_mode(BatchNorm1d(3), "trian")  # pyright: ignore[reportArgumentType]


def test_switches(rng):
    x = torch.randn(8, 3, generator=rng) + 5
    moved = {}
    for mode in MODES:
        norm = set_mode(BatchNorm1d(3), mode)
        y = norm(x)
        assert norm.running_mean is not None
        moved[mode] = (bool(y.mean().abs() < 1), bool(norm.running_mean.any()))
    assert moved == {"train": (True, True), "batch": (True, False), "eval": (False, False), "track": (False, True)}
