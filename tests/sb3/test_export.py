"""What a population trained goes on as a plain module, as saved weights, and as a model of stable-baselines3."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from torch import nn

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import Replay
from rlnorm.errors import ConfigError
from rlnorm.networks import mlp
from rlnorm.sb3 import to_sb3
from tests.alone import MLP_NORMS
from tests.sb3.learning import Noise


def trained(norm: str, rng: torch.Generator, place: str = "before") -> Agents:
    """Two agents after a few updates, so that no statistic is what it began as."""
    agents = Agents(
        lambda: mlp(4, 2, hidden=(8, 8), norm=norm, place=place),
        [0, 1],
        [1e-2, 1e-2],
        unpack=Replay(2, 1, (4,)).unpack,
        recipe=RECIPES["supervised"],
    )
    for _ in range(5):
        rows = torch.randn(2, 16, 11, generator=rng) + 1
        rows[..., 8] = (rows[..., 8] > 1).float()
        agents.update(rows)
    return agents


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_a_model_of_stable_baselines3_takes_the_agents_actions(norm: str, rng: torch.Generator, tmp_path: Path):
    agents, x = trained(norm, rng), 3 * torch.randn(200, 4, generator=rng)
    wanted = agents.greedy(x.expand(2, -1, -1)).numpy()
    assert len(set(wanted[1])) == 2
    model = to_sb3(agents.online.member(1), "CartPole-v1", net_arch=[8, 8], norm=norm)
    np.testing.assert_array_equal(model.predict(x.numpy(), deterministic=True)[0], wanted[1])
    with torch.no_grad():
        assert torch.equal(model.q_net_target(x), model.q_net(x))
    model.save(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent", device="cpu")
    np.testing.assert_array_equal(loaded.predict(x.numpy(), deterministic=True)[0], wanted[1])


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8])
def test_vectors_of_any_dtype_are_read_as_training_reads_them(dtype: type, rng: torch.Generator):
    space = spaces.Box(0, 100 if dtype is np.uint8 else np.iinfo(np.int64).max // 2, (4,), dtype)
    agents = trained("batch", rng)
    model = to_sb3(agents.online.member(1), Noise(space, spaces.Discrete(2)), net_arch=[8, 8], norm="batch")
    x = np.arange(40).reshape(10, 4).astype(dtype)
    wanted = agents.greedy(torch.as_tensor(x).float().expand(2, -1, -1)).numpy()[1]
    np.testing.assert_array_equal(model.predict(x, deterministic=True)[0], wanted)


def test_the_model_learns_on(rng: torch.Generator):
    model = to_sb3(trained("batch", rng).online.member(0), "CartPole-v1", net_arch=[8, 8], norm="batch")
    before = model.q_net.q_net.state_dict()["linear1.weight"].clone()
    model.learn(150)
    assert not torch.equal(before, model.q_net.q_net.state_dict()["linear1.weight"])


def test_weights_are_saved_and_loaded_as_any_modules(rng: torch.Generator, tmp_path: Path):
    agents, x = trained("batch", rng), torch.randn(9, 4, generator=rng)
    member = agents.online.member(1)
    torch.save(member.state_dict(), tmp_path / "agent.pt")
    fresh = mlp(4, 2, hidden=(8, 8), norm="batch").eval()
    fresh.load_state_dict(torch.load(tmp_path / "agent.pt"))
    assert torch.equal(fresh(x), member(x))


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [({"net_arch": [8]}, "linear2.weight"), ({"net_arch": [8, 9]}, "size mismatch"), ({"net_arch": [8, 8]}, "norm1")],
    ids=str,
)
def test_another_network_is_refused(kwargs: dict[str, object], said: str, rng: torch.Generator):
    with pytest.raises(ConfigError, match=said) as error:
        to_sb3(trained("batch", rng).online.member(0), "CartPole-v1", **kwargs)
    assert len(error.value.sentences) == 1
    assert str(error.value).startswith("the agent is not the network that policy_kwargs")


@pytest.mark.parametrize(
    "other", [{"place": "after"}, {"activation_fn": nn.Tanh}, {"norm_kwargs": {"eps": 1.0}}], ids=str
)
def test_a_network_that_only_takes_the_weights_is_refused(other: dict[str, object], rng: torch.Generator):
    agent = trained("layer", rng).online.member(0)
    with pytest.raises(ConfigError, match="takes the agent's weights and gives other Q-values") as error:
        to_sb3(agent, "CartPole-v1", **{"net_arch": [8, 8], "norm": "layer", **other})
    assert len(error.value.sentences) == 1
