"""Probes in stable-baselines3's log: which there are, what they say, and that learning does not know of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.probes import PROBES
from rlnorm.sb3 import NormCallback
from tests.sb3.learning import ALGORITHMS, CONTINUOUS, DICT, DISCRETE, FLAT, WITH_TARGETS, WITHOUT_TARGETS, Noise, make

STEPS = 48
NETWORKS = {name: ["policy"] for name in WITHOUT_TARGETS} | {"dqn": ["q_net"], "qrdqn": ["quantile_net"]}
PROBED = [algorithm for algorithm in ALGORITHMS if algorithm != "recurrentppo"]


def learn(model: Any, callback: NormCallback | None, steps: int = STEPS) -> Any:
    return model.learn(steps, callback=callback, log_interval=1)


def logged(folder: Path) -> dict[str, list[float]]:
    """Tag below `norm/` -> its values, from the one event file in a folder."""
    (file,) = folder.rglob("*tfevents*")
    events = EventAccumulator(str(file), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("norm/")]
    return {tag.removeprefix("norm/"): [event.value for event in events.Scalars(tag)] for tag in tags}


def outcome(model: Any) -> list[Any]:
    """All that learning leaves: parameters, statistics, optimizers, and where the streams of random numbers are."""
    tensors = [x.tolist() for x in model.policy.state_dict().values()]
    return [tensors, torch.get_rng_state().tolist(), np.random.random(), model._n_updates]  # noqa: NPY002


@pytest.mark.parametrize("algorithm", PROBED)
def test_every_algorithm_logs_its_probes_and_learns_what_it_learns_without(algorithm: str, tmp_path: Path):
    policy = {"norm": "batch", "activation_fn": nn.ReLU}
    without = outcome(learn(make(algorithm, policy=policy), None))
    assert outcome(learn(make(algorithm, policy=policy, tensorboard_log=str(tmp_path)), NormCallback(8))) == without
    found = logged(tmp_path)
    networks = NETWORKS.get(algorithm, ["actor", "critic"])
    assert {tag.split("/")[0].split(".")[0] for tag in found} == set(networks)
    missing = set() if algorithm in WITH_TARGETS else {"target_distance", "target_q_gap"}
    if algorithm in ("sac", "tqc"):
        missing = {"overestimation"}
    assert {tag.split("/")[-1] for tag in found} == set(PROBES) - missing
    for network in networks:
        assert f"{network}/mode_gap" in found
        gaps = [values for tag, values in found.items() if tag.startswith(network) and tag.endswith("norm1/mean_gap")]
        assert gaps
        assert all(min(values) > 0 for values in gaps)


@pytest.mark.parametrize(
    ("make_model", "layer"),
    [
        (lambda log: DQN("MlpPolicy", Noise(FLAT, DISCRETE), learning_starts=8, tensorboard_log=log), "q_net.q_net.0"),
        (lambda log: TD3("MlpPolicy", Noise(FLAT, CONTINUOUS), learning_starts=8, tensorboard_log=log), "actor.mu.0"),
        (lambda log: make("dqn", DICT, tensorboard_log=log), "q_net.features_extractor.extractors.image.cnn.0"),
        (lambda log: make("ppo", DICT, tensorboard_log=log), "features_extractor.extractors.image.cnn.0"),
    ],
    ids=["SB3's DQN", "SB3's TD3", "images and vectors", "images and vectors, PPO"],
)
def test_other_policies_and_observations(make_model: Any, layer: str, tmp_path: Path):
    learn(make_model(str(tmp_path)), NormCallback(8))
    assert {"weight_norm", "gradient_norm", "mean_drift"} <= {
        tag.split("/")[1] for tag in logged(tmp_path) if layer in tag
    }


def test_it_probes_every_so_many_steps():
    model, seen = make("dqn"), list[int]()

    class Counting(NormCallback):
        def _write_overestimation(self) -> None:
            seen.append(self.num_timesteps)

    learn(model, Counting(20))
    assert seen == [10, 30]  # updates follow every second step, from the tenth on


def test_gradients_and_rates_are_those_of_the_update():
    """One update a call: its gradient is what is left in the network, and the weights moved by what was measured."""
    model, written, before = make("dqn"), dict[str, float](), dict[str, torch.Tensor]()

    class Reading(NormCallback):
        def _on_rollout_end(self) -> None:
            super()._on_rollout_end()
            before.update({name: p.detach().clone() for name, p in model.q_net.named_parameters()})

        def _write(self, layer: str, name: str, value: float) -> None:
            weight = model.q_net.q_net[0].weight
            if (layer, name) == ("q_net.q_net.0", "gradient_norm"):
                written["gradient"] = abs(value - weight.grad.norm().item())
            if (layer, name) == ("q_net.q_net.0", "effective_rate"):
                old = before["q_net.0.weight"]
                written["rate"] = abs(value - ((weight - old).norm() / old.norm()).item())

    learn(model, Reading(8))
    assert written == pytest.approx({"gradient": 0, "rate": 0}, abs=1e-6)


def test_gaps_are_to_the_running_statistics_that_have_not_seen_the_batch():
    """One update a call, of a batch that the callback sees too."""
    model, gaps = make("dqn", policy={"norm": "batch"}), list[tuple[float, float]]()

    class Reading(NormCallback):
        def _on_rollout_end(self) -> None:
            earlier = self._watched
            super()._on_rollout_end()
            if self._watched is not None and self._watched is not earlier:
                net = model.q_net.q_net
                h = net.linear1(self._watched.inputs[0])
                apart = (h.mean(0) - net.norm1.running_mean).square() / (net.norm1.running_var + 1e-5)
                gaps.append((apart.mean().sqrt().item(), torch.nan))

        def _write(self, layer: str, name: str, value: float) -> None:
            if (layer, name) == ("q_net.q_net.norm1", "mean_gap"):
                gaps[-1] = (gaps[-1][0], value)

    learn(model, Reading(8))
    expected, found = zip(*gaps)
    assert found == pytest.approx(expected, rel=1e-4)


def test_overestimation_is_the_value_of_beginnings_less_the_discounted_return():
    """Rewards 1, 2, ..., 5 and a network whose every Q is 7."""
    model, written = make("dqn", gamma=0.5), list[float]()

    class Constant(NormCallback):
        def _write_overestimation(self) -> None:
            state = {name: p.clone() for name, p in model.q_net.state_dict().items()}
            nn.init.zeros_(model.q_net.q_net[-1].weight)
            nn.init.constant_(model.q_net.q_net[-1].bias, 7)
            super()._write_overestimation()
            model.q_net.load_state_dict(state)

        def _write(self, layer: str, name: str, value: float) -> None:
            if name == "overestimation":
                written.append(value)

    learn(model, Constant(8))
    assert written == pytest.approx([7 - sum((i + 1) * 0.5**i for i in range(5))] * len(written))
    assert written


def test_observations_and_rewards_are_as_the_model_learns_from_them(tmp_path: Path):
    env = VecNormalize(DummyVecEnv([lambda: Noise(FLAT, DISCRETE)]))
    learn(make("dqn", env=env, tensorboard_log=str(tmp_path)), NormCallback(8))
    assert "q_net/overestimation" in logged(tmp_path)


def test_nothing_of_it_is_left_on_the_optimizers():
    model = learn(make("sac"), NormCallback(8))
    optimizers = [model.actor.optimizer, model.critic.optimizer]
    assert not any(optimizer._optimizer_step_pre_hooks for optimizer in optimizers)


def test_a_policy_that_it_does_not_know_is_refused():
    model = RecurrentPPO("MlpLstmPolicy", Noise(FLAT, DISCRETE), n_steps=8)
    with pytest.raises(ConfigError, match=r"q_net, quantile_net.*got RecurrentActorCriticPolicy"):
        model.learn(8, callback=NormCallback())


def test_every_must_be_a_step():
    with pytest.raises(ConfigError, match="every must be at least 1, got 0"):
        NormCallback(every=0)
