"""The declared costs: every arm can be built and run; what is timed is what is said."""

import importlib
import pkgutil

import pytest
import torch

import rlnorm.claims
from rlnorm.claims import bn_cost
from rlnorm.study.cost import Cost

PARTS = {
    f"{found.name}: {name}": part
    for found in pkgutil.iter_modules(rlnorm.claims.__path__)
    for name, part in importlib.import_module(f"rlnorm.claims.{found.name}").CLAIM.parts.items()
    if isinstance(part, Cost)
}


@pytest.mark.parametrize("name", PARTS)
def test_every_arm_can_be_built_and_run(name: str):
    part = PARTS[name]
    assert {part.question.treatment, part.question.reference} <= set(part.arms)
    assert part.question.scale == "ratio"
    for build in part.arms.values():
        work = build()
        work()


@pytest.mark.parametrize("name", bn_cost.SHAPES)
def test_the_folded_network_computes_what_the_unfolded_one_does(name: str):
    x, _ = bn_cost.data(name, 4)
    whole, folded = (bn_cost.network(name, norm).eval() for norm in ("batch", "folded"))
    torch.testing.assert_close(folded(x), whole(x), rtol=1e-4, atol=1e-6)
    assert len(folded) == len(whole) - 3


def test_a_training_step_trains():
    before = bn_cost.network("MLP", "batch")
    step = bn_cost.training_step("MLP", 8, "batch")
    assert step() is None
    assert isinstance(before[1], torch.nn.BatchNorm1d)
