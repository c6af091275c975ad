"""The loop is the engine's, the ways to act are what they say, and the page's tables are what its rows give."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import why

from rlnorm.dqn import train
from rlnorm.errors import ConfigError
from rlnorm.tasks.scripted import balance
from rlnorm.validation.why import EXPERIMENTS, TABLES, tables
from rlnorm.validation.why.live import Live, learn, restore, setting, state
from rlnorm.validation.why.playing import drawn, fixed, play, running, together
from rlnorm.validation.why.tables import values

PAGE = Path(__file__).parents[2] / "docs/results/why.md"
KEPT = json.loads(PAGE.with_suffix(".json").read_text("utf-8"))
SEEDS = range(3)


@pytest.fixture(scope="module")
def live() -> Live:
    """Agents with BN after a short run, beside which others learned."""
    made = Live(setting("CartPole-v1", SEEDS, 1_500, norm="batch"), [{"norm": "none"}])
    assert list(made.turns())[-1] == 1_500
    return made


@pytest.fixture(scope="module")
def states(live: Live) -> torch.Tensor:
    return torch.from_numpy(live.replay.rows[:, : live.replay.filled, :4])


def test_the_loop_is_the_engines(live: Live):
    engine = list(train(**live.run.values()))
    for name in ("return", "diverged"):
        np.testing.assert_array_equal([of[name] for of in live.records], [of[name] for of in engine])
    np.testing.assert_array_equal(live.records[-1]["first_success"], engine[-1]["first_success"])


def test_others_learn_and_do_not_begin_as_the_agents_that_act(live: Live):
    (other,) = live.others
    assert set(other.online.seeds).isdisjoint(live.agents.online.seeds)
    assert not other.online.flat.equal(Live(live.run, [{"norm": "none"}]).others[0].online.flat)


def test_agents_go_back_to_an_earlier_state(live: Live):
    def learned() -> torch.Tensor:
        learn(live.agents, live.replay, 51, 8, torch.Generator().manual_seed(0))
        return live.agents.online.flat.clone()

    before = state(live.agents)
    first = learned()
    assert not first.equal(before[0])
    restore(live.agents, before)
    assert all(map(torch.equal, state(live.agents), before))
    assert learned().equal(first)
    restore(live.agents, before)


def test_ways_to_act_are_told_apart_by_their_statistics(live: Live, states: torch.Tensor):
    learner, x = live.agents, states[:, :20]
    assert running(learner)(x).equal(learner.q(x))
    by_tens = [learner.online(part, "batch") for part in x.split(10, 1)]
    torch.testing.assert_close(together(learner, 10)(x), torch.cat(by_tens, 1))
    # Running variances are unbiased, those of a batch are not: with 1 500 rows they are nearly the same.
    whole = learner.online(states, "batch")
    torch.testing.assert_close(fixed(live.run, learner, states)(states), whole, rtol=0, atol=2e-3)
    assert not torch.allclose(running(learner)(states), whole, rtol=0, atol=2e-3)
    before, noisy = state(learner), drawn(live.run, learner, states, seed=0)
    assert not torch.allclose(noisy(x), noisy(x))
    assert all(map(torch.equal, state(learner), before))


def test_a_rule_that_balances_is_seen_to():
    run = setting("CartPole-v1", SEEDS, 1_500)

    def rule(x: torch.Tensor) -> torch.Tensor:
        chosen = torch.from_numpy(balance(x.flatten(0, 1).numpy())).unflatten(0, x.shape[:2])
        return torch.nn.functional.one_hot(chosen, 2).float()

    played = play(run, rule, 0, 2)
    assert played.score == pytest.approx(np.full(3, (500 - 22.3) / (475 - 22.3)))
    assert (played.reached.tolist(), played.pumps.tolist()) == ([1.0] * 3, [1.0] * 3)
    assert played.seen.shape == (3, 50 * 2, 4)
    always = play(run, lambda x: torch.eye(2)[torch.zeros(x.shape[:2], dtype=torch.long)], 0, 2)
    assert (always.score < 0).all()
    assert (always.reached == 0).all()
    assert (always.repeats > 0.85).all()
    assert (play(run, rule, 0, 2, epsilon=1.0).score < 0.2).all()


ROWS = [
    {"arm": arm, "seed": seed, "score": seed + up, "area": 2 * seed}
    for arm, up in (("a", 0), ("b", 1))
    for seed in (1, 0)
]


def test_numbers_come_in_the_order_of_seeds_and_only_where_there_are_some():
    assert values(ROWS, ("b", "score")).tolist() == [1, 2]
    assert values(ROWS, ("b", "other")).tolist() == []


def test_numbers_of_one_cell_have_the_same_digits():
    steps = [
        {"arm": arm, "seed": seed, "first success": 100 * seed}
        for arm in ("acting alone", "supervised")
        for seed in range(9)
    ]
    line = next(
        line
        for line in tables(
            "hidden",
            [*steps, *({**row, "arm": "naive"} for row in steps), *({**row, "arm": "learning alone"} for row in steps)],
        ).splitlines()
        if "less" in line
    )
    assert re.search(r"\| \+0 \| \[-\d+, \+\d+\] \|$", line)


def test_every_experiment_has_its_tables_and_its_place_on_the_page():
    assert set(EXPERIMENTS) == set(TABLES) == set(KEPT)
    assert re.findall(r"<!-- (\w+): written by `python scripts/why.py` -->", PAGE.read_text("utf-8")) == list(
        EXPERIMENTS
    )


@pytest.mark.parametrize("name", KEPT)
def test_the_page_says_what_its_rows_give(name: str):
    rows = KEPT[name]["rows"]
    assert (
        f"<!-- {name}: written by `python scripts/why.py` -->\n{tables(name, rows)}\n<!-- end of {name} -->"
        in PAGE.read_text("utf-8")
    )
    assert min(row["seed"] for row in rows) >= 1000
    number = next(iter(TABLES[name].differences.values()))[0][1]
    others = [{**row, number: row.get(number, 0) * (1.05 if row["seed"] % 2 else 1)} for row in rows]
    assert tables(name, others) != tables(name, rows)


def test_kept_rows_are_not_run_again_and_go_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kept, page = KEPT["finding"], tmp_path / "why.md"
    (tmp_path / "finding.json").write_text(why.lines({"finding": kept}))
    page.write_text("<!-- finding: here -->\nold\n<!-- end of finding -->\n")
    why.main(("finding",), tmp_path, page)
    table = tables("finding", kept["rows"])
    assert table in capsys.readouterr().out
    assert page.read_text() == f"<!-- finding: here -->\n{table}\n<!-- end of finding -->\n"
    assert json.loads(page.with_suffix(".json").read_text()) == {"finding": kept}


def test_an_unknown_experiment_is_named_before_anything_runs(tmp_path: Path):
    with pytest.raises(ConfigError, match="unknown experiment 'findings'"):
        why.main(("findings",), tmp_path / "out", tmp_path / "no" / "page.md")
    assert not (tmp_path / "out").exists()
