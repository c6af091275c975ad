"""Whole runs: what is recorded, that the same unit gives the same rows, evaluation, learning and diverging."""

import dataclasses
import json
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.tasks.environments import SCALES, BatchedCartPole
from tests.dqn.watching import loop, rows, run, start


@pytest.mark.parametrize(
    ("steps", "envs", "count"),
    [(100, 1, 100), (250, 1, 100), (199, 1, 100), (37, 1, 37), (1000, 10, 100), (250, 10, 25), (257, 10, 25)],
)
def test_there_are_100_records_or_one_a_step(steps, envs, count):
    records = run(steps=steps, envs=envs, starts=20)
    at = [record["step"] for record in records]
    assert len(at) == count
    assert at[-1] == steps // envs * envs
    gaps = np.diff([0, *at])
    assert gaps.min() > 0
    assert gaps.max() - gaps.min() <= envs


def test_a_record_has_its_keys_and_is_json():
    measured = ("probes", "snapshot")
    records = [{key: value for key, value in record.items() if key not in measured} for record in run()]
    common = {"step", "return", "loss", "q", "beyond", "epsilon", "diverged"}
    assert all(set(record) == common for record in records[:-1])
    assert set(records[-1]) == {*common, "final_return", "first_success"}
    for record in records:
        json.dumps(record)
        assert all(len(record[key]) == 2 for key in ("return", "loss", "q", "diverged"))
        updated = record["step"] > 100 and record["step"] % 10 < 4
        assert all(math.isfinite(x) == updated for key in ("loss", "q", "beyond") for x in record[key])


def test_loss_and_q_are_means_since_the_last_record(monkeypatch):
    values = iter(range(100))

    class Fixed(Agents):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.update = self.next

        def next(self, _: object) -> tuple[torch.Tensor, torch.Tensor]:
            n = float(next(values))
            self.beyond += torch.tensor([n == 2, n < 2])
            return torch.tensor([n, 2 * n]), torch.tensor([-n, 0.5])

    monkeypatch.setattr(loop, "Agents", Fixed)
    records = run(steps=4000, train_every=20, starts=3920)  # a record every 40 steps, two updates in each
    found = [(r["loss"], r["q"], r["beyond"]) for r in records]
    assert found[-2:] == [([0.5, 1.0], [-0.5, 0.5], [0.0, 1.0]), ([2.5, 5.0], [-2.5, 0.5], [0.5, 0.0])]
    assert all(math.isnan(x) for record in found[:-2] for values in record for x in values)


@pytest.mark.parametrize(
    "settings",
    [{}, {"envs": 10, "norm": "batch", "double": True}, {"norm": "weight"}, {"norm": "spectral", "optimizer": "sgd"}],
    ids=str,
)
def test_the_same_unit_gives_the_same_rows(settings):
    torch.manual_seed(1)
    first = rows(run(**settings))
    torch.manual_seed(2)
    np.random.default_rng(3)
    assert rows(run(**settings)) == first


@pytest.mark.parametrize("changed", [{"seeds": [0, 2]}, {"rates": [1e-3, 2e-3]}, {"norm": "layer"}])
def test_another_unit_gives_other_rows(changed):
    assert rows(run()) != rows(run(**changed))


def test_a_rate_is_its_agents_own():
    """The first update comes from the same parameters; after it only the agent with another rate has another loss."""
    same, other = (run(steps=400, rates=[1e-3, rate], starts=388, epsilon=(1, 1, 1)) for rate in (1e-3, 1e-1))
    losses = [[record["loss"] for record in records if math.isfinite(record["loss"][0])] for records in (same, other)]
    assert losses[0][0] == losses[1][0]
    assert [a == b for a, b in zip(losses[0][1], losses[1][1], strict=True)] == [True, False]


# Passes that feed one buffer twice in an update, or use it and feed it, are what a compiler could get wrong.
FEEDING = {
    "norm": "batch",
    "double": True,
    "recipe": "naive",
    "modes": {"successor": "track", "target": "track"},
    "normalize_observations": True,
    "steps": 200,
}


@pytest.mark.parametrize("more", [FEEDING, {"clip": 0.5, "steps": 120}], ids=["feeding", "clip"])
def test_compiled_agrees_with_eager(more):
    """Until rounding has grown into another action, which it has not in so few updates."""
    settings = {"optimizer": "rmsprop", "hidden": (8,), "envs": 2, "probes": 0, **more}
    eager, compiled = run(**settings), run(**settings, compile=True)
    for own, other in zip(eager, compiled, strict=True):
        assert own.keys() == other.keys()
        for key, value in own.items():
            np.testing.assert_allclose(other[key], value, rtol=1e-3, atol=1e-4, err_msg=key)
    assert math.isfinite(eager[-1]["loss"][0])


def test_a_closed_run_does_nothing_more(watched):
    running = start()
    for _ in range(30):
        next(running)
    done = watched.step
    assert done == 120
    assert isinstance(running, Iterator)
    running.close()  # pyright: ignore[reportAttributeAccessIssue] (a generator)
    with pytest.raises(StopIteration):
        next(running)
    assert watched.step == done


