"""What stable-baselines3's own tests ask of its policies, asked of ours: every algorithm, in every case that it allows.

Without a norm a policy is stable-baselines3's, and their files go both ways. With a norm it learns, predicts and comes
back from a file as it was. Cases follow the test files there: spaces, cnn, dict_env, custom_policy, vec_normalize,
n_step_replay, her, sde, predict, save_load, callbacks.
"""

import io
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from rlnorm.nn import BatchNorm1d, LayerNorm, Moded
from rlnorm.sb3.passes import copy_statistics
from tests.sb3.learning import (
    ALGORITHMS,
    CONTINUOUS,
    FLAT,
    Noise,
    make,
    same,
    statistics,
)

IMAGE = spaces.Box(0, 255, (36, 36, 1), np.uint8)
SCALED = spaces.Box(-1, 1, (1, 36, 36), np.float32)
DICT = spaces.Dict({"image": IMAGE, "vector": FLAT, "kind": spaces.Discrete(3)})
SMALL: dict[str, Any] = {"features_extractor_kwargs": {"features_dim": 8}}
STEPS = 10
"""One update off-policy; on-policy a rollout of 16 and its updates."""
POLICIES = ("dqn", "qrdqn", "sac", "td3", "tqc", "ppo", "maskableppo", "recurrentppo")
"""An algorithm for each policy."""
REPLAYING = ("dqn", "qrdqn", "sac", "td3", "tqc")
SOUND = tuple(name for name in POLICIES if name != "recurrentppo")
"""RecurrentPPO fails for some spaces with sb3-contrib's own policy, too."""


class Foreign(BaseFeaturesExtractor):
    """A user's extractor, with a norm of torch's and dropout."""

    def __init__(self, observation_space: spaces.Space):
        super().__init__(observation_space, 6)
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.layers(observations)


class Case(NamedTuple):
    """Arguments of `make`, for the algorithms that allow them. `env` takes the algorithm's action space."""

    bare: str = "Mlp"
    observation: spaces.Space = FLAT
    policy: Mapping[str, Any] = MappingProxyType({})
    settings: Mapping[str, Any] = MappingProxyType({})
    env: Callable[[spaces.Space], Any] | None = None
    algorithms: tuple[str, ...] = POLICIES

    def make(self, algorithm: str, norm: str = "", bare: str = "") -> Any:
        """A model with our policy, or with the library's of the name `bare`."""
        settings = dict(self.settings)
        if self.env is not None:
            settings["env"] = self.env(ALGORITHMS[algorithm][2])
        return make(algorithm, self.observation, {**self.policy, **({"norm": norm} if norm else {})}, bare, **settings)


def acting(action: spaces.Space) -> Callable[[spaces.Space], Noise]:
    return lambda _: Noise(FLAT, action)


def flipping(action: spaces.Space) -> BitFlippingEnv:
    return BitFlippingEnv(n_bits=3, continuous=isinstance(action, spaces.Box))


CASES = {
    "flat": Case(algorithms=tuple(ALGORITHMS)),
    "matrix": Case(observation=spaces.Box(-1, 1, (2, 3), np.float64)),
    "discrete": Case(observation=spaces.Discrete(3)),
    "multi-discrete": Case(observation=spaces.MultiDiscrete([2, 3]), algorithms=SOUND),
    "multi-binary": Case(observation=spaces.MultiBinary(4)),
    "image": Case("Cnn", IMAGE, SMALL),
    "scaled image": Case("Cnn", SCALED, SMALL | {"normalize_images": False}),
    "dict": Case("MultiInput", DICT, {"features_extractor_kwargs": {"cnn_output_dim": 8}}),
    "extractor": Case(policy={"features_extractor_class": Foreign}),
    "two extractors": Case(
        "Cnn", IMAGE, SMALL | {"share_features_extractor": False}, algorithms=("ppo", "maskableppo", "recurrentppo")
    ),
    "one extractor": Case("Cnn", IMAGE, SMALL | {"share_features_extractor": True}, algorithms=("sac", "td3", "tqc")),
    "several actions": Case(
        env=acting(spaces.MultiDiscrete([2, 3])), algorithms=("ppo", "maskableppo", "recurrentppo")
    ),
    "binary actions": Case(env=acting(spaces.MultiBinary(3)), algorithms=("ppo", "maskableppo")),
    "actions in a matrix": Case(
        env=acting(spaces.Box(-2, 2, (2, 2), np.float32)), algorithms=("ppo", "recurrentppo", "sac", "td3", "tqc")
    ),
    "gSDE": Case(
        env=acting(CONTINUOUS),
        settings={"use_sde": True},
        algorithms=("ppo", "a2c", "trpo", "recurrentppo", "sac", "tqc"),
    ),
    "normalized": Case(env=lambda action: VecNormalize(DummyVecEnv([lambda: Noise(FLAT, action)] * 2))),
    "n steps": Case(settings={"n_steps": 3}, algorithms=REPLAYING),
    "hindsight": Case(
        "MultiInput", settings={"replay_buffer_class": HerReplayBuffer}, env=flipping, algorithms=REPLAYING
    ),
}


