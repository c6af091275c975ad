"""The doctor finds each planted fault, stays silent on what is healthy, and leaves what it examines as it was."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import doctor_table
import gymnasium as gym
import numpy as np
import planted
import pytest
import torch
from planted_cases import FAULTS, HEALTHY
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

import rlnorm.nn as ours
from rlnorm.doctor import CHECKS, Report, behaviour, check, statistics
from rlnorm.doctor.agents import of_agent
from rlnorm.doctor.load import algorithms
from rlnorm.errors import ConfigError
from rlnorm.networks import mlp

PLANTED = [(name, case) for name, cases in FAULTS.items() for case in cases]
COUNTERPARTS = [(name, case) for name, cases in HEALTHY.items() for case in cases]


OF_NORMS = {name for name, row in CHECKS.items() if "norm" in row.needs}


def unmade(report: Report) -> set[str]:
    """Checks that could not be made, but for those that lack data or, without any norm, an object."""
    assert report.examined
    assert report.unreached == ()
    return set(report.unchecked) - ({"statistics-far"} if report.norms else OF_NORMS)


def examine(case: Any):
    given = case()
    if isinstance(given, tuple) and isinstance(given[1], str):
        return check(given[0], gym.make(given[1]))
    return check(given)


class TestFaults:
    def test_every_check_has_a_planted_fault_and_a_healthy_counterpart(self):
        assert list(FAULTS) == list(HEALTHY)
        assert set(FAULTS) == set(CHECKS)

    @pytest.mark.parametrize(("name", "case"), PLANTED)
    def test_are_found(self, name: str, case: str):
        report = examine(FAULTS[name][case])
        found = [finding for finding in report.findings if finding.check == name]
        assert found, report
        assert {finding.level for finding in found} == {CHECKS[name].level}

    @pytest.mark.parametrize(("name", "case"), COUNTERPARTS)
    def test_are_not_found_where_there_are_none(self, name: str, case: str):
        report = examine(HEALTHY[name][case])
        assert report.findings == (), report
        assert not unmade(report), report


def snapshot(network: nn.Module) -> dict[str, Any]:
    """Everything about a network that an examination could change."""
    modules = dict(network.named_modules())
    return {
        "state": {name: tensor.clone() for name, tensor in network.state_dict().items()},
        "identity": {name: id(tensor) for name, tensor in (*network.named_parameters(), *network.named_buffers())},
        "modes": {name: (module.training, getattr(module, "mode", None)) for name, module in modules.items()},
        "hooks": {
            name: (len(module._forward_hooks), len(module._forward_pre_hooks)) for name, module in modules.items()
        },
        "grad": {name: (p.requires_grad, p.grad) for name, p in network.named_parameters()},
    }


def assert_as_it_was(network: nn.Module, before: dict[str, Any]) -> None:
    after = snapshot(network)
    assert all(torch.equal(tensor, after["state"][name]) for name, tensor in before["state"].items())
    assert all(after[key] == before[key] for key in ("identity", "modes", "hooks", "grad"))


def streams() -> tuple[object, ...]:
    """The states of all global random number streams."""
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002


@contextmanager
def streams_untouched() -> Iterator[None]:
    """The streams are the same afterwards, to the bit."""
    before = streams()
    yield
    assert streams() == before


class TestLeavesWhatItExaminesAsItWas:
    @pytest.mark.parametrize("make", [nn.BatchNorm1d, ours.BatchRenorm1d, ours.MeanOnlyBatchNorm1d])
    @pytest.mark.parametrize("mode", ["train", "eval"])
    def test_modules(self, make: planted.Make, mode: str):
        net = planted.network(make).train(mode == "train")
        before = snapshot(net)
        with streams_untouched():
            check(net, gym.make("CartPole-v1"))
        assert_as_it_was(net, before)

    def test_modes_of_our_own(self):
        net = ours.set_mode(planted.network(ours.BatchNorm1d), "track")
        before = snapshot(net)
        with streams_untouched():
            check(net)
        assert_as_it_was(net, before)

    def test_pairs(self):
        online, target = planted.followed()
        before = snapshot(online), snapshot(target)
        with streams_untouched():
            check((online, target))
        assert_as_it_was(online, before[0])
        assert_as_it_was(target, before[1])

    @pytest.mark.parametrize(("training", "env"), [(False, "CartPole-v1"), (True, None)])
    def test_agents(self, env: str | None, training: bool):
        model = planted.trained(make=ours.BatchRenorm1d)
        model.policy.set_training_mode(training)
        before = snapshot(model.policy)
        optimizer, attributes = (
            copy.deepcopy(model.policy.optimizer.state_dict()),
            {k: id(v) for k, v in vars(model).items()},
        )
        with streams_untouched():
            check(model, None if env is None else gym.make(env))
        assert_as_it_was(model.policy, before)
        assert str(model.policy.optimizer.state_dict()) == str(optimizer)
        assert {k: id(v) for k, v in vars(model).items()} == attributes
        model.learn(20, reset_num_timesteps=False)


def conv(norm: str) -> nn.Module:
    chosen = ours.NORMS[norm]
    layer = chosen.wrap(nn.Conv2d(3, 8, 3, bias=not chosen.couples_batch and norm != "instance"))
    return nn.Sequential(layer, chosen.make(8, 2), nn.ReLU(), nn.Flatten(), nn.Linear(512, 2)).eval()


class TestSilence:
    """Nothing at all is found in what is sound."""

    @pytest.mark.parametrize("place", ["before", "after", "split"])
    @pytest.mark.parametrize(
        "norm", [name for name, norm in ours.NORMS.items() if norm.wrap_layer or 0 in norm.modules]
    )
    def test_of_every_norm_in_a_plain_network(self, norm: str, place: str):
        net = mlp(4, 2, norm=norm, place=place, bias=place == "after" or not ours.NORMS[norm].couples_batch).eval()
        report = check(net)
        assert report.findings == (), report
        assert not unmade(report), report
        assert bool(report.norms) == (norm != "none")

    @pytest.mark.parametrize(
        "norm", [name for name, norm in ours.NORMS.items() if norm.wrap_layer or 2 in norm.modules]
    )
    def test_of_every_norm_behind_a_convolution(self, norm: str):
        report = check(conv(norm))
        assert report.findings == (), report
        assert not unmade(report), report

    @pytest.mark.parametrize(
        "norm", [name for name, norm in ours.NORMS.items() if norm.wrap_layer or 0 in norm.modules]
    )
    def test_of_every_norm_in_an_online_network_that_trains_and_its_target(self, norm: str):
        online = mlp(4, 2, norm=norm, bias=not ours.NORMS[norm].couples_batch)
        target = copy.deepcopy(online).eval()
        assert check((online, target)).findings == ()
        optimizer = torch.optim.Adam(online.parameters(), 1e-2)
        for _ in range(10):
            online(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
        assert check((online, target)).findings == ()
        target.load_state_dict(online.state_dict())
        assert check((online, target)).findings == ()

    @pytest.mark.parametrize("algorithm", sorted(algorithms()))
    def test_of_what_comes_with_the_libraries(self, algorithm: str):
        report = check(planted.standard(algorithm))
        assert report.findings == (), report
        assert not unmade(report), report

    def test_of_a_norm_by_itself(self):
        assert check(nn.LayerNorm(4)).findings == ()

    def test_of_observations_normalized_by_the_environment(self):
        env = VecNormalize(make_vec_env("CartPole-v1", 2))
        model = planted.agent(PPO, env=env, steps=128, n_steps=64, batch_size=16)
        for given in (None, gym.make("CartPole-v1")):
            report = check(model, given)
            assert (report.findings, dict(report.unchecked)) == ((), {})

    @pytest.mark.parametrize("inputs", ["images", "images and vectors"])
    @pytest.mark.parametrize("algorithm", ["dqn", "qrdqn", "ppo", "a2c", "sac", "td3", "ddpg", "tqc"])
    def test_of_policies_that_see(self, algorithm: str, inputs: str):
        report = check(planted.standard(algorithm, inputs))
        assert report.findings == (), report
        assert not unmade(report), report

    def test_measures_of_sound_agents_are_far_from_the_thresholds(self):
        model = planted.trained()
        seen = of_agent(model, None).trace
        assert len(seen.norms) == 4
        for path, norm in seen.norms.items():
            apart, ratio = behaviour.gap(norm, seen.calls[path].x)
            assert apart < statistics.FAR.value / 4
            assert ratio < statistics.WIDE.value / 2


def test_documentation_is_made_from_the_table():
    assert doctor_table.PAGE.read_text() == doctor_table.page()
    assert all(f"### {name}" in doctor_table.page() for name in CHECKS)


class TestReport:
    def test_fits_its_width_and_says_everything(self):
        report = check(planted.agent(policy_kwargs=planted.on_extractor(planted.Body, {"bias": True}), batch_size=1))
        for width in (80, 50):
            text = report.text(width)
            assert max(map(len, text.splitlines())) <= width
        assert str(report) == report.text(80)
        words = " ".join(str(report).split())
        for finding in report.findings:
            said = (finding.where, finding.evidence, finding.consequence, finding.remedy)
            assert all(" ".join(each.split()) in words for each in said)
        assert [finding.level for finding in report.findings] == ["fault"] * 2 + ["hint"] * 2
        assert words.endswith("2 faults, 2 hints.")
        assert not report.healthy

    def test_hints_leave_a_model_healthy(self):
        report = check(planted.network(bias=True))
        assert report.findings
        assert report.healthy

    def test_what_could_not_be_checked_is_said(self):
        class Unknown(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.BatchNorm1d(3)

            def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
                return self.norm(a + b)

        report = check(Unknown().eval())
        assert set(report.unchecked) == {name for name, row in CHECKS.items() if "pass" in row.needs}
        assert not report.examined
        said = " ".join(str(report).split())
        assert "Not checked: acting-on-batch," in said
        assert "missing 1 required positional argument: 'b'; give inputs=(a, b))." in said
        assert said.endswith("The network could not be examined.")


class TestBadInput:
    @pytest.mark.parametrize("given", [None, "model.zip", (nn.Linear(1, 1),), {"online": nn.Linear(1, 1)}])
    def test_is_named(self, given: Any):
        with pytest.raises(ConfigError, match="examines a torch module, an"):
            check(given)

    def test_a_pair_of_different_networks(self):
        said = "different state: 1.num_batches_tracked, 1.running_mean, 1.running_var in one of them"
        with pytest.raises(ConfigError, match=said):
            check((planted.network(), planted.network(nn.LayerNorm)))

    def test_an_environment_of_another_shape(self):
        with pytest.raises(ConfigError, match="env does not fit the model: Observation spaces do not match"):
            check(planted.agent(), gym.make("Acrobot-v1"))

    def test_what_cannot_be_copied(self):
        class Odd(nn.BatchNorm1d):
            def __deepcopy__(self, memo: object) -> Any:
                raise RuntimeError("not to be copied")

        with pytest.raises(ConfigError, match="Sequential cannot be copied: RuntimeError: not to be copied"):
            check(planted.network(Odd))
