"""Probes of a population of agents: what they are, how often, and that learning does not know of them."""

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from rlnorm.dqn.episodes import Episodes
from rlnorm.dqn.probing import Probing, times_of
from rlnorm.probes import NETWORK, PROBES, measure
from tests.alone import INPUTS
from tests.dqn.learning import RATES, SEEDS, agents_of, transitions
from tests.dqn.watching import Records, rows, run

BEGINNINGS = np.zeros((len(SEEDS), 2, INPUTS), dtype=np.float32)


def probed(records: Records) -> list[dict[str, Any]]:
    return [record["probes"] for record in records if "probes" in record]


def everything(agents: Any) -> list[torch.Tensor]:
    """Copies of all that learning reads and writes."""
    held = [agents.online.parameters, agents.online.buffers, agents.target_parameters, agents.target_buffers]
    matrices = [matrix for rows in held for matrix in rows.matrices.values()]
    return deepcopy([*matrices, agents.diverged, *(t for t in vars(agents.optimizer).values() if torch.is_tensor(t))])


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "batch", "double": True, "clip": 1.0},
        {"norm": "spectral"},
        {"norm": "batch_renorm", "recipe": "naive", "envs": 2},
        {"norm": "batch", "recipe": "joint", "target_every": None, "normalize_observations": True},
    ],
    ids=str,
)
def test_learning_is_the_same_with_and_without(settings: dict[str, Any]):
    without, found = run(**settings, probes=0), run(**settings)
    assert probed(found)
    others = [{k: v for k, v in record.items() if k not in ("probes", "snapshot")} for record in found]
    assert rows(others) == rows(without)


def test_there_are_as_many_as_asked_for_from_the_first_update_on():
    assert len(probed(run(starts=0, probes=8))) == 8
    assert len(probed(run(starts=200, probes=8))) == 4
    assert len(probed(run(starts=0, probes=8, train_every=100))) == 4
    assert not probed(run(probes=0))


def test_nothing_said_a_short_run_has_fewer():
    assert [times_of(updates) for updates in (0, 30, 599, 600, 5_999, 6_000, 10**6)] == [1, 1, 1, 2, 19, 20, 20]
    assert len(probed(run(probes=None, train_every=1, steps=700, starts=100, hidden=(4,), batch=2))) == 2


def test_each_has_a_short_number_per_agent_for_every_probe_in_its_place():
    first, *_, last = probed(run(norm="batch"))
    kinds = {"linear": "layer", "output": "layer", "norm": "norm", "activation": "activation", NETWORK: "network"}
    places = {(name, kinds[layer.rstrip("12")]) for layer, probes in last.items() for name in probes}
    assert places == {(name, at) for name, p in PROBES.items() for at in p.at}
    assert {name for probes in last.values() for name in probes if "drift" in name} == {"mean_drift", "spread_drift"}
    assert not [name for probes in first.values() for name in probes if "drift" in name]
    values = [value for probes in last.values() for value in probes.values()]
    assert {len(value) for value in values} == {2}
    assert max(len(json.dumps(x)) for value in values for x in value) <= len("-1.234e-05")


def test_without_a_target_network_there_is_no_distance_to_it():
    assert "target_q_gap" not in probed(run(target_every=None))[-1][NETWORK]


def test_a_batch_of_one_is_measured_as_it_is_learned_from():
    settings = {"norm": "batch", "recipe": "naive", "modes": {"batch_of_one": True}, "batch": 1}
    assert set(probed(run(**settings))[-1]["norm1"]) == {"mean_gap", "spread_gap", "mode_gap"}