each_case = pytest.mark.parametrize(
    ("case", "algorithm"),
    [
        pytest.param(case, algorithm, id=f"{algorithm}-{name}")
        for name, case in CASES.items()
        for algorithm in case.algorithms
    ],
)


def drawn(space: spaces.Space, count: int = 5) -> Any:
    """Observations, stacked."""
    space = deepcopy(space)
    space.seed(0)
    rows = [space.sample() for _ in range(count)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([row[key] for row in rows]) for key in space.spaces}
    return np.stack(rows)


def first(observations: Any) -> Any:
    return {key: x[0] for key, x in observations.items()} if isinstance(observations, dict) else observations[0]


def predicted(model: Any, observations: Any) -> np.ndarray:
    return model.predict(observations, deterministic=True)[0]


def reloaded(model: Any, **replaced: Any) -> Any:
    """A model from the file of another."""
    file = io.BytesIO()
    model.save(file)
    return type(model).load(file, env=model.get_env(), device="cpu", custom_objects=replaced)


# stable-baselines3 gives this warning for every model with n steps that it loads.
loading = pytest.mark.filterwarnings("ignore:`n_steps=3` is ignored")


@loading
@each_case
def test_without_a_norm_it_is_stable_baselines3s_policy(case: Case, algorithm: str):
    ours, theirs = (case.make(algorithm, bare=bare).learn(STEPS) for bare in ("", case.bare))
    mine, other = (model.policy.state_dict() for model in (ours, theirs))
    assert list(mine) == list(other)
    assert not [name for name in mine if not torch.equal(mine[name], other[name])]
    observations = drawn(ours.observation_space)
    expected = predicted(ours, observations)
    for model, policy in ((theirs, type(ours.policy)), (ours, type(theirs.policy))):
        loaded = reloaded(model, policy_class=policy)
        assert type(loaded.policy) is policy
        np.testing.assert_array_equal(predicted(loaded, observations), expected)


@loading
@pytest.mark.parametrize("norm", ["layer", "batch"])
@each_case
def test_with_a_norm_it_learns_predicts_and_comes_back(case: Case, algorithm: str, norm: str):
    model = case.make(algorithm, norm).learn(STEPS)
    assert [
        each for each in model.policy.modules() if isinstance(each, {"layer": LayerNorm, "batch": BatchNorm1d}[norm])
    ]
    kept = statistics(model)
    ours = copy_statistics(model.policy)
    assert bool(ours) == any(x.any() for _, name, x in ours if name == "running_mean") == (norm == "batch")
    observations = drawn(model.observation_space)
    many, one = predicted(model, observations), predicted(model, first(observations))
    assert model.action_space.contains(one)
    np.testing.assert_allclose(many[0], one, rtol=1e-4, atol=1e-5)
    assert same(kept, statistics(model))
    assert not [each for each in model.policy.modules() if each.training and isinstance(each, Moded)]
    loaded = reloaded(model)
    assert same(kept, statistics(loaded))
    np.testing.assert_array_equal(predicted(loaded, observations), many)


every = pytest.mark.parametrize("algorithm", POLICIES)
each_norm = pytest.mark.parametrize("norm", ["none", "layer", "batch"])


