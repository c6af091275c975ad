"""From a request to units of work: which arms have to be run, on which seeds and rates, and what identifies a unit."""

from rlnorm.study.plan.plan import SELECTION, ArmPlan, ClaimPlan, PartPlan, plan, units
from rlnorm.study.plan.request import SEEDS, Request
from rlnorm.study.plan.unit import Unit, training_unit

__all__ = [
    "SEEDS",
    "SELECTION",
    "ArmPlan",
    "ClaimPlan",
    "PartPlan",
    "Request",
    "Unit",
    "plan",
    "training_unit",
    "units",
]
