"""Exact parts: algebra, decided in float64 over random cases.

A part says that `formula` equals `truth` (or stays below or above it) for every case. Both are pure functions of a
case; `truth` gets there by another way, for derivatives by a complex step through the textbook's forward pass. The
error of a case is the distance of the two, as a fraction of `scale`: the size of the terms that were added up, since
rounding is relative to those and not to their sum (at m = 2 and eps = 0 the terms of dL/dx cancel to exactly 0).

    error = max |formula - truth| / scale                 relation "="
    error = max (formula - truth) / scale                 relation "<=", negative below the bound
    error = max (truth - formula) / scale                 relation ">="

Supported if the largest error of all cases is within `tolerance`; refuted if it is not: one counterexample is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rlnorm.study.claim.declare import Kind, Part
from rlnorm.textbook.random_cases import Case

Quantity = Callable[[Case], Any]

ROUNDING = 1e-9
WHY_ROUNDING = (
    "float64 rounds at 1e-16 of the terms; sums of up to 512 of them and division by a spread down to 1e-3 of the "
    "values raise that to 1e-11 at most, while a wrong formula is off in its first digits"
)


@dataclass(frozen=True, kw_only=True)
class Exact(Part):
    """One statement about every case.

    statement  the statement in one line, as the notes write it
    formula    case -> what the statement says, a number or an array
    truth      case -> what it has to equal (or not to pass), of a shape that fits
    draw       Generator -> case
    scale      case -> the size that rounding errors are relative to: a positive number or array
    tolerance  the largest error, as a fraction of scale, that counts as none
    rationale  why that tolerance
    cases      how many are drawn
    relation   "=", or "<=" and ">=" for a bound
    """

    statement: str
    formula: Quantity
    truth: Quantity
    draw: Callable[[np.random.Generator], Case]
    scale: Quantity
    tolerance: float = ROUNDING
    rationale: str = WHY_ROUNDING
    cases: int = 1000
    relation: Literal["=", "<=", ">="] = "="

    @property
    def kind(self) -> Kind:
        return "exact"
