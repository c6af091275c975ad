"""Norms and policies that no class tells: found by behaviour, and never reassured about without ground."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import planted
import pytest
import torch
from planted import found, seeing, without_statistics
from sb3_contrib import ARS, TRPO, MaskablePPO, RecurrentPPO
from sb3_contrib.common.envs import InvalidActionEnvDiscrete
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from rlnorm.doctor import CHECKS, check
from rlnorm.doctor.examine import NO_NORM


class Own(nn.Module):
    """Batch normalization by hand, under a name that says nothing; its statistics in buffers."""

    mean: Tensor
    var: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.keep(mean=torch.zeros(width), var=torch.ones(width))

    def keep(self, **statistics: Tensor) -> None:
        for name, x in statistics.items():
            self.register_buffer(name, x)

    def forward(self, x: Tensor) -> Tensor:
        if self.learns():
            mean, var = x.mean(0), x.var(0)
            self.update(mean.detach(), var.detach())
        else:
            mean, var = self.mean, self.var
        return self.scale * (x - mean) / (var + 1e-5).sqrt() + self.shift

    def learns(self) -> bool:
        return self.training

    def update(self, mean: Tensor, var: Tensor) -> None:
        self.mean.lerp_(mean, 0.1)
        self.var.lerp_(var, 0.1)


class InAttributes(Own):
    """Its statistics are plain attributes, bound anew; it learns where gradients are on (Dive into Deep Learning)."""

    def keep(self, **statistics: Tensor) -> None:
        vars(self).update(statistics)

    def learns(self) -> bool:
        return torch.is_grad_enabled()

    def update(self, mean: Tensor, var: Tensor) -> None:
        self.mean, self.var = 0.9 * self.mean + 0.1 * mean, 0.9 * self.var + 0.1 * var


class InParameters(Own):
    """Its statistics are frozen parameters, which every target update copies."""

    def keep(self, **statistics: Tensor) -> None:
        for name, x in statistics.items():
            self.register_parameter(name, nn.Parameter(x, requires_grad=False))


class InArrays(Own):
    """Its statistics are NumPy arrays in an object, as in many wrappers that normalize observations."""

    class Statistics:
        def __init__(self, mean: Tensor, var: Tensor):
            self.mean, self.var = mean.numpy(), var.numpy()

    def keep(self, **statistics: Tensor) -> None:
        self.statistics = self.Statistics(**statistics)

    @property
    def mean(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return torch.from_numpy(self.statistics.mean)

    @property
    def var(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return torch.from_numpy(self.statistics.var)


class Always(Own):
    """Updates its statistics in eval mode too."""

    def forward(self, x: Tensor) -> Tensor:
        self.update(x.mean(0).detach(), x.var(0).detach())
        return self.scale * (x - self.mean) / (self.var + 1e-5).sqrt() + self.shift


class Stateless(nn.Module):
    """Takes the batch's statistics in every mode."""

    def __init__(self, width: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.std(0) + 1e-5)


class ByRow(nn.Module):
    """Layer normalization by hand: it cannot be told from any other function of a row."""

    def __init__(self, width: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)


