from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rlnorm.networks import mlp, network
from rlnorm.nn import MODES, NORMS, set_mode
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import Population, Rows, member_errors, per_member, per_member_errors
from tests.alone import (
    INPUTS,
    MLP_NORMS,
    OUTPUTS,
    alone,
    assert_members_are,
    build,
    flat_gradient,
    torch_optimizer,
)

SEEDS, SCALES, RATES = (3, 1, 3), (1.0, 0.5, 2.0), (1e-2, 3e-3, 3e-2)
BATCH = 32
"""Of few rows a ReLU may pass a single one: a norm behind it then gives the same for any value, and the gradient is
rounding alone, of which Adam makes a full step."""


def trained(norm: str, optimizer: str, place: str, rng: torch.Generator, steps: int = 20):
    population = Population(lambda: build(norm, place), SEEDS, init_scale=SCALES)
    rule = OPTIMIZERS[optimizer](population.flat, RATES)
    networks = alone(norm, SEEDS, SCALES, place)
    rules = [torch_optimizer(optimizer, n, rate) for n, rate in zip(networks, RATES, strict=True)]
    for _ in range(steps):
        x = torch.randn(len(SEEDS), BATCH, INPUTS, generator=rng) * 2 + 1
        labels = torch.randint(OUTPUTS, (len(SEEDS), BATCH), generator=rng)
        leaves = population.leaves()
        logits = population.apply(leaves, population.buffers.views, x, "train")
        losses = torch.stack([cross_entropy(own, truth) for own, truth in zip(logits, labels, strict=True)])
        rule.step(flat_gradient(losses, leaves))
        for i, (one, torchs) in enumerate(zip(networks, rules, strict=True)):
            torchs.zero_grad()
            loss = cross_entropy(one(x[i]), labels[i])
            torch.testing.assert_close(losses[i].detach(), loss.detach(), rtol=1e-3, atol=1e-4)
            loss.backward()
            torchs.step()
    return population, networks


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_a_population_equals_its_members_trained_alone(norm, optimizer, place, rng):
    assert_members_are(*trained(norm, optimizer, place, rng))


def test_none_batch_and_layer_are_among_the_norms_tested():
    assert {"none", "batch", "layer"} <= set(MLP_NORMS)


@pytest.mark.parametrize("what", ["parameters", "buffers"])
def test_the_comparison_notices_one_value_that_differs(what, rng):
    population, networks = trained("batch", "adam", "before", rng, steps=2)
    name, view = next((n, v) for n, v in getattr(population, what).views.items() if v.is_floating_point())
    view[1].view(-1)[0] += 0.01
    with pytest.raises(AssertionError, match=name):
        assert_members_are(population, networks)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_every_mode_is_the_plain_modules(norm, mode, rng):
    population = Population(lambda: build(norm), SEEDS)
    networks = [set_mode(population.member(i), mode) for i in range(len(SEEDS))]
    for _ in range(3):
        x = torch.randn(len(SEEDS), 8, INPUTS, generator=rng) * 2 + 1
        with torch.no_grad():
            expected = torch.stack([network(own) for network, own in zip(networks, x, strict=True)])
        torch.testing.assert_close(population(x, mode), expected)
    assert_members_are(population, networks)


IMAGE = (3, 5, 4)
CONV_NORMS = tuple(name for name, norm in NORMS.items() if norm.wrap_layer or 2 in norm.modules)


