"""What all policies promise: targets that follow, models that come back as they were saved, refusals beforehand."""

import io
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from sb3_contrib import ARS, CrossQ, RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from rlnorm.doctor import check
from rlnorm.errors import ConfigError
from rlnorm.sb3 import ActorCriticPolicy, DQNPolicy, RecurrentActorCriticPolicy, SACPolicy, TD3Policy
from rlnorm.sb3.policies import POLICIES, refuse_other_algorithms
from tests.sb3.learning import (
    ALGORITHMS,
    CONTINUOUS,
    DICT,
    DISCRETE,
    FLAT,
    FLAT_NORMS,
    MINATAR,
    SMALL_IMAGE,
    WITH_TARGETS,
    Noise,
    learned,
    make,
    same,
    statistics,
)

each_norm = pytest.mark.parametrize("norm", FLAT_NORMS)
EXAMINED = [algorithm for algorithm in ALGORITHMS if algorithm != "recurrentppo"]
OBSERVATIONS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)


def outputs(network: torch.nn.Module, kind: str) -> list[torch.Tensor]:
    """What an online or a target network says of some observations, in eval mode."""
    x = torch.as_tensor(OBSERVATIONS)
    network.eval()
    with torch.no_grad():
        said = network(x, x[:, :1]) if kind == "critic" else network(x)
    return list(said) if isinstance(said, tuple) else [said]


@each_norm
@pytest.mark.parametrize("algorithm", WITH_TARGETS)
def test_after_a_target_update_online_and_target_agree_to_the_bit(algorithm, norm):
    model = learned(algorithm, norm)
    if algorithm.endswith("dqn"):
        model._n_calls = model.target_update_interval - 1
        model._on_step()
    for name in model.policy.followed:
        online, target = getattr(model, name), getattr(model, f"{name}_target")
        assert not [module for module in target.modules() if module.training]
        for mine, its in zip(outputs(online, name), outputs(target, name), strict=True):
            assert torch.equal(mine, its)
    assert {
        name.removesuffix("_target") for name, _ in model.policy.named_children() if name.endswith("_target")
    } == set(model.policy.followed)