class Noisy(nn.Module):
    """Weights with noise that each pass draws anew, in a buffer."""

    noise: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(width))
        self.register_buffer("noise", torch.zeros(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight + self.noise.normal_())


class Cached(nn.Module):
    """Keeps its last output and counts its calls, on which no output depends."""

    calls: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.last = torch.zeros(256, width)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.tanh()
        return self.last


OF_NORMS = {name for name, row in CHECKS.items() if "norm" in row.needs}
BY_BEHAVIOUR = (Own, InAttributes, InParameters, InArrays, Always, Stateless)
NO_NORMS = (ByRow, Noisy, Cached)


class TestNormsOfOnesOwn:
    @pytest.mark.parametrize("make", BY_BEHAVIOUR)
    def test_are_known_by_their_behaviour(self, make: planted.Make):
        assert check(planted.network(make)).norms == 1

    @pytest.mark.parametrize("make", [Own, InAttributes, InParameters, InArrays])
    def test_are_sound_in_eval_mode(self, make: planted.Make):
        report = check(planted.network(make))
        assert (report.findings, set(report.unchecked)) == ((), {"statistics-far"}), report

    @pytest.mark.parametrize("make", [Always, Stateless])
    def test_that_act_on_the_batch_are_found(self, make: planted.Make):
        assert found(check(planted.network(make))) == {"acting-on-batch"}
        assert {"acting-on-batch", "target-on-batch"} <= found(check(planted.agent(make=make)))

    @pytest.mark.parametrize("make", [Own, InParameters, InArrays, Always, Stateless])
    def test_left_in_train_mode_are_found(self, make: planted.Make):
        assert found(check(planted.network(make).train())) == {"left-in-training"}

    def test_that_learn_with_gradients_act_without(self):
        assert found(check(planted.network(InAttributes).train())) == set()

    @pytest.mark.parametrize("make", [Own, InAttributes, InArrays])
    def test_whose_statistics_no_target_gets_are_found(self, make: planted.Make):
        report = check(planted.agent(make=make))
        assert found(report) == {"missed-state"}, report
        assert "an update changes" in str(report)

    def test_in_parameters_reach_the_target(self):
        assert check(planted.agent(make=InParameters)).findings == ()

    def test_in_attributes_named_as_sb3_asks_are_still_no_buffers(self):
        class Running(nn.Module):
            def __init__(self, width: int):
                super().__init__()
                self.running_mean = torch.zeros(width)

            def forward(self, x: Tensor) -> Tensor:
                if self.training:
                    self.running_mean = 0.9 * self.running_mean + 0.1 * x.mean(0).detach()
                return x - self.running_mean

        assert "not copied: no buffer" in " ".join(str(check(planted.agent(make=Running))).split())

    def test_far_statistics_are_found_whatever_they_are_called(self):
        net = planted.network(Own)
        net[1].mean += 1e3  # pyright: ignore[reportOperatorIssue]
        report = check(net, gym.make("CartPole-v1"))
        why = "1 keeps no momentum and count, so its statistics may be on their way"
        assert dict(report.unchecked) == {"statistics-far": why}
        vars(net[1]).update(momentum=0.1, updates=torch.tensor(1000.0))
        assert found(check(net, gym.make("CartPole-v1"))) == {"statistics-far"}

    def test_poisoned_statistics_are_found(self):
        net = planted.network(Own)
        net[1].mean[0] = float("nan")  # pyright: ignore[reportIndexIssue]
        assert "poisoned" in found(check(net))

    def test_a_bias_before_one_is_found(self):
        assert found(check(planted.network(Own, bias=True))) == {"bias-before-norm"}

    @pytest.mark.parametrize("make", NO_NORMS)
    def test_nothing_is_said_where_none_is_known(self, make: planted.Make):
        for given in (planted.network(make), planted.network(make).train(), planted.agent(make=make)):
            report = check(given)
            assert (report.norms, report.findings) == (0, ())
            assert {name for name, why in report.unchecked.items() if why == NO_NORM} == OF_NORMS
            said = " ".join(str(report).split())
            assert f"no norm known, {len(CHECKS) - len(report.unchecked)} of {len(CHECKS)} checks made." in said
            assert "Nothing found" not in said
            assert said.endswith("No norm is known in it, so that nothing can be said of norms.")

    def test_random_outputs_are_the_reason_for_what_cannot_be_compared(self):
        report = check(planted.agent(make=Noisy))
        assert report.unchecked["acting-on-batch"] == report.unchecked["target-on-batch"]
        assert report.unchecked["acting-on-batch"].startswith("outputs are drawn at random")

    def test_state_in_a_module_that_is_never_called_is_found(self):
        class Holder(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("mean", torch.zeros(4))

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.holder, self.layer = Holder(), nn.Linear(4, 2)

            def forward(self, x: Tensor) -> Tensor:
                mean: Any = self.holder.mean
                out = self.layer(x - mean)
                mean.lerp_(x.mean(0) + 1, 0.1)
                return out

        report = check(Net().eval())
        assert found(report) == {"acting-on-batch"}
        assert "one pass changes holder.mean, which moves the outputs of the next" in " ".join(str(report).split())

    def test_the_memory_of_a_recurrent_network_is_no_statistic(self):
        class Memory(nn.Module):
            def __init__(self):
                super().__init__()
                self.cell, self.h = nn.GRUCell(4, 8), torch.zeros(256, 8)

            def forward(self, x: Tensor) -> Tensor:
                self.h = self.cell(x, self.h[: len(x)])
                return self.h

        report = check(Memory().eval(), inputs=torch.randn(256, 4, generator=torch.Generator().manual_seed(0)))
        assert report.findings == ()
        assert (
            report.unchecked["acting-on-batch"] == "outputs depend on earlier passes through state that is no statistic"
        )


def masked() -> gym.Env[Any, Any]:
    return InvalidActionEnvDiscrete(dim=8, n_invalid_actions=4)


# Algorithm -> an environment for it, and how many norms its policy has with one in a shared extractor.
POLICIES: Mapping[Any, Callable[[], Any]] = {
    PPO: lambda: gym.make("CartPole-v1"),
    TRPO: lambda: gym.make("CartPole-v1"),
    RecurrentPPO: lambda: gym.make("CartPole-v1"),
    MaskablePPO: masked,
}


class Shouting(ActorCriticPolicy):
    """An actor-critic policy under another name."""


class TestUnknownPolicies:
    @pytest.mark.parametrize("algorithm", POLICIES)
    def test_get_the_faults_that_ppo_gets(self, algorithm: Any):
        env = POLICIES[algorithm]
        for given in (None, env()):
            report = check(seeing(algorithm, env(), make=without_statistics), given)
            assert found(report) == {"acting-on-batch"}, report
            assert set(report.unchecked) <= {"statistics-far"}

    @pytest.mark.parametrize("algorithm", POLICIES)
    def test_are_examined_whole(self, algorithm: Any):
        model = seeing(algorithm, POLICIES[algorithm](), steps=64)
        for given in (None, POLICIES[algorithm]()):
            report = check(model, given)
            assert (report.norms, report.findings, dict(report.unchecked)) == (1, (), {}), report

    def test_of_another_class_act_as_a_whole(self):
        settings = {"n_steps": 32, "batch_size": 16, "seed": 0, "device": "cpu"}
        kwargs = planted.on_extractor(planted.Body, {"make": Stateless})
        assert found(check(PPO(Shouting, "CartPole-v1", policy_kwargs=kwargs, **settings))) == {"acting-on-batch"}

    def test_of_algorithms_with_minibatches_of_their_own_leave_that_check_open(self):
        model: Any = ARS("MlpPolicy", "CartPole-v1", seed=0, device="cpu")
        model.policy.action_net.insert(1, nn.BatchNorm1d(64))
        report = check(model)
        assert report.unchecked["batch-of-one"] == "it is not known how ARS divides its data into minibatches"

    def test_with_target_updates_of_their_own_leave_that_check_open(self):
        class Slow(DQN):
            def _on_step(self) -> None:
                super()._on_step()

        report = check(planted.agent(Slow, env="CartPole-v1"))
        assert dict(report.unchecked)["missed-state"] == "Slow updates its targets by code of its own"
        assert report.findings == ()
