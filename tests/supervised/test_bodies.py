from typing import Any

import pytest
import torch
from torch import nn

from rlnorm.nn import NORMS, BatchNorm1d, RecurrentCell
from rlnorm.population import Population
from rlnorm.supervised.bodies import SequenceNetwork, build, with_arguments
from rlnorm.supervised.settings import Settings
from tests.alone import MLP_NORMS

STEPS, FEATURES = 6, 3
RECURRENT = tuple(name for name in MLP_NORMS if NORMS[name].wrap_layer is None)


def body(shape: tuple[int, ...], **settings: Any) -> nn.Module:
    return build(Settings(seeds=(0,), rates=(0.1,), steps=1, dataset="digits", **settings), shape, 4, 5)


def test_vectors_and_images_are_read_by_the_networks_of_every_engine(rng):
    vectors = body((7,), hidden=(5,) * 50, norm="layer", activation="tanh")
    assert [name for name, _ in vectors.named_children()][-4:] == ["linear50", "norm50", "activation50", "output"]
    assert vectors(torch.randn(5, 7, generator=rng)).shape == (5, 4)
    images = body((1, 8, 8), channels=(3, 2), hidden=(6,), norm="batch", noise=0.5)
    assert [name for name, _ in images.named_children()][:5] == ["pixels", "conv1", "norm1", "noise1", "activation1"]
    assert images(torch.randn(5, 1, 8, 8, generator=rng)).shape == (5, 4)


def test_without_scale_and_shift_norms_have_no_parameters():
    for shape in ((7,), (STEPS, FEATURES)):
        for norm in ("batch", "layer", "rms"):
            names = [n for n, _ in body(shape, norm=norm, affine=False, cell="gru").named_parameters()]
            assert not [name for name in names if "norm" in name]


@pytest.mark.parametrize(("cell", "theirs"), [("tanh", nn.RNN), ("gru", nn.GRU)])
def test_without_a_norm_a_sequence_is_read_by_torchs_layers(cell, theirs, rng):
    ours, peer = body((STEPS, FEATURES), hidden=(5, 6), cell=cell), [theirs(FEATURES, 5), theirs(5, 6)]
    for number, layer in enumerate(peer, 1):
        own = ours.get_submodule(f"recurrent{number}")
        own.load_state_dict({f"cell.{k.removesuffix('_l0')}": v for k, v in layer.state_dict().items()})
    x = torch.randn(5, STEPS, FEATURES, generator=rng)
    states, last = x.transpose(0, 1), x
    for layer in peer:
        states, last = layer(states)
    torch.testing.assert_close(ours(x), ours.get_submodule("output")(last[0]))


@pytest.mark.parametrize("cell", ["tanh", "gru"])
@pytest.mark.parametrize("norm", RECURRENT)
def test_recurrent_members_are_their_plain_modules(norm, cell, rng):
    population = Population(lambda: body((STEPS, FEATURES), hidden=(4,), cell=cell, norm=norm), [3, 4])
    x = torch.randn(2, 5, STEPS, FEATURES, generator=rng)
    outputs = population(x)
    for i in range(2):
        torch.testing.assert_close(population.member(i)(x[i]).detach(), outputs[i], rtol=1e-4, atol=1e-5)
    assert not torch.equal(population.flat[0], population.flat[1])


@pytest.mark.parametrize(("per_step", "sets"), [(False, 1), (True, STEPS)])
def test_statistics_are_shared_or_one_set_per_step(per_step, sets):
    network = body((STEPS, FEATURES), cell="tanh", norm="batch", per_step=per_step)
    assert {len(m.norms) for m in network.modules() if isinstance(m, RecurrentCell)} == {sets}


def test_arguments_reach_the_norms_of_cells():
    network = body((STEPS, FEATURES), cell="gru", norm="batch", norm_kwargs={"momentum": 0.3})
    norms = [m for m in network.modules() if isinstance(m, BatchNorm1d)]
    assert len(norms) == 2 * 6
    assert {norm.momentum for norm in norms} == {0.3}
    assert isinstance(network, SequenceNetwork)
    made = with_arguments(NORMS["batch"], {"eps": 0.1}).make(3)
    assert isinstance(made, BatchNorm1d)
    assert made.eps == 0.1
