"""Recurrent cells with norms."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from rlnorm.errors import ConfigError
from rlnorm.nn import NORMS, Moded, Recurrent, RecurrentCell, set_mode


@pytest.mark.parametrize(("cell", "theirs"), [("tanh", nn.RNNCell(5, 4)), ("gru", nn.GRUCell(5, 4))])
def test_without_a_norm_it_is_torchs_cell(cell, theirs, rng):
    ours = RecurrentCell(5, 4, cell)
    ours.load_state_dict(theirs.state_dict())
    x, h = torch.randn(3, 5, generator=rng), torch.randn(3, 4, generator=rng)
    torch.testing.assert_close(ours(x, h), theirs(x, h))


@pytest.mark.parametrize("state", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("cell", "theirs"), [("tanh", nn.RNNCell(5, 4)), ("gru", nn.GRUCell(5, 4))])
def test_under_autocast_it_is_torchs_cell(cell, theirs, state, rng):
    ours = RecurrentCell(5, 4, cell, norm=None)
    ours.load_state_dict(theirs.state_dict())
    x, h = torch.randn(3, 5, generator=rng), torch.randn(3, 4, generator=rng).to(state)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ours(x, h), theirs(x, h), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("make", [RecurrentCell, Recurrent])
def test_a_name_is_no_norm(make):
    with pytest.raises(ConfigError, match=r"takes a Norm, as rlnorm.nn.get_norm\('layer'\) gives it, got 'layer'"):
        make(5, 4, norm="layer")


@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_layer_is_torchs_layer(cell, rng):
    theirs = {"tanh": nn.RNN, "gru": nn.GRU}[cell](5, 4, batch_first=True)
    ours = Recurrent(5, 4, cell)
    ours.load_state_dict({f"cell.{k.removesuffix('_l0')}": v for k, v in theirs.state_dict().items()})
    x = torch.randn(3, 6, 5, generator=rng)
    states, last = ours(x)
    expected, expected_last = theirs(x)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(last, expected_last[0])


@pytest.mark.parametrize("cell", ["tanh", "gru"])
@pytest.mark.parametrize("name", ["layer", "batch", "rms"])
def test_gradients(cell, name, rng):
    layer = set_mode(Recurrent(3, 4, cell, NORMS[name]).double(), "batch")
    x = torch.randn(3, 3, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,))


@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_layer_norm_in_a_cell_ignores_the_scale_of_the_input(cell, rng):
    layer = Recurrent(3, 32, cell, NORMS["layer"])
    x = 100 * torch.randn(2, 4, 3, generator=rng)
    torch.testing.assert_close(layer(10 * x)[1], layer(x)[1], rtol=1e-4, atol=1e-4)


def test_statistics_per_step_or_shared(rng):
    x = torch.randn(8, 4, 3, generator=rng)
    shared, per_step = Recurrent(3, 4, "tanh", NORMS["batch"]), Recurrent(3, 4, "tanh", NORMS["batch"], steps=3)
    shared(x)
    per_step(x)

    def counts(layer: Recurrent) -> list[int]:
        return [int(m.get_buffer("num_batches_tracked")) for m in layer.modules() if isinstance(m, Moded)]

    assert counts(shared) == [4, 4]
    assert counts(per_step) == [1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["none", "layer", "batch"])
def test_members_stacked(name, rng):
    layers = [Recurrent(3, 4, "gru", NORMS[name]) for _ in range(2)]
    parameters, buffers = stack_module_state(list(layers))
    template = Recurrent(3, 4, "gru", NORMS[name]).to("meta")
    x = torch.randn(2, 5, 6, 3, generator=rng)
    _, last = vmap(lambda p, b, x: functional_call(template, (p, b), (x,)))(parameters, buffers, x)
    for i, layer in enumerate(layers):
        torch.testing.assert_close(last[i], layer(x[i])[1])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RecurrentCell(3, 4, "lstm"), "unknown recurrent cell 'lstm'"),  # pyright: ignore[reportArgumentType]
        (lambda: RecurrentCell(3, 4, norm=NORMS["weight"]), "wraps a layer"),
        (lambda: RecurrentCell(3, 4, steps=0), "steps=0"),
    ],
)
def test_bad_settings_are_said(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_bad_shapes_are_said(rng):
    with pytest.raises(RuntimeError, match=r"expected x \(N, 3\) and h \(N, 4\), got \(2, 5\) and \(2, 4\)"):
        RecurrentCell(3, 4)(torch.randn(2, 5, generator=rng), torch.zeros(2, 4))
    with pytest.raises(RuntimeError, match=r"expected x \(N, T, 3\)"):
        Recurrent(3, 4)(torch.randn(2, 3, generator=rng))
