from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.func import vmap

from rlnorm.networks import network
from rlnorm.nn import MODES, NORMS, BatchNorm1d, Mode, set_mode
from rlnorm.population import Population
from rlnorm.probes import NETWORK, PROBES, Moments, State, formulas, measure, overestimation, plain, probe

PLUS_MINUS = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])  # mean 0, biased variance 1
WRAPS = [name for name, norm in NORMS.items() if norm.wrap_layer and not norm.modules]


def fixed(value: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A Linear layer of these weights, without a bias where none is given."""
    layer = nn.Linear(value.shape[1], value.shape[0], bias=bias is not None)
    layer.weight.data.copy_(value)
    if bias is not None:
        layer.bias.data.copy_(bias)
    return layer


def named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def normed(mean: float = 0.0, std: float = 1.0) -> nn.Sequential:
    """A batch norm that has seen this mean and (unbiased) standard deviation; PLUS_MINUS has 0 and sqrt(4/3)."""
    norm = BatchNorm1d(2)
    norm.running_mean, norm.running_var = torch.full((2,), float(mean)), torch.full((2,), float(std**2))
    return named(norm=norm)


def layer_of_ones(factor: float = 1.0) -> nn.Sequential:
    return named(layer=fixed(torch.full((2, 2), float(factor))))


def rectified(weights: Tensor, bias: Tensor | None = None) -> nn.Sequential:
    return named(layer=fixed(weights, bias), activation=nn.ReLU())


def drift(now: Tensor) -> dict[str, float]:
    then = {"layer": Moments(torch.zeros(2), torch.ones(2))}
    return measure(layer_of_ones(), now, earlier=then)["layer"]


def unequal(factor: float) -> Tensor:
    """Four examples of four units; three units are active in one example each, the fourth `factor` times as much."""
    return torch.eye(4) * torch.tensor([1.0, 1.0, 1.0, factor])


# Probe -> a measurement of something of a size, and what it must give at two sizes.
CASES: Mapping[str, tuple[Callable[[float], float], Mapping[float, float]]] = {
    "mean_gap": (lambda s: measure(normed(mean=s), PLUS_MINUS)["norm"]["mean_gap"], {0: 0, 3: 3}),
    "spread_gap": (
        lambda s: measure(normed(std=s * sqrt(4 / 3)), PLUS_MINUS)["norm"]["spread_gap"],
        {1: 0, 2: log(2)},
    ),
    # (x - s) of length sqrt(1 + s^2) in root mean square, against x
    "mode_gap": (lambda s: measure(normed(mean=s), PLUS_MINUS)[NETWORK]["mode_gap"], {0: 0, 2: 2 / sqrt(5)}),
    "weight_norm": (lambda s: measure(layer_of_ones(s), PLUS_MINUS)["layer"]["weight_norm"], {1: 2, 3: 6}),
    "gradient_norm": (
        lambda s: measure(layer_of_ones(), PLUS_MINUS, gradients={"layer.weight": torch.full((2, 2), float(s))})[
            "layer"
        ]["gradient_norm"],
        {0: 0, 3: 6},
    ),
    "effective_rate": (
        lambda s: measure(layer_of_ones(), PLUS_MINUS, after={"layer.weight": torch.full((2, 2), 1.0 + s)})["layer"][
            "effective_rate"
        ],
        {0: 0, 0.25: 0.25},
    ),
    "mean_drift": (lambda s: drift(PLUS_MINUS + s)["mean_drift"], {0: 0, 2: 2}),
    "spread_drift": (lambda s: drift(PLUS_MINUS * s)["spread_drift"], {1: 0, 3: log(3)}),
    "target_distance": (
        lambda s: measure(layer_of_ones(), PLUS_MINUS, target=layer_of_ones(s))["layer"]["target_distance"],
        {1: 0, 4: 0.75},
    ),
    "target_q_gap": (
        lambda s: measure(layer_of_ones(), PLUS_MINUS, target=layer_of_ones(s))[NETWORK]["target_q_gap"],
        {1: 0, 4: 0.75},
    ),
    "dead": (
        lambda s: measure(rectified(torch.eye(4), -torch.arange(4.0)), torch.eye(4) * s)["activation"]["dead"],
        {9: 0, 1.5: 0.5},
    ),
    "dormant": (lambda s: measure(rectified(torch.eye(4)), unequal(s))["activation"]["dormant"], {0.1: 0, 0.01: 0.25}),
    "rank": (lambda s: measure(rectified(torch.eye(4)), unequal(s))["activation"]["rank"], {1: 4, 0.01: 3}),
    "overestimation": (
        lambda s: overestimation(torch.tensor([2.0, 4.0]), torch.tensor([3.0, 3.0 - s])).item(),
        {0: 0, 4: 2},
    ),
}


class TestProbes:
    @pytest.mark.parametrize("name", CASES)
    def test_gives_the_known_answer_and_notices_a_change(self, name: str):
        measured, answers = CASES[name]
        assert {size: measured(size) for size in answers} == pytest.approx(answers, rel=1e-4, abs=1e-4)
        assert len(set(answers.values())) == 2

    def test_every_probe_has_a_case(self):
        assert set(CASES) == set(PROBES)

    def test_every_probe_says_what_it_is(self):
        assert all(p.what and p.unit and p.source and p.at for p in PROBES.values())

    def test_their_page_has_the_table(self):
        assert formulas.table() in (Path(__file__).parents[1] / "docs" / "probes.md").read_text(encoding="utf-8")

    def test_an_online_network_gives_every_probe_where_the_table_has_it(self, rng: torch.Generator):
        online, target = (network((4,), 2, hidden=(8, 8), norm="batch") for _ in range(2))
        state, x = State.of(online), torch.randn(16, 4, generator=rng)
        earlier = probe(online, state, x).inputs
        found = measure(online, x, target=target, gradients=state.parameters, after=state.parameters, earlier=earlier)
        kinds = {"linear": "layer", "output": "layer", "norm": "norm", "activation": "activation", NETWORK: "network"}
        places = {(name, kinds[layer.rstrip("123")]) for layer, probes in found.items() for name in probes}
        table = {(name, at) for name, p in PROBES.items() for at in p.at}
        # The engines measure what episodes brought.
        assert places == table - {("overestimation", "network")}
        assert set(found) == {*(f"{k}{i}" for k in ("linear", "norm", "activation") for i in (1, 2)), "output", NETWORK}


class TestGaps:
    @pytest.mark.parametrize("norm", ["batch", "batch_renorm", "mean_only"])
    def test_close_when_the_running_statistics_are_the_batchs(self, norm: str, rng: torch.Generator):
        x, net = torch.randn(32, 4, generator=rng) * 3 + 1, network((4,), 2, hidden=(8,), norm=norm)
        assert measure(net, x)["norm1"]["mean_gap"] > 0.1
        setattr(net.norm1, "momentum", 1.0)  # noqa: B010 (a type checker knows no such attribute)
        net.train()(x)
        found = measure(net, x)
        assert found["norm1"]["mean_gap"] == pytest.approx(0, abs=1e-6)
        assert found["norm1"].get("spread_gap", 0) == pytest.approx(0, abs=1e-6)
        # Unbiased in the running variance, biased in the batch's: a factor of sqrt(32/31).
        assert found["norm1"]["mode_gap"] < 0.05

    def test_of_an_instance_norm_are_in_its_own_statistics(self, rng: torch.Generator):
        x = torch.randn(8, 3, 5, 5, generator=rng) + torch.arange(8.0).view(8, 1, 1, 1)
        norm = nn.InstanceNorm2d(3, momentum=1.0, track_running_stats=True)
        norm(x)
        assert measure(norm, x)[NETWORK]["spread_gap"] == pytest.approx(0, abs=1e-6)

    def test_only_where_there_are_running_statistics(self, rng: torch.Generator):
        net = network((4,), 2, norm="layer")
        assert "norm1" not in measure(net, torch.randn(8, 4, generator=rng))

    def test_mean_only_has_no_spread(self, rng: torch.Generator):
        net = network((4,), 2, norm="mean_only")
        assert set(measure(net, torch.randn(8, 4, generator=rng))["norm1"]) == {"mean_gap", "mode_gap"}

    def test_a_batch_of_one_is_refused(self):
        with pytest.raises(ValueError, match="BatchNorm1d"):
            measure(network((4,), 2, norm="batch"), torch.zeros(1, 4))


class Returning(nn.Module):
    """Logits (n, 3) and values (n,) of two heads behind a batch norm called by keyword, packed by `pack`."""

    def __init__(self, pack: Callable[[Tensor, Tensor], object]):
        super().__init__()
        self.layer, self.norm, self.activation = nn.Linear(4, 8), BatchNorm1d(8), nn.ReLU()
        self.logits, self.value, self.squash, self.pack = nn.Linear(8, 3), nn.Linear(8, 1), nn.Tanh(), pack

    def forward(self, x: Tensor) -> object:
        h = self.activation(input=self.norm(input=self.layer(input=x)))
        return self.pack(self.logits(h), self.squash(self.value(h).squeeze(-1)))


@dataclass
class Outputs:
    logits: Tensor
    value: Tensor


PACKED: Mapping[str, Callable[[Tensor, Tensor], object]] = {
    "tuple": lambda logits, value: (logits, value),
    "nested": lambda logits, value: [logits, {"critic": (value, None)}],
    "dict": lambda logits, value: {"logits": logits, "value": value},
    "distribution": lambda logits, value: (Categorical(logits=logits), value),
    "dataclass": Outputs,
    "integers beside": lambda logits, value: (logits.argmax(1), logits, value),
}


class TestOutputs:
    """What a network returns, and how it calls its layers, does not matter."""

    @pytest.mark.parametrize("pack", PACKED)
    def test_are_measured_however_they_are_packed(self, pack: str, rng: torch.Generator):
        x = torch.randn(16, 4, generator=rng)
        net, target = Returning(PACKED[pack]), Returning(PACKED[pack])
        found = measure(net, x, target=target)
        assert set(found) == {"layer", "norm", "activation", "logits", "value", "squash", NETWORK}
        net.pack = target.pack = lambda logits, value: torch.cat([logits, value[:, None]], 1)
        joined = measure(net, x, target=target)
        if pack == "distribution":
            # Categorical subtracts the logarithm of the sum from its logits.
            assert found.pop(NETWORK).keys() == joined.pop(NETWORK).keys()
        assert found == {layer: pytest.approx(probes, rel=1e-5) for layer, probes in joined.items()}

    def test_of_numbers_one_per_example(self, rng: torch.Generator):
        x = torch.randn(16, 4, generator=rng)
        assert measure(Returning(PACKED["tuple"]), x)["squash"].keys() == {"dormant", "rank"}

    def test_that_hold_no_number_are_refused(self):
        net = Returning(lambda logits, value: {"action": logits.argmax(1)})
        with pytest.raises(ValueError, match=r"^Returning returns no floating-point tensor to measure, got: {'action'"):
            measure(net, torch.rand(4, 4))


class Changing(nn.Module):
    """A batch norm whose output or input is changed in place afterwards."""

    def __init__(self, change: Callable[[Tensor, Tensor], object]):
        super().__init__()
        self.norm, self.change = BatchNorm1d(3), change

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(x)
        self.change(out, x)
        return out


CHANGES: Mapping[str, Callable[[Tensor, Tensor], object]] = {
    "relu": lambda out, _: nn.ReLU(inplace=True)(out),
    "residual": lambda out, x: out.add_(x),
    "input": lambda _, x: x.mul_(2),
}


class TestChangesInPlace:
    """A tensor is measured as it is when it passes, whatever is done to it afterwards."""

    @pytest.mark.parametrize("change", CHANGES)
    def test_do_not_reach_what_was_seen(self, change: str, rng: torch.Generator):
        x = torch.randn(32, 3, generator=rng) * 3 + 1
        kept = x.clone()
        alone = measure(BatchNorm1d(3), x)[NETWORK]
        found = measure(Changing(CHANGES[change]), x)
        assert torch.equal(x, kept)
        assert found["norm"] == alone
        assert found["norm"]["mode_gap"] > 0.6

    def test_nor_an_activation(self, rng: torch.Generator):
        class Doubling(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.activation = fixed(torch.eye(4), -torch.arange(4.0)), nn.ReLU()

            def forward(self, x: Tensor) -> Tensor:
                return self.activation(self.layer(x)).add_(1)

        assert measure(Doubling(), torch.eye(4) * 1.5)["activation"]["dead"] == 0.5


class TestUnits:
    def test_channels_are_the_units_of_a_map(self, rng: torch.Generator):
        conv = nn.Conv2d(1, 4, 3, bias=False)
        conv.weight.data[3] = 0
        net = named(conv=conv, activation=nn.ReLU())
        found = measure(net, torch.randn(8, 1, 6, 6, generator=rng))["activation"]
        assert found["dead"] == found["dormant"] == 0.25
        assert found["rank"] <= 3

    def test_features_are_the_units_of_a_sequence(self, rng: torch.Generator):
        net = rectified(torch.eye(4), torch.tensor([9.0, 9.0, 9.0, -9.0]))
        assert measure(net, torch.rand(5, 3, 4, generator=rng))["activation"]["dead"] == 0.25

    def test_what_is_no_rectifier_has_no_dead_units(self):
        net = named(layer=fixed(torch.zeros(4, 2)), activation=nn.Tanh())
        assert measure(net, PLUS_MINUS)["activation"] == {"dormant": 1.0, "rank": 1.0}

    def test_a_network_that_diverged_is_measured(self):
        found = measure(rectified(torch.full((4, 2), torch.nan)), PLUS_MINUS)["activation"]
        assert found["rank"] != found["rank"]

    @pytest.mark.parametrize("norm", ["weight", "spectral"])
    def test_a_wrapped_layer_is_one_layer(self, norm: str, rng: torch.Generator):
        found = measure(network((4,), 2, norm=norm), torch.randn(8, 4, generator=rng))
        assert set(found) == {"linear1", "activation1", "linear2", "activation2", "output"}


class TestEffectiveRate:
    def test_of_weights_before_a_norm_falls_with_the_square_of_their_length(self, rng: torch.Generator):
        x, start = torch.randn(16, 4, generator=rng), torch.randn(3, 4, generator=rng)
        goal, rates = torch.randn(16, 3, generator=rng), []
        for scale in (1.0, 2.0):
            layer = fixed(start * scale)
            net = named(layer=layer, norm=nn.BatchNorm1d(3, eps=1e-12))
            loss = (net(x) - goal).square().mean()
            after = {"layer.weight": layer.weight - 0.01 * torch.autograd.grad(loss, layer.weight)[0]}
            rates.append(measure(net, x, after=after)["layer"]["effective_rate"])
        assert rates[0] / rates[1] == pytest.approx(4, rel=1e-3)


def fingerprint(model: nn.Module) -> list[Any]:
    """All that a measurement might leave changed."""
    modules = list(model.modules())
    return [
        {
            name: (id(x), x.data_ptr(), x.tolist(), x.requires_grad)
            for name, x in model.state_dict(keep_vars=True).items()
        },
        [(m.training, getattr(m, "mode", None), m.__dict__.get("momentum")) for m in modules],
        [[list(hooks) for key, hooks in vars(m).items() if "hooks" in key] for m in modules],
        [(id(p.grad), None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    ]


def used(norm: str, mode: Mode) -> nn.Sequential:
    """A network with dropout, gradients, hooks, and running statistics of something, in a mode."""
    shape = (4,) if 0 in NORMS[norm].modules or norm in ("none", *WRAPS) else (1, 2, 2)
    inner = network(shape, 2, hidden=(6, 6) if len(shape) == 1 else (), kernel=1, norm=norm)
    net = named(first=nn.Dropout(0.5), **dict(inner.named_children()))
    net.register_forward_hook(lambda *_: None)
    net(torch.arange(20.0).view(5, *shape)).sum().backward()
    return set_mode(net, mode)


class TestLeavesTheModelAsItWas:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("norm", NORMS)
    def test_to_the_bit(self, norm: str, mode: Mode, rng: torch.Generator):
        net = used(norm, mode)
        before = fingerprint(net)
        x = torch.randn(8, 4, generator=rng)
        measure(net, x if "linear1" in dict(net.named_children()) else x.view(8, 1, 2, 2), target=net)
        assert fingerprint(net) == before

    def test_with_torchs_norms_too(self, rng: torch.Generator):
        net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.ReLU())
        before = fingerprint(net)
        measure(net, torch.randn(8, 4, generator=rng))
        assert fingerprint(net) == before

    def test_and_when_the_pass_fails(self):
        net = used("batch", "track")
        before = fingerprint(net)
        with pytest.raises(RuntimeError):
            measure(net, torch.zeros(8, 5))
        assert fingerprint(net) == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda net: net.train(not net.training),
            lambda net: net.norm1.running_mean.add_(1e-3),
            lambda net: net.register_forward_hook(lambda *_: None),
            lambda net: net.linear1.weight.grad.mul_(2),
            lambda net: net(torch.ones(8, 4)),
            lambda net: setattr(net.norm1, "momentum", 1.0),
        ],
    )
    def test_a_change_would_be_noticed(self, change: Callable[[nn.Module], object]):
        net = used("batch", "train")
        before = fingerprint(net)
        change(net)
        assert fingerprint(net) != before


class TestManyAtOnce:
    @pytest.mark.parametrize("norm", ["none", "batch", "batch_renorm", "mean_only", "spectral"])
    @pytest.mark.parametrize("shape", [(4,), (2, 5, 5)], ids=str)
    def test_members_are_what_each_is_alone(self, norm: str, shape: tuple[int, ...], rng: torch.Generator):
        members = Population(lambda: network(shape, 2, hidden=(8,), norm=norm), range(3))
        x = torch.randn(3, 16, *shape, generator=rng)
        members.apply(members.parameters.views, members.buffers.views, x + 1, "train")
        states = State(members.parameters.views, members.buffers.views)
        together = plain(vmap(lambda s, x: probe(members.member(0), s, x).values)(states, x))
        for i in range(3):
            alone = measure(members.member(i), x[i])
            assert {layer: {n: v[i] for n, v in probes.items()} for layer, probes in together.items()} == {
                layer: pytest.approx(probes, rel=1e-4, abs=1e-5) for layer, probes in alone.items()
            }


class TestRank:
    @pytest.mark.parametrize("shape", [(64, 16), (16, 64)], ids=str)
    def test_is_that_of_the_singular_values(self, shape: tuple[int, int], rng: torch.Generator):
        h = torch.randn(*shape, generator=rng).relu() * torch.logspace(0, -6, shape[1])
        values = torch.linalg.svdvals(h.double())
        share = values.cumsum(0) / values.sum()
        assert formulas.rank(h) == int((share < 1 - formulas.DELTA).sum()) + 1