@each_norm
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_comes_back_as_it_was_saved(algorithm, norm):
    model, file = learned(algorithm, norm), io.BytesIO()
    model.save(file)
    loaded = type(model).load(file, device="cpu")
    assert same(statistics(model), statistics(loaded))
    assert np.array_equal(
        model.predict(OBSERVATIONS, deterministic=True)[0], loaded.predict(OBSERVATIONS, deterministic=True)[0]
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_loaded_model_learns_on(algorithm):
    model, file = learned(algorithm, "batch"), io.BytesIO()
    model.save(file)
    loaded = type(model).load(file, env=model.get_env(), device="cpu")
    assert not same(statistics(loaded.learn(16)), statistics(model))


CHILD = """
import sys, pathlib, numpy
import sb3_contrib, stable_baselines3
for path in pathlib.Path(sys.argv[1]).glob("*.zip"):
    kind = path.stem.split("-")[0]
    model = getattr(stable_baselines3, kind, None) or getattr(sb3_contrib, kind)
    model = model.load(path, device="cpu")
    kept = {name: b.numpy() for name, b in model.policy.named_buffers() if "running_" in name}
    predicted, _ = model.predict(numpy.load(sys.argv[2]), deterministic=True)
    numpy.savez(path.with_suffix(".npz"), predicted=predicted, **kept)
"""


def test_and_in_another_process(tmp_path: Path):
    models = {
        f"{ALGORITHMS[algorithm][0].__name__}-{norm}": learned(algorithm, norm)
        for algorithm in ALGORITHMS
        for norm in ("batch_renorm", "spectral")
    }
    for name, model in models.items():
        model.save(tmp_path / name)
    np.save(tmp_path / "observations.npy", OBSERVATIONS)
    subprocess.run([sys.executable, "-c", CHILD, tmp_path, tmp_path / "observations.npy"], check=True)
    for name, model in models.items():
        there = dict(np.load(tmp_path / f"{name}.npz"))
        np.testing.assert_array_equal(model.predict(OBSERVATIONS, deterministic=True)[0], there.pop("predicted"), name)
        assert same(statistics(model), there), name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_policy_alone_comes_back_too(algorithm, tmp_path: Path):
    policy = make(algorithm, policy={"norm": "batch", "place": "after", "norm_kwargs": {"momentum": 0.5}}).policy
    policy.save(str(tmp_path / "policy"))
    loaded = type(policy).load(str(tmp_path / "policy"), device="cpu")
    assert loaded.given == policy.given
    assert np.array_equal(
        policy.predict(OBSERVATIONS, deterministic=True)[0], loaded.predict(OBSERVATIONS, deterministic=True)[0]
    )


def to_double(model):
    model.policy.double()


def assign(model):
    model.policy.load_state_dict(
        {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}, assign=True
    )


def rebind(model):
    norm = model.critic.get_submodule("qf0.norm1")
    norm.running_mean = norm.running_mean.clone()


@pytest.mark.parametrize("algorithm", WITH_TARGETS)
@pytest.mark.parametrize("replace", [to_double, assign])
def test_statistics_that_a_target_would_lose_are_noticed(algorithm, replace):
    model = make(algorithm, policy={"norm": "batch"})
    replace(model)
    with pytest.raises(RuntimeError, match=r"running_mean is no longer what \w+ copies to its target"):
        model.learn(16)


def test_a_single_statistic_that_a_target_would_lose_is_noticed():
    model = make("sac", policy={"norm": "batch"}).learn(12)
    rebind(model)
    with pytest.raises(RuntimeError, match=r"policy\.critic\.qf0\.norm1\.running_mean is no longer"):
        model.learn(16)


@pytest.mark.parametrize("algorithm", WITH_TARGETS)
def test_parameters_of_another_model_keep_statistics_followed(algorithm):
    model = make(algorithm, policy={"norm": "batch"})
    model.set_parameters(learned(algorithm, "batch").get_parameters(), device="cpu")
    assert same(statistics(model), statistics(learned(algorithm, "batch")))
    model.learn(16)


def test_targets_stay_in_eval_mode_whoever_calls_train():
    policy = make("td3", policy={"norm": "batch"}).policy
    policy.train()
    assert policy.actor.training
    assert policy.critic.training
    assert not [m for network in (policy.actor_target, policy.critic_target) for m in network.modules() if m.training]


@pytest.mark.parametrize(
    ("algorithm", "settings", "said"),
    [
        ("dqn", {"batch_size": 1}, "got one of 1 from batch_size=1."),
        ("sac", {"batch_size": 1}, "got one of 1 from batch_size=1."),
        ("a2c", {"n_steps": 1, "normalize_advantage": False}, "got one of 1 from n_steps * n_envs = 1."),
    ],
)
def test_minibatches_of_one_are_refused(algorithm, settings, said):
    with pytest.raises(ConfigError) as error:
        make(algorithm, policy={"norm": "batch"}, **settings)
    assert error.value.sentences[0].endswith(said)
    make(algorithm, policy={"norm": "layer"}, **settings)


def test_a_last_minibatch_of_one_is_refused():
    with pytest.warns(UserWarning, match="truncated mini-batch"), pytest.raises(ConfigError) as error:
        make("ppo", policy={"norm": "batch_renorm"}, n_steps=9)
    assert error.value.sentences[0].endswith("got one of 1 from n_steps * n_envs = 9 with batch_size=8.")


def test_a_subsample_of_one_is_refused():
    with pytest.raises(ConfigError) as error:
        make("trpo", policy={"norm": "batch"}, sub_sampling_factor=16)
    assert error.value.sentences[0].endswith("got one of 1 from n_steps * n_envs = 16 with sub_sampling_factor=16.")


def test_no_batch_size_is_asked_of_a_policy_made_by_itself():
    DQNPolicy(FLAT, DISCRETE, lambda _: 1e-3, norm="batch")


@pytest.mark.parametrize(
    ("algorithm", "policy", "said"),
    [
        (CrossQ, SACPolicy, r"SACPolicy is for SAC, got CrossQ: .* write CrossQ\('MlpPolicy', \.\.\.\), or SAC\(SAC"),
        (SAC, TD3Policy, "TD3Policy is for TD3 and DDPG, got SAC: SAC takes SACPolicy."),
        (RecurrentPPO, ActorCriticPolicy, "got RecurrentPPO: RecurrentPPO takes RecurrentActorCriticPolicy."),
        (PPO, RecurrentActorCriticPolicy, "RecurrentActorCriticPolicy is for RecurrentPPO, got PPO: PPO takes Actor"),
        (ARS, ActorCriticPolicy, "ActorCriticPolicy is for PPO and A2C and TRPO, got ARS: no policy here is for it."),
    ],
)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_another_algorithms_policy_is_refused(algorithm, policy, said, norm):
    action = CONTINUOUS if algorithm in (CrossQ, SAC) else DISCRETE
    with pytest.raises(ConfigError, match=said):
        algorithm(policy, Noise(FLAT, action), policy_kwargs={"norm": norm})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithms_policy_is_known_and_a_users_own_algorithm_may_take_any(name):
    algorithm, policy, *_ = ALGORITHMS[name]
    assert POLICIES[algorithm.__name__] == policy.__name__
    refuse_other_algorithms(policy, type("Own", (algorithm,), {}))
    refuse_other_algorithms(DQNPolicy, type("Own", (BaseAlgorithm,), {}))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"norm": "instance"}, ["norm 'instance' has no form behind a Linear layer; where there are images, the conv"]),
        ({"norm": {"features": "instance"}}, ["norm 'instance' is one of images, and the observations are flat: Box("]),
        ({"norm": "group", "norm_kwargs": {"num_groups": 3}}, ["norm 'group' cannot stand on 8 features: "]),
        ({"norm": "batch", "net_arch": []}, ["norm 'batch' would stand nowhere: no layer in features, qf takes it."]),
        ({"norm": {"qf": "batch"}, "net_arch": []}, ["norm 'batch' would stand nowhere in 'qf'"]),
        ({"norm": "btach", "place": "afetr"}, ["unknown place 'afetr'.", "unknown norm 'btach'."]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_learned(policy, said):
    with pytest.raises(ConfigError) as error:
        make("dqn", policy=policy)
    assert len(error.value.sentences) == len(said)
    for sentence, start in zip(error.value.sentences, said, strict=True):
        assert sentence.startswith(start)


@pytest.mark.parametrize("observation", [MINATAR, SMALL_IMAGE, DICT], ids=["minatar", "image", "dict"])
@pytest.mark.parametrize("algorithm", ["dqn", "ppo", "sac"])
def test_images_and_dicts_are_learned_from(algorithm, observation):
    model = make(algorithm, observation, policy={"norm": "batch", "features_extractor_kwargs": None}).learn(20)
    moved = statistics(model, "_target")
    assert [name for name in moved if "extractor" in name and name.endswith("norm1.running_mean") and moved[name].any()]


def test_a_shared_extractor_is_followed_too():
    model = make("td3", SMALL_IMAGE, policy={"norm": "batch", "share_features_extractor": True}).learn(16)
    kept = statistics(model)
    shared = [name for name in kept if name.startswith("actor.features_extractor")]
    assert shared
    assert not [name for name in kept if name.startswith("critic.features_extractor")]
    for name in shared:
        assert np.array_equal(kept[name], kept["actor_target." + name.removeprefix("actor.")])


def test_evaluation_callbacks_and_vectorized_environments_work_as_ever(tmp_path: Path):
    env = DummyVecEnv([lambda: Noise(FLAT, DISCRETE)] * 3)
    model = make("dqn", policy={"norm": "batch"}, env=env)
    evaluation = EvalCallback(
        DummyVecEnv([lambda: Noise(FLAT, DISCRETE)]), eval_freq=4, n_eval_episodes=2, verbose=0, warn=False
    )
    model.learn(36, callback=evaluation)
    before = statistics(model)
    assert evaluate_policy(model, env, n_eval_episodes=3, warn=False) == (15.0, 0.0)
    assert evaluation.last_mean_reward == 15
    assert same(before, statistics(model))


@pytest.mark.parametrize(
    ("algorithm", "norm"),
    sorted({*product(EXAMINED, ("batch", "batch_renorm")), *product(("dqn", "ppo"), FLAT_NORMS)}),
)
def test_the_doctor_finds_nothing(algorithm, norm):
    report = check(learned(algorithm, norm))
    assert report.findings == (), report
    assert set(report.unchecked) <= {"statistics-far"} or not report.norms


@pytest.mark.parametrize("observation", [DICT, MINATAR], ids=["dict", "image"])
@pytest.mark.parametrize("place", ["before", "after", "split"])
def test_nor_in_images_and_dicts(observation, place):
    report = check(make("dqn", observation, {"norm": "batch", "place": place}).learn(16))
    assert report.findings == (), report
    assert report.norms
    assert set(report.unchecked) <= {"statistics-far"}


@pytest.mark.parametrize(
    ("norm", "place", "bias"), [("batch", "before", False), ("batch", "after", True), ("layer", "before", True)]
)
def test_no_bias_stands_where_a_norm_takes_it_off_again(norm, place, bias):
    network = make("dqn", policy={"norm": norm, "place": place}).q_net.q_net
    layers = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    assert [layer.bias is not None for layer in layers] == [bias, bias, True]
