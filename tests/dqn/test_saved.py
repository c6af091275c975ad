"""Agents of a run as files: loaded anew, they act as they did in the population, and so do models made of them."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN

import rlnorm.dqn
from rlnorm.errors import ConfigError
from rlnorm.sb3 import to_sb3
from tests.dqn.test_images import Lights, learn
from tests.dqn.watching import Watched, loop, rows, run

SETTINGS: list[dict[str, Any]] = [
    {"norm": "none"},
    {"norm": "layer", "place": "after", "normalize_observations": True},
    {"norm": "batch", "normalize_observations": True},
    {"norm": "batch_renorm", "norm_kwargs": {"momentum": 0.2}, "sites": ("input", "last"), "activation": "tanh"},
    {"norm": "batch", "recipe": "naive", "envs": 4},
    {"norm": "spectral"},
    {"norm": "weight_mean_only"},
]


SMALL: dict[str, Any] = {
    "env": "CartPole-v1",
    "seeds": [0, 1],
    "rates": [1e-3, 1e-3],
    "steps": 40,
    "hidden": (8,),
    "starts": 20,
    "batch": 8,
    "buffer": 100,
}


def observations(rng: torch.Generator) -> torch.Tensor:
    return 10 * torch.randn(300, 4, generator=rng)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_loaded_agent_takes_the_populations_actions(settings, watched: Watched, tmp_path: Path, rng: torch.Generator):
    run(save=tmp_path / "agents", **settings)
    x = observations(rng)
    wanted = watched.agents.greedy(x.expand(2, -1, -1))
    assert sorted(path.name for path in (tmp_path / "agents").iterdir()) == ["agent0.pt", "agent1.pt"]
    for i in range(2):
        agent = rlnorm.dqn.load(tmp_path / "agents" / f"agent{i}.pt")
        with torch.no_grad():
            assert torch.equal(agent(x).argmax(1), wanted[i])
    assert not torch.equal(wanted[0], wanted[1])
    assert wanted.unique().tolist() == [0, 1]


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("standardized", [False, True])
def test_so_does_a_model_of_stable_baselines3(norm: str, standardized: bool, tmp_path: Path, rng: torch.Generator):
    run(save=tmp_path, norm=norm, normalize_observations=standardized)
    agent, x = rlnorm.dqn.load(tmp_path / "agent1.pt"), observations(rng)
    with torch.no_grad():
        wanted = agent(x).argmax(1).numpy()
    model = to_sb3(agent, "CartPole-v1", net_arch=[16, 16], norm=norm)
    np.testing.assert_array_equal(model.predict(x.numpy(), deterministic=True)[0], wanted)
    with torch.no_grad():
        assert torch.equal(model.q_net_target(x), model.q_net(x))
    model.save(tmp_path / "model")
    loaded = DQN.load(tmp_path / "model", env=gym.make("CartPole-v1"), device="cpu")
    np.testing.assert_array_equal(loaded.predict(x.numpy(), deterministic=True)[0], wanted)
    if standardized:
        mean = loaded.q_net.state_dict()["features_extractor.observations.running_mean"].clone()
        assert mean.any()
        loaded.learn(150)
        assert torch.equal(mean, loaded.q_net.state_dict()["features_extractor.observations.running_mean"])


def test_a_model_that_would_act_otherwise_is_refused(tmp_path: Path):
    run(save=tmp_path, norm="batch", recipe="naive", envs=4)
    agent = rlnorm.dqn.load(tmp_path / "agent0.pt")
    with pytest.raises(ConfigError, match="the agent acts with the statistics of its batch"):
        to_sb3(agent, "CartPole-v1", net_arch=[16, 16], norm="batch")
    to_sb3(agent.eval(), "CartPole-v1", net_arch=[16, 16], norm="batch")


def test_an_agent_of_images_is_loaded_too(lights: str, watched: Watched, tmp_path: Path, rng: torch.Generator):
    learn(lights, save=tmp_path, norm="batch", kernel=2, sites=("first",))
    x = torch.randint(256, (200, 2, 4, 5), generator=rng, dtype=torch.uint8)
    wanted = watched.agents.greedy(x.expand(2, -1, -1, -1, -1))
    with torch.no_grad():
        assert torch.equal(rlnorm.dqn.load(tmp_path / "agent1.pt")(x).argmax(1), wanted[1])


IMAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"norm": "batch"}, {"norm": "batch"}),
    ({"norm": "layer", "place": "after"}, {"norm": "layer", "place": "after"}),
    ({"norm": "batch", "place": "split", "hidden": (16, 12)}, {"norm": "batch", "place": "split", "net_arch": [12]}),
    ({"norm": "instance", "sites": ("first",)}, {"norm": {"features": "instance"}}),
    ({"norm": "spectral", "hidden": (16, 12, 8)}, {"norm": "spectral", "net_arch": [12, 8]}),
]


@pytest.mark.parametrize(("settings", "policy"), IMAGES, ids=str)
@pytest.mark.parametrize(("high", "dtype"), [(255, np.uint8), (1, np.bool_)])
def test_so_does_a_model_of_images(high, dtype, settings, policy, lights, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(Lights, "observation_space", gym.spaces.Box(0, high, (4, 5, 2), dtype))
    learn(lights, save=tmp_path, channels=(16,), **settings)
    agent, width = rlnorm.dqn.load(tmp_path / "agent1.pt"), {"features_dim": 16}
    seen = (np.random.default_rng(0).integers(2, size=(200, 4, 5, 2)) * high).astype(dtype)
    with torch.no_grad():
        wanted = agent(torch.from_numpy(seen).movedim(-1, 1)).argmax(1).numpy()
    assert len(set(wanted)) == 2
    model = to_sb3(agent, gym.make(lights), features_extractor_kwargs=width, **policy)
    np.testing.assert_array_equal(model.predict(seen, deterministic=True)[0], wanted)


def test_standardized_images_are_refused(lights: str, tmp_path: Path):
    learn(lights, save=tmp_path, channels=(16,), normalize_observations=True)
    with pytest.raises(ConfigError, match="expected an agent of images trained with normalize_observations=False"):
        to_sb3(rlnorm.dqn.load(tmp_path / "agent0.pt"), gym.make(lights))


def test_saving_changes_nothing(tmp_path: Path):
    assert rows(run(save=tmp_path)) == rows(run())


def test_what_is_saved_says_what_it_was_trained_from(tmp_path: Path):
    run(save=tmp_path, seeds=[5, 7], rates=[1e-3, np.float64(2e-3)])
    kept = torch.load(tmp_path / "agent1.pt", weights_only=True)
    assert (kept["seed"], kept["rate"], kept["shape"], kept["layout"]["hidden"]) == (7, 2e-3, (4,), (16, 16))


def test_files_are_there_when_the_last_record_comes(tmp_path: Path):
    running = loop.train(**{**SMALL, "save": tmp_path})
    for record in running:
        if "final_return" in record:
            break
        assert not list(tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_another_file_is_refused(tmp_path: Path):
    other = tmp_path / "other.pt"
    for content in (b"", b"no zip", b"PK\x03\x04"):
        other.write_bytes(content)
        with pytest.raises(ConfigError, match="is not an agent that rlnorm"):
            rlnorm.dqn.load(other)
    torch.save({"weights": {}}, other)
    with pytest.raises(ConfigError, match="is not an agent that rlnorm"):
        rlnorm.dqn.load(other)
    with pytest.raises(FileNotFoundError):
        rlnorm.dqn.load(tmp_path / "none.pt")


def test_an_agent_file_of_which_a_bit_is_another_is_refused_or_the_same(tmp_path: Path):
    """Some bytes of an archive decide nothing, such as its dates; all others are summed. So with what is cut off."""
    run(save=tmp_path, norm="batch")
    path, rng = tmp_path / "agent0.pt", np.random.default_rng(0)
    whole, refused = path.read_bytes(), 0
    weights = rlnorm.dqn.load(path).state_dict()
    damaged = [whole[: rng.integers(len(whole))] for _ in range(30)]
    for _ in range(150):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        try:
            found = rlnorm.dqn.load(path).state_dict()
        except ConfigError as error:
            refused += "is not an agent that rlnorm.dqn.train saved, or is damaged or incomplete" in str(error)
        else:
            torch.testing.assert_close(found, weights, rtol=0, atol=0)
    assert refused >= 100


def test_a_folder_that_cannot_be_is_refused_before_anything_runs(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write agents to save .*file' is a file, not a folder"):
        next(loop.train(**{**SMALL, "save": tmp_path / "file" / "agents"}))
