"""Weight and spectral normalization."""

import pytest
import torch
from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.nn import NORMS, SpectralNorm, WeightNorm, set_mode
from rlnorm.nn.weight import initialize_from_data


@pytest.mark.parametrize(
    "layer", [nn.Linear(5, 3), nn.Conv1d(5, 3, 2), nn.Conv2d(5, 3, 2), nn.Conv3d(5, 3, 2)], ids=str
)
def test_weight_norm_starts_as_the_layer_it_wraps(layer, rng):
    x = torch.randn(4, 5, *(3,) * (layer.weight.ndim - 2), generator=rng)
    torch.testing.assert_close(WeightNorm(layer)(x), layer(x))


def test_weight_norm_equals_torchs(rng):
    layer = nn.Linear(5, 3)
    theirs = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))
    theirs.load_state_dict(
        {
            "bias": layer.bias,
            "parametrizations.weight.original0": layer.weight.norm(dim=1, keepdim=True) * 2,
            "parametrizations.weight.original1": layer.weight,
        }
    )
    ours = WeightNorm(layer)
    with torch.no_grad():
        ours.gain.mul_(2)
    x = torch.randn(4, 5, generator=rng)
    torch.testing.assert_close(ours(x), theirs(x))


def test_gradient_of_the_direction_is_orthogonal_to_it(rng):
    norm = WeightNorm(nn.Linear(5, 3)).double()
    norm(torch.randn(4, 5, generator=rng, dtype=torch.float64)).square().sum().backward()
    v = norm.layer.weight
    assert v.grad is not None
    torch.testing.assert_close((v.grad * v).sum(1), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_initialization_from_data_gives_mean_0_and_variance_1(bias, rng):
    model = nn.Sequential(
        WeightNorm(nn.Conv2d(3, 6, 3, bias=bias)), nn.ReLU(), nn.Flatten(), WeightNorm(nn.Linear(96, 7, bias=bias))
    )
    x = 5 * torch.randn(64, 3, 6, 6, generator=rng) + 2
    initialize_from_data(model, x)
    y = model(x)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(7), rtol=1e-4, atol=1e-4)
    if bias:
        torch.testing.assert_close(y.mean(0), torch.zeros(7), rtol=0, atol=1e-5)


def test_initialization_from_data_refuses_a_batch_of_one(rng):
    with pytest.raises(ValueError, match="do not vary over the batch of 1"):
        initialize_from_data(WeightNorm(nn.Linear(5, 3)), torch.randn(1, 5, generator=rng))


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), nn.Conv2d(5, 3, 2)], ids=str)
def test_spectral_norm_divides_by_the_largest_singular_value(layer):
    norm = SpectralNorm(layer)
    for _ in range(200):
        norm.effective_weight()
    assert torch.linalg.svdvals(norm.effective_weight().flatten(1))[0].item() == pytest.approx(1, abs=1e-5)


def test_spectral_norm_iterates_in_the_modes_that_update():
    norm = SpectralNorm(nn.Linear(5, 3))
    with torch.no_grad():
        norm.layer.weight.add_(torch.eye(3, 5))
    moved = {}
    for mode in ("train", "batch", "eval", "track"):
        before = norm.running_u.clone()
        set_mode(norm, mode).effective_weight()
        moved[mode] = not torch.equal(before, norm.running_u)
    assert moved == {"train": True, "batch": False, "eval": False, "track": True}


@pytest.mark.parametrize("name", ["weight", "spectral", "weight_mean_only"])
def test_only_linear_and_conv_are_wrapped(name):
    with pytest.raises(ConfigError, match="wraps a Linear or Conv, but got ReLU"):
        NORMS[name].wrap(nn.ReLU())


@pytest.mark.parametrize("kind", [WeightNorm, SpectralNorm])
def test_restart_is_as_newly_wrapped(kind):
    norm = kind(nn.Linear(5, 3))
    norm(torch.ones(2, 5))
    nn.init.orthogonal_(norm.layer.weight, generator=torch.Generator().manual_seed(1))
    norm.restart()
    for key, value in kind(norm.layer).state_dict().items():
        torch.testing.assert_close(norm.state_dict()[key], value)


def test_a_frozen_layer_stays_frozen():
    assert not any(p.requires_grad for p in WeightNorm(nn.Linear(5, 3).requires_grad_(False)).parameters())
    assert all(p.requires_grad for p in WeightNorm(nn.Linear(5, 3)).parameters())