def read_images(norm: str) -> nn.Sequential:
    """A small network of images. `instance` has no form for vectors, and so stands on the convolution alone."""
    sites = ("hidden",) if 0 in NORMS[norm].modules or NORMS[norm].wrap_layer else ("first",)
    return network(IMAGE, OUTPUTS, channels=(4, 3), kernel=2, hidden=(8,), norm=norm, sites=sites)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"kernel_size": (2, 3), "stride": (1, 2), "bias": False},
        {"padding": 1},
        {"dilation": 2},
        {"groups": 3},
    ],
    ids=str,
)
def test_convolutions_of_any_kind_are_torchs(options, rng):
    population = Population(lambda: nn.Conv2d(3, 6, **{"kernel_size": 3, **options}), [0, 1])
    x = torch.randn(2, 4, 3, 7, 6, generator=rng)
    for i, outputs in enumerate(population(x)):
        torch.testing.assert_close(outputs, population.member(i)(x[i]).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("norm", CONV_NORMS)
def test_convolutions_are_the_plain_modules_with_their_gradients_and_statistics(norm, mode, rng):
    population = Population(lambda: read_images(norm), SEEDS)
    networks = [set_mode(population.member(i), mode) for i in range(len(SEEDS))]
    for _ in range(2):
        x = torch.randn(len(SEEDS), 6, *IMAGE, generator=rng) * 2 + 1
        leaves = population.leaves()
        outputs = population.apply(leaves, population.buffers.views, x, mode)
        gradient = flat_gradient(outputs.square().mean((1, 2)), leaves)
        for i, single in enumerate(networks):
            expected = single(x[i])
            torch.testing.assert_close(outputs[i], expected, rtol=1e-4, atol=1e-5)
            own = torch.autograd.grad(expected.square().mean(), list(single.parameters()))
            torch.testing.assert_close(gradient[i], torch.cat([g.flatten() for g in own]), rtol=1e-3, atol=1e-4)
    assert_members_are(population, networks)


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_member_is_a_plain_module_of_its_own(norm, rng):
    population, _ = trained(norm, "adam", "before", rng, steps=3)
    x = torch.randn(5, INPUTS, generator=rng)
    outputs = population(x.expand(len(SEEDS), -1, -1))
    for i in range(len(SEEDS)):
        member = population.member(i)
        assert type(member) is nn.Sequential
        assert not any(module.training for module in member.modules())
        torch.testing.assert_close(member(x).detach(), outputs[i])
        for tensor in member.parameters():
            tensor.data.fill_(7.0)
    assert torch.equal(population(x.expand(len(SEEDS), -1, -1)), outputs)


def test_member_keeps_buffers_that_a_state_dict_leaves_out():
    def build() -> nn.Module:
        module = nn.Sequential(nn.Linear(2, 2))
        module.register_buffer("seen", torch.zeros(3), persistent=False)
        return module

    population = Population(build, [0, 1])
    population.buffers.views["seen"][1] = 5
    assert dict(population.member(1).named_buffers())["seen"].tolist() == [5, 5, 5]
    assert dict(population.member(0).named_buffers())["seen"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_a_nan_stays_with_its_member(norm, rng):
    x = torch.randn(3, 8, INPUTS, generator=rng)

    def gradients(poison: bool):
        population = Population(lambda: build(norm), [0, 1, 2])
        if poison:
            population.flat[1] = torch.nan
        leaves = population.leaves()
        outputs = population.apply(leaves, population.buffers.views, x, "train")
        gradient = flat_gradient(outputs.square().mean((1, 2)), leaves)
        return outputs.detach(), gradient, *population.buffers.matrices.values()

    for clean, poisoned in zip(gradients(False), gradients(True), strict=True):
        for i in (0, 2):
            assert torch.equal(clean[i], poisoned[i])
    assert gradients(True)[0][1].isnan().all()


class Drawn(nn.Module):
    """Draws its start from torch's global stream, as a norm of one's own may."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.shift = nn.Parameter(torch.randn(2))


@pytest.mark.parametrize("norm", [*MLP_NORMS, "drawn"])
def test_the_start_comes_from_the_seeds_alone_and_leaves_torchs_stream_as_it_is(norm):
    def start(global_seed: int) -> Population:
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        population = Population(Drawn if norm == "drawn" else lambda: build(norm), [0, 1])
        assert torch.equal(before, torch.get_rng_state())
        return population

    with torch.random.fork_rng(devices=()):
        first, second = start(1), start(2)
    assert torch.equal(first.flat, second.flat)
    assert all(torch.equal(a, second.buffers.views[name]) for name, a in first.buffers.views.items())
    assert not torch.equal(first.flat[0], first.flat[1])


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("mode", ["batch", "eval"])
def test_many_batches_at_once_are_one_after_the_other(norm, mode, rng):
    population = Population(lambda: build(norm), SEEDS)
    x = torch.randn(len(SEEDS), 4, 8, INPUTS, generator=rng)
    before = {name: view.clone() for name, view in population.buffers.views.items()}
    expected = torch.stack([population(own, mode) for own in x.unbind(1)], 1)
    torch.testing.assert_close(population.in_batches(x, mode), expected)
    parameters, buffers = population.state()
    population.flat.mul_(2)
    torch.testing.assert_close(population.in_batches(x, mode, parameters.views, buffers.views), expected)
    assert not torch.allclose(population.in_batches(x, mode), expected)
    assert all(torch.equal(before[name], view) for name, view in population.buffers.views.items())


def test_a_number_is_every_members_and_a_list_is_each_ones():
    assert per_member(2, 3) == [2.0, 2.0, 2.0]
    assert per_member((1, 0.5), 2) == [1.0, 0.5]
    with pytest.raises(ValueError, match="expected one number or 2 of them, got 3"):
        per_member((1, 2, 3), 2)


@pytest.mark.parametrize(
    ("value", "limits", "sentence"),
    [
        ((0.1, 0.2), {}, "p must be one number or one per member, got 2 numbers for 3 members."),
        (-0.5, {}, "p must be at least 0 and finite, got -0.5."),
        (float("inf"), {}, "p must be at least 0 and finite, got inf."),
        (float("nan"), {}, "p must be at least 0 and finite, got nan."),
        ((0.1, 1.0, 0.2), {"high": 1}, "p must be at least 0 and below 1, got 1.0."),
        (0, {"above": True}, "p must be above 0 and finite, got 0."),
    ],
)
def test_a_number_per_member_is_checked(value, limits, sentence):
    assert list(per_member_errors("p", value, 3, 0, **limits)) == [sentence]
    assert not list(per_member_errors("p", (0.5, 0.25, 0.125), 3, 0, **limits))


def test_init_scale_is_each_members_own():
    one, each = (Population(lambda: build("layer"), [5, 5], init_scale=s).parameters.views for s in (1.0, (1.0, 4.0)))
    for name in ("linear1.weight", "output.weight"):
        torch.testing.assert_close(each[name], one[name] * torch.tensor([1.0, 4.0]).view(2, 1, 1))
    assert torch.equal(one["norm1.weight"], each["norm1.weight"])
    with pytest.raises(ValueError, match="expected one number or 3 of them, got 2"):
        Population(lambda: build("none"), [0, 1, 2], init_scale=(1.0, 2.0))


TENSORS = {
    "a": torch.arange(6.0).view(2, 3),
    "b": torch.tensor(4),
    "c": torch.ones(()),
    "d": torch.arange(3),
    "e": torch.full((2, 1, 2), 0.5),
}


def test_rows_are_one_matrix_per_dtype_and_its_views():
    rows = Rows(3, TENSORS)
    assert {dtype: m.shape for dtype, m in rows.matrices.items()} == {torch.float32: (3, 11), torch.int64: (3, 4)}
    rows.set_row(1, TENSORS)
    for name, tensor in TENSORS.items():
        view = rows.views[name]
        assert view.shape == (3, *tensor.shape)
        assert torch.equal(view[1], tensor)
        assert not view[::2].any()
        assert view.untyped_storage().data_ptr() == rows.matrices[tensor.dtype].untyped_storage().data_ptr()
    rows.matrices[torch.float32][2] = 9
    assert (rows.views["e"][2] == 9).all()
    assert rows.matrices[torch.float32][1].tolist() == [0, 1, 2, 3, 4, 5, 1, 0.5, 0.5, 0.5, 0.5]


def test_rows_copy_takes_values_and_not_memory():
    source, target = Rows(2, TENSORS), Rows(2, TENSORS)
    source.set_row(0, TENSORS)
    target.copy_(source)
    assert all(torch.equal(source.views[name], target.views[name]) for name in TENSORS)
    source.views["a"].fill_(8)
    assert not (target.views["a"] == 8).any()


def test_state_is_a_copy_that_lives_on_its_own(rng):
    population, _ = trained("batch", "sgd", "before", rng, steps=2)
    for own, copy in zip((population.parameters, population.buffers), population.state(), strict=True):
        assert all(torch.equal(own.matrices[dtype], copy.matrices[dtype]) for dtype in own.matrices)
        before = {name: view.clone() for name, view in copy.views.items()}
        for matrix in own.matrices.values():
            matrix.fill_(3)
        assert all(torch.equal(copy.views[name], before[name]) for name in before)
        for matrix in copy.matrices.values():
            matrix.fill_(2)
        assert all((view == 2).all() for view in copy.views.values()), "views and matrices have parted"
        assert all((view == 3).all() for view in own.views.values())


def test_deep_copies_are_independent(rng):
    population, _ = trained("batch", "sgd", "before", rng, steps=2)
    x = torch.randn(3, 8, INPUTS, generator=rng)
    outputs, copy = population(x), deepcopy(population)
    assert torch.equal(copy(x), outputs)
    copy.flat.mul_(2)
    copy(x, "train")
    assert not torch.equal(copy(x), outputs)
    assert torch.equal(population(x), outputs)


def test_leaves_share_memory_with_the_parameters():
    population = Population(lambda: mlp(2, 1, hidden=(3,)), [0, 1])
    leaf = population.leaves()["linear1.weight"]
    assert leaf.is_leaf
    assert leaf.requires_grad
    population.flat.zero_()
    assert not leaf.any()


def test_member_errors_name_what_is_wrong():
    assert not list(member_errors(seeds=[0, 0], rates=[1e-3, 1]))
    assert list(member_errors(seeds=[], rates=[])) == ["number of seeds must be at least 1, got 0."]
    assert list(member_errors(seeds=[-1, 2], rates=[0.0, float("nan"), float("inf")])) == [
        "seeds must not be negative, got -1.",
        "one learning rate per seed is needed, got 3 rates for 2 seeds.",
        "learning rates must be positive and finite, got 0.0.",
        "learning rates must be positive and finite, got nan.",
        "learning rates must be positive and finite, got inf.",
    ]
