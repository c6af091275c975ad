import pytest
import torch
from torch import nn

from rlnorm.networks import network
from rlnorm.nn import set_mode
from rlnorm.nn.dropout import alpha_dropout, dropout
from rlnorm.population import Population
from rlnorm.supervised.perturbation import DRAWS, Draws, Perturbation, perturbed

BATCH, WIDTH = 400, 50


def drawn(kind: str, strength: float, seed: int = 0, shape: tuple[int, ...] = (BATCH, WIDTH)) -> Perturbation:
    module = Perturbation(shape)
    scale, shift = DRAWS[kind](shape, strength, torch.Generator().manual_seed(seed))
    module.scale.copy_(scale)
    module.shift.copy_(shift)
    return module


@pytest.mark.parametrize(("kind", "function"), [("dropout", dropout), ("alpha_dropout", alpha_dropout)])
def test_it_is_the_dropout_of_our_layers(kind, function, rng):
    x = torch.randn(BATCH, WIDTH, generator=rng)
    expected = function(x, 0.3, True, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(drawn(kind, 0.3, 7)(x), expected, atol=1e-5, rtol=1e-5)


def test_noise_is_uniform_in_its_bounds_and_shared_by_the_batch(rng):
    noise = drawn("noise", 0.5, shape=(4000,))
    assert 1 <= noise.scale.min() < 1.01 < 1.24 < noise.scale.max() <= 1.25
    assert -0.5 <= noise.shift.min() < -0.49 < 0.49 < noise.shift.max() <= 0.5
    assert abs(noise.shift.mean()) < 0.02
    x = torch.randn(3, 4000, generator=rng)
    torch.testing.assert_close(noise(x), noise.scale * x + noise.shift)


@pytest.mark.parametrize("kind", DRAWS)
def test_strength_0_is_the_identity_and_so_is_every_mode_but_training(kind, rng):
    x = torch.randn(BATCH, WIDTH, generator=rng)
    assert torch.equal(drawn(kind, 0.0)(x), x)
    module = drawn(kind, 0.5)
    assert not torch.equal(module(x), x)
    for mode in ("batch", "eval", "track"):
        assert set_mode(module, mode)(x) is x


@pytest.mark.parametrize(
    ("place", "order"),
    [
        ("before", "linear norm noise activation dropout alpha_dropout"),
        ("after", "linear activation norm noise dropout alpha_dropout"),
        ("split", "linear norm noise activation affine dropout alpha_dropout"),
    ],
)
def test_noise_stands_behind_the_norm_and_dropout_at_the_end_of_a_hidden_layer(place, order):
    body = perturbed(network((4,), 2, hidden=(5, 6), norm="batch", place=place), (4,), 3, list(DRAWS))
    names = [name for name, _ in body.named_children()]
    assert names == [f"{kind}{i}" for i in (1, 2) for kind in order.split()] + ["output"]
    shapes = {name: tuple(m.scale.shape) for name, m in body.named_children() if isinstance(m, Perturbation)}
    assert shapes == {
        f"{kind}{i}": shape
        for i, width in ((1, 5), (2, 6))
        for kind, shape in (("noise", (width,)), ("dropout", (3, width)), ("alpha_dropout", (3, width)))
    }


def test_maps_have_noise_per_channel_and_dropout_per_pixel():
    body = perturbed(network((1, 8, 8), 2, channels=(3,), hidden=(4,)), (1, 8, 8), 2, ["noise", "dropout"])
    assert body.get_buffer("noise1.scale").shape == (3, 1, 1)
    assert body.get_buffer("dropout1.scale").shape == (2, 3, 6, 6)
    assert body.get_buffer("noise2.scale").shape == (4,)


def test_no_kind_leaves_the_network_as_it_is():
    body = network((4,), 2)
    assert [n for n, _ in perturbed(body, (4,), 2, []).named_children()] == [n for n, _ in body.named_children()]


def population(seeds: list[int]) -> Population:
    def build() -> nn.Module:
        return perturbed(network((4,), 2, hidden=(5,)), (4,), 3, list(DRAWS))

    return Population(build, seeds)


def test_draws_come_from_a_members_seed_alone_and_anew_each_time():
    two, one = population([1, 2]), population([2])
    pair = Draws(two, {kind: [0.0, 0.5] for kind in DRAWS})
    alone = Draws(one, {kind: [0.5] for kind in DRAWS})
    earlier = None
    for _ in range(2):
        pair.renew()
        alone.renew()
        for name, view in one.buffers.views.items():
            assert torch.equal(two.buffers.views[name][1], view[0])
            identity = 1.0 if name.endswith("scale") else 0.0
            assert (two.buffers.views[name][0] == identity).all()
        scale = two.buffers.views["noise1.scale"][1].clone()
        assert earlier is None or not torch.equal(scale, earlier)
        earlier = scale
