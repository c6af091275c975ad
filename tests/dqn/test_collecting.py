"""Where transitions come from: the rule that assists, and the fixed set of agents that make no step."""

import math

import numpy as np
import pytest
import torch

from rlnorm.dqn import Settings
from rlnorm.tasks.scripted import balance
from tests.dqn.watching import FAST, Watched, rows, run


class TestAssisted:
    def test_the_rule_drives_the_first_environment_for_its_fraction_and_agents_all_else(self, watched: Watched):
        """Agents act at random all the time; the rule acts as it does on what is seen."""
        run(assisted=0.3, envs=4, steps=1200, starts=1180, probes=0, epsilon=(1.0, 1.0, 1.0))
        by_rule = np.array([action == balance(s.reshape(-1, 4)).reshape(2, 4) for s, _, action, *_ in watched.added])
        assert by_rule[:90, :, 0].all()
        others = [by_rule[90:, :, 0].mean(), *by_rule[:, :, 1:].mean((0, 1))]
        assert others == pytest.approx([0.5] * 4, abs=0.1)

    def test_it_changes_nothing_where_agents_would_act_as_the_rule(self, monkeypatch: pytest.MonkeyPatch):
        """Returns leave the first environment out, so that all else is compared."""
        monkeypatch.setattr("rlnorm.dqn.agents.Agents.acting_updates", True)
        monkeypatch.setattr(
            "rlnorm.dqn.agents.Agents._act",
            lambda self, x: torch.from_numpy(balance(x.numpy().reshape(-1, 4)).reshape(2, 3)),
        )
        settings = {"envs": 3, "epsilon": (0.0, 0.0, 1.0), "steps": 600}
        plain, assisted = run(**settings), run(**settings, assisted=1.0)
        own, other = ([(record["loss"], record["q"]) for record in records] for records in (assisted, plain))
        np.testing.assert_array_equal(own, other)

    def test_what_the_rule_does_is_no_return_and_no_success_of_the_agent(self, watched: Watched):
        """The rule balances for 500 steps; random actions never do for so long."""
        records = run(assisted=1.0, envs=2, steps=2400, starts=2380, probes=0, epsilon=(1.0, 1.0, 1.0))
        ended = np.array([discount[:, 0] == 0 for *_, discount in watched.added])
        assert not ended.any()
        returns = np.array([record["return"] for record in records], dtype=float)
        assert np.nanmax(returns) < 150
        assert np.isnan(records[-1]["first_success"]).all()

    def test_none_is_the_default_and_leaves_all_environments_to_the_agent(self, watched: Watched):
        assert rows(run(assisted=0.0, envs=4)) == rows(run(envs=4))
        assert Settings(**FAST, envs=4).assisted == 0


class TestOffline:
    def test_the_set_is_the_same_for_all_arms_and_nothing_is_added_to_it(self, watched: Watched):
        arms = [{"norm": "none"}, {"norm": "batch", "recipe": "naive"}, {"norm": "layer", "rates": [1e-2, 1e-4]}]
        sets = list[list[tuple[np.ndarray, ...]]]()
        for arm in arms:
            watched.added.clear()
            run(offline=True, envs=4, buffer=202, **arm)
            sets.append(list(watched.added))
        assert [len(each) for each in sets] == [51] * 3  # 4 transitions each
        for own, other in zip(sets[0], sets[1], strict=True):
            for mine, its in zip(own, other, strict=True):
                np.testing.assert_array_equal(mine, its)
        assert all((a[0] == b[0]).all() for a, b in zip(sets[0], sets[2], strict=True))

    def test_environments_mix_the_rule_with_more_and_more_random_actions(self, watched: Watched):
        """Of two actions a random one is the rule's half of the time."""
        run(offline=True, envs=5, buffer=6_000, seeds=range(4), rates=[1e-3] * 4)
        by_rule = [action == balance(s.reshape(-1, 4)).reshape(4, 5) for s, _, action, *_ in watched.added]
        expected = [1 - (e + 0.5) / 5 / 2 for e in range(5)]
        assert np.mean(by_rule, axis=(0, 1)) == pytest.approx(expected, abs=0.03)

    def test_agents_make_no_step_and_learn_as_often_as_others_do(self, watched: Watched):
        records = run(offline=True, envs=4, norm="batch", recipe="own-statistics")
        updates = len(watched.updates)
        assert all(math.isnan(value) for record in records for value in record["return"])
        assert np.isnan(records[-1]["first_success"]).all()
        assert np.isfinite(records[-1]["final_return"]).all()
        watched.updates.clear()
        run(envs=4)
        assert updates == len(watched.updates) == 30

    def test_what_the_set_holds_is_learned(self):
        """Every reward is 1, and nothing comes after it with discount 0: all Q become 1, from about 0."""
        records = run(offline=True, envs=4, discount=0.0, updates=4, rates=[3e-3, 1e-2], probes=0)
        learned = [record for record in records if math.isfinite(record["loss"][0])]
        assert max(map(abs, learned[0]["q"])) < 0.5
        assert learned[-1]["q"] == pytest.approx([1, 1], abs=0.05)
        assert max(learned[-1]["loss"]) < 0.01
