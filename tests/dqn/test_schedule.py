"""The turns of a run, against a count of single steps; `test_steps.py` holds what the loop makes of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.utils import LinearSchedule

from rlnorm.dqn.schedule import Schedule, Turn, epsilon_at

PLAIN: dict[str, Any] = {
    "steps": 200,
    "envs": 1,
    "epsilon": (1.0, 0.05, 0.5),
    "starts": 100,
    "train_every": 10,
    "updates": 1,
    "copy_every": 50,
    "collect": None,
    "only_random": 0,
    "assisted": 0.0,
    "copies_first": False,
    "coins": 1,
}


def turns(**changes: object) -> list[Turn]:
    return list(Schedule(**{**PLAIN, **changes}))


@given(
    st.integers(0, 1000), st.integers(1, 1000), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1)
)  # fmt: skip
def test_epsilon_is_stable_baselines3s_schedule(step, steps, first, last, fraction):
    step = min(step, steps)
    theirs = LinearSchedule(first, last, fraction)(1 - step / steps)
    assert epsilon_at(step, steps, (first, last, fraction)) == pytest.approx(theirs, abs=1e-9)


counts = st.integers(1, 40)


@given(st.integers(1, 300), counts, st.integers(0, 300), counts, st.integers(1, 3), st.none() | counts)
def test_every_multiple_brings_what_is_due_in_the_turn_that_passes_it(
    steps, envs, starts, train_every, updates, copy_every
):
    due = {"steps": steps, "envs": envs, "starts": starts, "train_every": train_every}
    for turn in turns(**due, updates=updates, copy_every=copy_every):
        single = range(turn.step - envs + 1, turn.step + 1)
        assert turn.updates == updates * sum(n > starts and n % train_every == 0 for n in single)
        assert turn.copies_after == (0 if copy_every is None else sum(n % copy_every == 0 for n in single))
        assert turn.copies_before == 0


@given(st.integers(1, 500), counts)
def test_the_budget_is_used_up_in_whole_turns_and_recorded_evenly(steps, envs):
    found = turns(steps=steps, envs=envs)
    assert [turn.step for turn in found] == list(range(envs, steps + 1, envs))
    assert [turn.last for turn in found] == [False] * (len(found) - 1) + [True] * bool(found)
    recorded = [turn.step for turn in found if turn.records]
    assert min(99, len(found)) <= len(recorded) <= 100
    assert recorded[-1:] == [turn.step for turn in found[-1:]]


def test_copies_come_before_the_updates_or_after_them():
    own, sb3 = turns()[99], turns(copies_first=True)[99]
    assert (own.copies_before, own.copies_after) == (0, 1)
    assert (sb3.copies_before, sb3.copies_after) == (1, 0)


def test_what_is_random_what_is_assisted_and_what_is_stored_ends_with_a_count_of_steps():
    found = turns(envs=4, only_random=50, collect=90, assisted=0.3)
    assert [turn.step for turn in found if turn.only_random] == list(range(4, 53, 4))
    assert [turn.step for turn in found if turn.stores] == list(range(4, 91, 4))
    assert [turn.step for turn in found if turn.assisted] == list(range(4, 61, 4))
    assert all(turn.stores and not turn.only_random and not turn.assisted for turn in turns(envs=4))
