"""A population's update against loops of plain torch, and the known answers of gradient descent."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from rlnorm.networks import mlp
from rlnorm.nn import no_decay_parameters, update_bn
from rlnorm.nn.weight import WeightNorm
from rlnorm.supervised.learners import Learners, classification_loss, regression_loss
from tests.alone import INPUTS, OUTPUTS, assert_members_are, build

SEEDS, RATES, SCALES = (3, 1, 3), (0.02, 0.01, 0.05), (1.0, 0.5, 2.0)
OPTIMIZERS = {
    "plain": {"optimizer": "sgd", "momentum": 0.0},
    "momentum": {"optimizer": "sgd", "momentum": (0.5, 0.0, 0.95)},
    "usual momentum": {"optimizer": "sgd"},
    "rmsprop": {"optimizer": "rmsprop"},
    "adam": {"optimizer": "adam"},
}
OPTIONS = {
    "bare": {},
    "decay": {"weight_decay": (0.0, 0.1, 0.02)},
    "clip": {"clip": (0.1, 10.0, 0.5)},
    "decay and clip": {"weight_decay": 0.05, "clip": 0.3},
}


def learners(norm: str = "none", **settings: Any) -> Learners:
    return Learners(lambda: build(norm), SEEDS, RATES, **{"init_scale": SCALES, **settings})


def each(value: float | Sequence[float], i: int) -> float:
    return value if isinstance(value, int | float) else value[i]


def torchs_optimizer(network: nn.Module, i: int, settings: dict[str, Any]) -> torch.optim.Optimizer:
    """torch's, with weight decay for a group of its own."""
    spared = no_decay_parameters(network)
    known = {id(parameter) for parameter in spared}
    decay = each(settings.get("weight_decay", 0.0), i)
    groups = [
        {"params": [p for p in network.parameters() if id(p) not in known], "weight_decay": decay},
        {"params": spared},
    ]
    rate = RATES[i]
    if settings["optimizer"] == "adam":
        return torch.optim.Adam(groups, lr=rate)
    if settings["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, alpha=0.95, eps=0.01, centered=True)
    return torch.optim.SGD(groups, lr=rate, momentum=each(settings.get("momentum", 0.9), i))


def batches(count: int, rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (torch.randn(3, 32, INPUTS, generator=rng) + 1, torch.randint(OUTPUTS, (3, 32), generator=rng))
        for _ in range(count)
    ]


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "weight"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_member_ends_with_the_weights_of_a_plain_loop(optimizer, options, norm, rng):
    settings = {**OPTIMIZERS[optimizer], **OPTIONS[options]}
    ours = learners(norm, **settings)
    networks = [ours.population.member(i).train() for i in range(3)]
    rules = [torchs_optimizer(network, i, settings) for i, network in enumerate(networks)]
    for inputs, targets in batches(10, rng):
        losses = ours.update(inputs, targets)
        for i, (network, rule) in enumerate(zip(networks, rules, strict=True)):
            rule.zero_grad()
            loss = cross_entropy(network(inputs[i]), targets[i])
            torch.testing.assert_close(losses[i], loss.detach(), rtol=1e-3, atol=1e-4)
            loss.backward()
            if "clip" in settings:
                nn.utils.clip_grad_norm_(network.parameters(), each(settings["clip"], i))
            rule.step()
    assert_members_are(ours.population, networks)


@pytest.mark.parametrize("options", ["decay", "clip"])
def test_the_loop_notices_an_option_that_is_left_out(options, rng):
    with_it, without = learners(**OPTIONS[options]), learners()
    for inputs, targets in batches(3, rng):
        with_it.update(inputs, targets)
        without.update(inputs, targets)
    assert (with_it.population.flat - without.population.flat).abs().amax(1).max() > 1e-3


@pytest.mark.parametrize("optimizer", ["momentum", "rmsprop"])
def test_the_compiled_update_with_every_option_is_the_eager_one(optimizer, rng):
    settings = {**OPTIMIZERS[optimizer], "weight_decay": (0.0, 0.1, 0.02), "clip": (0.1, 10.0, 0.5)}
    eager, fast = (
        Learners(lambda: mlp(INPUTS, OUTPUTS, hidden=(8,)), SEEDS, RATES, compile=compile, **settings)
        for compile in (False, True)
    )
    for inputs, targets in batches(3, rng):
        torch.testing.assert_close(fast.update(inputs, targets), eager.update(inputs, targets), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast.population.flat, eager.population.flat, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("lead", [(4,), (2, 3, 4)])
def test_losses_are_torchs_of_each_batch(lead, rng):
    outputs = torch.randn(*lead, 5, generator=rng)
    labels, numbers = torch.randint(5, lead, generator=rng), torch.randn(*lead, 5, generator=rng)
    flat = outputs.reshape(-1, lead[-1], 5)
    entropy = [cross_entropy(o, t) for o, t in zip(flat, labels.reshape(-1, lead[-1]), strict=True)]
    squares = [mse_loss(o, t) for o, t in zip(flat, numbers.reshape(-1, lead[-1], 5), strict=True)]
    torch.testing.assert_close(classification_loss(outputs, labels).flatten(), torch.stack(entropy))
    torch.testing.assert_close(regression_loss(outputs, numbers).flatten(), torch.stack(squares))


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_weights_before_a_norm_grow_by_the_squared_length_of_each_plain_step(norm, rng):
    """|w'|^2 = |w|^2 + lr^2 |g|^2: the gradient of a scale-invariant weight is orthogonal to it.

    Layer norm is invariant to the scale of the whole matrix, so the same holds. Source: van Laarhoven 2017, sec. 2.
    """
    ours = Learners(
        lambda: mlp(INPUTS, OUTPUTS, hidden=(32,), norm=norm, bias=False),
        SEEDS,
        (0.5, 1.0, 2.0),
        momentum=0.0,
        init="he",
    )
    views, excess = ours.population.parameters.views, list[Tensor]()
    for inputs, targets in batches(20, rng):
        before = views["linear1.weight"].square().sum((1, 2)).clone()
        step = (ours.rates.view(-1, 1, 1) * ours.gradients(inputs, targets)["linear1.weight"]).square().sum((1, 2))
        ours.update(inputs, targets)
        excess.append((views["linear1.weight"].square().sum((1, 2)) - before - step).abs() / step)
    if norm == "none":
        assert torch.stack(excess).median() > 1
    else:
        assert torch.stack(excess).max() < 1e-2


@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_are_what_the_optimizer_is_given_and_change_nothing(options, rng):
    ours = learners("batch", momentum=0.0, **OPTIONS[options])
    ((inputs, targets),) = batches(1, rng)
    before, buffers = ours.population.flat.clone(), deepcopy(ours.population.buffers.views)
    gradient = torch.cat([g.flatten(1) for g in ours.gradients(inputs, targets).values()], 1)
    assert torch.equal(ours.population.flat, before)
    assert all(torch.equal(buffers[name], view) for name, view in ours.population.buffers.views.items())
    ours.update(inputs, targets)
    torch.testing.assert_close(ours.population.flat, before - ours.rates * gradient)


def test_scales_start_at_gamma_and_nothing_else_moves():
    plain, ours = learners("batch"), learners("batch")
    ours.start_scales_at((0.1, 1.0, 2.0))
    for name, view in ours.population.parameters.views.items():
        if name.startswith("norm") and name.endswith("weight"):
            assert view.mean(1).tolist() == pytest.approx([0.1, 1.0, 2.0])
        else:
            assert torch.equal(view, plain.population.parameters.views[name])


def test_weight_norm_starts_from_data_with_standard_outputs(rng):
    ours, x = learners("weight", init="lecun"), torch.randn(3, 200, INPUTS, generator=rng) * 3 + 1
    ours.start_from_data(x)
    for i in range(3):
        layer = ours.population.member(i).get_submodule("linear1")
        assert isinstance(layer, WeightNorm)
        outputs = layer(x[i])
        torch.testing.assert_close(outputs.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
        torch.testing.assert_close(outputs.std(0, correction=0), torch.ones(16), atol=1e-4, rtol=0)


def test_reestimated_statistics_are_plain_averages_over_the_batches(rng):
    ours, x = learners("batch"), torch.randn(3, 4, 10, INPUTS, generator=rng) + 2
    before = deepcopy(ours.population.buffers.views)
    found = ours.reestimated(x)
    for i in range(3):
        module = ours.population.member(i)
        update_bn(x[i], module)
        for name, buffer in module.named_buffers():
            assert torch.equal(found[name][i], buffer)
    assert all(torch.equal(before[name], view) for name, view in ours.population.buffers.views.items())


def test_a_member_that_diverges_is_marked_and_stays_alone(rng):
    clean, ours = learners("batch"), learners("batch")
    ours.population.flat[1] = torch.inf
    for inputs, targets in batches(2, rng):
        clean.update(inputs, targets)
        ours.update(inputs, targets)
    assert ours.diverged.tolist() == [False, True, False]
    for i in (0, 2):
        assert torch.equal(ours.population.flat[i], clean.population.flat[i])
    ours.population.flat[2, 0] = torch.nan
    ours.check()
    assert ours.diverged.tolist() == [False, True, True]