@pytest.mark.parametrize("clip", [None, 0.5])
def test_gradients_are_what_the_optimizer_is_given_and_nothing_changes(
    clip: float | None, rng: torch.Generator, monkeypatch
):
    agents, sample = agents_of("batch", "naive", clip=clip), transitions(rng)
    before = everything(agents)
    found = agents.gradients(sample)
    for a, b in zip(before, everything(agents)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    given: list[torch.Tensor] = []
    monkeypatch.setattr(agents.optimizer, "step", given.append)
    agents.update(sample)
    torch.testing.assert_close(torch.cat([g.flatten(1) for g in found.values()], 1), given[0], rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["batch", "batch_renorm"])
def test_an_agents_probes_are_those_of_its_networks_alone_before_the_update(norm: str, rng: torch.Generator):
    agents, sample = agents_of(norm, optimizer="sgd"), transitions(rng)
    probing = Probing(agents, 2, 2, Episodes(0.9, BEGINNINGS))
    alone = measure(agents.online.member(1), agents.unpack(sample).s_tm1[1])
    probing.update(1, sample)
    first = probing.take()["probes"]
    for layer, probes in alone.items():
        assert {name: first[layer][name][1] for name in probes} == pytest.approx(probes, rel=1e-3, abs=1e-3)
    probing.update(2, sample)
    second = probing.take()["probes"]
    # A step of gradient descent is the rate times the gradient, and before it online and target agreed.
    for layer in ("linear1", "output"):
        own = {name: np.array(values) for name, values in first[layer].items()}
        assert own["effective_rate"] == pytest.approx(RATES * own["gradient_norm"] / own["weight_norm"], rel=2e-3)
        assert not own["target_distance"].any()
        assert second[layer]["target_distance"] == pytest.approx(own["effective_rate"], rel=1e-3)


@pytest.mark.parametrize("norm", ["batch", "batch_renorm"])
def test_gaps_are_to_the_running_statistics_that_have_not_seen_the_batch(norm: str, rng: torch.Generator):
    agents, sample = agents_of(norm), transitions(rng)
    for _ in range(5):
        agents.update(transitions(rng))
    held = {**agents.online.parameters.views, **agents.online.buffers.views}
    h = agents.unpack(sample).s_tm1 @ held["linear1.weight"].mT
    deviation = held["norm1.running_var"] if norm == "batch" else held["norm1.running_std"].square()
    apart = (h.mean(1) - held["norm1.running_mean"]).square() / (deviation + 1e-5)
    expected = apart.mean(-1).sqrt().tolist()
    probing = Probing(agents, 1, 1, Episodes(0.9, BEGINNINGS))
    probing.update(1, sample)
    assert probing.take()["probes"]["norm1"]["mean_gap"] == pytest.approx(expected, rel=1e-3)


def test_overestimation_is_the_value_where_the_last_episodes_began_less_what_they_brought(monkeypatch):
    agents = agents_of("none")
    for name, view in agents.online.parameters.views.items():
        view.zero_()
        if name == "output.bias":
            view[:] = torch.tensor([3.0, 5.0, 4.0])[: view.shape[1]]
    episodes = Episodes(0.5, BEGINNINGS)
    probing = Probing(agents, 1, 10, episodes, reward_scale=2.0)
    never, ends = np.zeros((3, 2), bool), np.ones((3, 2), bool)
    for reward, ended in ((1.0, never), (1.0, never), (1.0, ends), (7.0, never)):
        episodes.step(np.full((3, 2), reward), ended, BEGINNINGS)
    still = transitions(torch.Generator().manual_seed(0))
    monkeypatch.setattr(agents.optimizer, "step", lambda gradient: None)
    probing.update(1, still)
    assert probing.take()["probes"][NETWORK]["overestimation"] == pytest.approx([5 - 2 * 1.75] * 3)
    assert probing.take() == {}


@pytest.mark.parametrize(("recipe", "envs"), [("supervised", 4), ("naive", 4), ("naive", 1)])
def test_overestimation_is_of_the_values_that_are_acted_by(recipe: str, envs: int, rng: torch.Generator):
    agents = agents_of("batch", recipe, {"batch_of_one": True})
    agents.update(transitions(rng))
    began = torch.randn(len(SEEDS), envs, INPUTS, generator=rng)
    episodes = Episodes(0.9, began.numpy())
    episodes.step(np.zeros(began.shape[:2]), np.ones(began.shape[:2], dtype=bool), began.numpy())
    batch = began if envs > 1 else began.expand(-1, 2, -1)
    q = {mode: agents.online(batch, mode).amax(-1).mean(1).tolist() for mode in ("batch", "eval")}
    acts, other = ("batch", "eval") if recipe == "naive" else ("eval", "batch")
    probing = Probing(agents, 1, 1, episodes)
    probing.update(1, transitions(rng))
    found = probing.take()["probes"][NETWORK]["overestimation"]
    assert found == pytest.approx(q[acts], rel=1e-3)
    assert found != pytest.approx(q[other], rel=1e-2)


def test_overestimation_is_unknown_before_every_environment_has_ended_an_episode():
    episodes = Episodes(0.5, BEGINNINGS)
    probing = Probing(agents_of("none"), 1, 10, episodes)
    episodes.step(np.ones((3, 2)), np.array([[True, False], [True, True], [False, False]]), BEGINNINGS)
    probing.update(1, transitions(torch.Generator().manual_seed(0)))
    values = probing.take()["probes"][NETWORK]["overestimation"]
    assert [value == value for value in values] == [False, True, False]