@pytest.mark.filterwarnings("ignore:TRPO's line search moves")
@each_norm
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_users_modules_see_a_minibatch_once(algorithm: str, norm: str):
    """Their batch norms count as many batches as in the library's own policy, which runs them once a minibatch."""
    settings: dict[str, Any] = {"line_search_max_iter": 1} if algorithm == "trpo" else {}
    policy = {"features_extractor_class": Foreign}
    ours = make(algorithm, policy=policy | {"norm": norm}, **settings).learn(STEPS)
    theirs = make(algorithm, policy=policy, bare="Mlp", **settings).learn(STEPS)
    counts = [
        {name: each.num_batches_tracked for name, each in model.policy.named_modules() if type(each) is nn.BatchNorm1d}
        for model in (ours, theirs)
    ]
    assert counts[0] == counts[1]
    assert any(counts[0].values())


def test_trpos_line_search_is_said_to_move_norms_of_torch():
    """Those of the critic's extractor it does not pass through."""
    policy = {"features_extractor_class": Foreign, "share_features_extractor": False}
    said = r"line search moves the running statistics of features_extractor.layers.1 \(BatchNorm1d\), as with stable"
    with pytest.warns(UserWarning, match=said) as warned:
        make("trpo", policy=policy)
    assert len(warned) == 1


@each_norm
@every
def test_networks_are_saved_and_loaded_alone(algorithm: str, norm: str, tmp_path: Path):
    model = make(algorithm, policy={"norm": norm}).learn(STEPS)
    observations = drawn(FLAT)
    names = [
        name
        for name in ("policy", "q_net", "quantile_net", "actor")
        if isinstance(getattr(model, name, None), nn.Module)
    ]
    for name in names:
        network = getattr(model, name)
        network.save(tmp_path / name)
        loaded = type(network).load(tmp_path / name, device="cpu")
        assert loaded.state_dict().keys() == network.state_dict().keys()
        np.testing.assert_array_equal(predicted(loaded, observations), predicted(network, observations))
    assert (len(names) > 1) == (algorithm in REPLAYING)


@every
def test_a_zip_of_another_version_comes_back(algorithm: str, tmp_path: Path):
    """Another Python cannot unpickle classes and functions: custom_objects names them, as stable-baselines3 asks."""
    model = make(algorithm, policy={"norm": "batch"}).learn(STEPS)
    replaced = {"policy_class": type(model.policy), "lr_schedule": model.lr_schedule}
    model.save(tmp_path / "here.zip")
    with ZipFile(tmp_path / "here.zip") as here, ZipFile(tmp_path / "there.zip", "w") as there:
        for name in here.namelist():
            content = here.read(name)
            if name == "data":
                data = json.loads(content)
                for key in replaced:
                    data[key][":serialized:"] = "AAAA"
                content = json.dumps(data).encode()
            there.writestr(name, b"1.8.0" if name == "_stable_baselines3_version" else content)
    loaded = type(model).load(tmp_path / "there.zip", custom_objects=replaced, device="cpu")
    observations = drawn(FLAT)
    np.testing.assert_array_equal(predicted(loaded, observations), predicted(model, observations))
    with pytest.raises(UnpicklingError):
        type(model).load(tmp_path / "there.zip", device="cpu")


@each_norm
@every
def test_parameters_are_taken_over_whole(algorithm: str, norm: str):
    model, other = (make(algorithm, policy={"norm": norm}).learn(steps) for steps in (STEPS, 1))
    given = model.get_parameters()
    other.set_parameters(given, device="cpu")
    taken = other.get_parameters()
    assert taken.keys() == given.keys()
    assert not [name for name, x in given["policy"].items() if not torch.equal(x, taken["policy"][name])]
    del given["policy"][next(iter(given["policy"]))]
    with pytest.raises(RuntimeError, match="Missing key"):
        other.set_parameters(given, device="cpu")


@each_norm
@every
def test_callbacks_evaluate_and_save(algorithm: str, norm: str, tmp_path: Path):
    kind, _, action, _ = ALGORITHMS[algorithm]
    env = DummyVecEnv([lambda: Noise(FLAT, action)])
    evaluate = EvalCallback(
        env, eval_freq=8, n_eval_episodes=1, best_model_save_path=str(tmp_path), verbose=0, warn=False
    )
    model = make(algorithm, policy={"norm": norm})
    model.learn(STEPS, callback=[evaluate, CheckpointCallback(STEPS, str(tmp_path))])
    assert evaluate.last_mean_reward == 15
    observations = drawn(FLAT)
    for name in ("best_model", f"rl_model_{STEPS}_steps"):
        assert predicted(kind.load(tmp_path / name, device="cpu"), observations).shape[0] == 5