def test_training_is_the_same_whatever_evaluation_does(watched, monkeypatch):
    plain = run(norm="batch")
    with_evaluations = list[dict[str, Any]]()
    for record in start(norm="batch"):
        if record["step"] % 40 == 0:
            loop.evaluate(watched.agents, "CartPole-v1", seed=record["step"], episodes=3)
        with_evaluations.append(record)
    assert rows(with_evaluations) == rows(plain)
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: np.zeros(2))
    other = run(norm="batch")
    assert other[-1]["final_return"] == [0, 0]
    assert rows(other[:-1]) == rows(plain[:-1])


def test_evaluation_is_the_mean_of_the_first_episodes():
    """Pushing always left ends an episode within about ten steps; the same by hand, from the same starts."""
    left = SimpleNamespace(diverged=torch.zeros(3), greedy=lambda x: torch.zeros(x.shape[:2], dtype=torch.int64))
    means = loop.evaluate(left, "CartPole-v1", seed=5, episodes=4)
    environments, lengths = BatchedCartPole(12), np.zeros(12)
    environments.reset(5)
    for step in range(1, 30):
        ended = environments.step(np.zeros(12, dtype=np.int64)).terminated
        lengths[ended & (lengths == 0)] = step
    np.testing.assert_array_equal(means, lengths.reshape(3, 4).mean(1))
    assert len(set(means)) > 1


def test_evaluation_goes_on_to_the_limit():
    def balance(x: torch.Tensor) -> torch.Tensor:
        assert x.shape == (2, 20, 4)
        return (x @ torch.tensor([0.1, 0.3, 3.0, 1.0]) > 0).long()

    agents = SimpleNamespace(diverged=torch.zeros(2), greedy=balance)
    assert loop.evaluate(agents, "CartPole-v1", seed=0).tolist() == [500, 500]


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_agents_learn_cartpole(norm):
    """A random policy gets 22."""
    records = run(
        seeds=range(4),
        rates=[3e-3] * 4,
        norm=norm,
        hidden=(32, 32),
        steps=5000,
        starts=300,
        batch=64,
        buffer=10_000,
        target_every=100,
        epsilon=(1.0, 0.05, 0.4),
        envs=5,
    )
    assert np.nanmean([record["return"] for record in records[80:]]) > 40
    assert not any(any(record["diverged"]) for record in records)


def poison_at(monkeypatch: pytest.MonkeyPatch, update: int) -> None:
    """Member 1's parameters become NaN right after its update of that number."""

    class Poisoned(Agents):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            own, count = self.update, 0

            def update_then_poison(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                nonlocal count
                count += 1
                result = own(rows)
                if count == update:
                    self.online.flat[1] = torch.nan
                return result

            self.update = update_then_poison

    monkeypatch.setattr(loop, "Agents", Poisoned)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_nan_in_one_member_marks_it_and_the_others_go_on(norm, monkeypatch):
    poison_at(monkeypatch, 10)  # of 30, at step 200
    records = run(norm=norm, seeds=[0, 1, 2], rates=[1e-3] * 3)
    assert [record["diverged"] for record in records if record["step"] < 200] == [[False] * 3] * 49
    for record in records[49:]:
        assert record["diverged"] == [False, True, False]
        if record["step"] % 10 < 4 and record["step"] > 203:
            assert [math.isfinite(loss) for loss in record["loss"]] == [True, False, True]
    assert all(math.isfinite(value) for value in records[-1]["final_return"])


def test_a_nan_after_the_last_update_is_still_seen(monkeypatch):
    poison_at(monkeypatch, 30)
    assert run()[-1]["diverged"] == [False, True]


def test_values_beyond_ten_times_what_is_possible_are_counted_and_mark_no_run(watched):
    sound = run(discount=0.9)
    assert watched.agents.q_limit == pytest.approx(10 * 1 / (1 - 0.9))
    unsound = run(discount=0.9, rates=[1e-3, 3.0], optimizer="sgd", steps=160)
    assert not any(any(record["diverged"]) for record in (*sound, *unsound[:60]))
    assert sound[-1]["beyond"] == [0, 0]
    assert unsound[-1]["beyond"] == [0, 1]


def test_the_first_success_is_told_in_environment_steps(watched, monkeypatch):
    """An episode of CartPole lasts as long as its return: where 30 is a success, the first of them to last so long."""
    scale = dataclasses.replace(SCALES["CartPole-v1"], success=30.0)
    monkeypatch.setitem(SCALES, "CartPole-v1", scale)
    records = run(envs=4, steps=1600, epsilon=(1.0, 1.0, 1.0))
    for member, first in enumerate(records[-1]["first_success"]):
        lengths = np.zeros(4)
        for turn, (*_, discount) in enumerate(watched.added, 1):
            lengths += 1
            ended = discount[member] == 0
            if (lengths[ended] >= 30).any():
                assert first == 4 * turn
                break
            lengths[ended] = 0
        else:
            pytest.fail("no episode lasted so long")
    assert math.isnan(run(steps=200)[-1]["first_success"][0])


def test_an_environment_that_is_stepped_in_a_loop(watched):
    records = run(env="Acrobot-v1", steps=300, starts=50, envs=3, hidden=(8,))
    assert watched.agents.q_limit == pytest.approx(10 * 1 / (1 - 0.99))
    assert len(records) == 100
    # An Acrobot that ended within its limit of 500 steps has met the goal.
    succeeded = [any(math.isfinite(record["return"][i]) for record in records) for i in range(2)]
    assert np.isfinite(records[-1]["first_success"]).tolist() == succeeded
    assert all(-500 <= value <= -1 for value in records[-1]["final_return"])
