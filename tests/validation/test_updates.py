"""Our update is stable-baselines3's: in float64 to rounding for as long as one likes; planted differences are seen."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rlnorm.validation.updates import Ours, Setting, Theirs, compare, parted_from_itself

SMALL = Setting("none", 10.0, hidden=(16, 16), batch=16)
DOUBLE = replace(SMALL, dtype=torch.float64)


@pytest.mark.parametrize(
    ("setting", "updates", "clipped", "tolerance"),
    [
        (SMALL, 300, (0.02, 0.98), 1e-5),
        (replace(DOUBLE, norm="layer", hidden=(64, 64)), 500, (0.0, 0.02), 1e-9),
        (replace(DOUBLE, norm="layer", clip=1.0), 100, (0.02, 0.98), 1e-9),
    ],
    ids=str,
)
def test_many_updates_are_theirs(setting: Setting, updates: int, clipped: tuple[float, float], tolerance: float):
    """Huber loss, clip, Adam, target copies between: the weights part by rounding alone."""
    distances = list(compare(setting, Ours(setting), updates=updates))
    assert [each.updates for each in distances] == list(range(100, updates + 1, 100))
    assert max(each.apart / each.moved for each in distances) < tolerance
    assert min(each.moved for each in distances) > 1e-2
    assert clipped[0] <= distances[-1].clipped <= clipped[1]


@pytest.mark.parametrize(("setting", "other"), [(SMALL, {"our_clip": 9.9}), (DOUBLE, {"copy_lag": 1})], ids=str)
def test_a_difference_of_one_percent_or_one_update_is_noticed(setting: Setting, other: dict[str, Any]):
    ours = Ours(replace(setting, clip=other.get("our_clip", setting.clip)))
    *_, last = compare(setting, ours, updates=200, copy_lag=other.get("copy_lag", 0))
    assert last.apart > 1e-4


@pytest.mark.parametrize("setting", [SMALL, DOUBLE], ids=str)
def test_everything_that_an_update_computes_is_of_the_dtype_asked_for(setting: Setting):
    theirs, ours = Theirs(setting), Ours(setting)
    seen = list[Tensor]()

    def see(_: nn.Module, given: tuple[Tensor, ...], values: Tensor) -> None:
        seen.extend((*given, values))

    for network in (theirs.model.q_net, theirs.model.q_net_target):
        network.q_net.register_forward_hook(see)

    class Watched:
        weights, copy_target = theirs.weights, theirs.copy_target

        def update(self, batch: Any) -> None:
            seen.extend((batch.s, batch.s_next, batch.r, batch.ended))
            theirs.update(batch)
            ours.update(batch)

    assert len(list(compare(setting, Watched(), updates=100))) == 1
    assert len(seen) == 800
    seen += [*theirs.parameters, *(each.grad for each in theirs.parameters if each.grad is not None)]
    adam = theirs.model.policy.optimizer.state
    seen += [state[key] for state in adam.values() for key in ("exp_avg", "exp_avg_sq")]
    seen += [vars(ours.agents.optimizer)[key] for key in ("parameters", "m", "v", "rates")]
    seen += [*ours.agents.online.parameters.views.values(), *ours.agents.target_parameters.views.values()]
    assert {each.dtype for each in seen} == {setting.dtype}
    assert len(adam) == len(theirs.parameters) == 6


def test_ours_begins_where_theirs_does():
    for setting in (SMALL, DOUBLE):
        assert torch.equal(Ours(setting).weights, Theirs(setting).weights)
    assert torch.equal(Theirs(DOUBLE).weights.float(), Theirs(SMALL).weights)


def test_one_weight_is_nudged_by_one_unit_in_the_last_place():
    start, nudged = Theirs(SMALL).weights, Theirs(SMALL, nudged=3).weights
    assert (start != nudged).nonzero().tolist() == [[3]]
    assert torch.nextafter(start[3], torch.tensor(torch.inf)) == nudged[3]


def test_theirs_is_held_against_itself():
    assert [each.apart for each in compare(SMALL, Theirs(SMALL), updates=100)] == [0.0]
    (one,) = parted_from_itself(SMALL, runs=1, updates=100)
    assert 0 < one.apart < 1e-5
