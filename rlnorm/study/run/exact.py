"""Runs an exact part: draws its cases and measures the error of each."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rlnorm.study.claim import Exact, Record
from rlnorm.textbook.random_cases import Case


def error(part: Exact, case: Case) -> float:
    """The largest distance of formula and truth in one case, as a fraction of the scale; inf for no number."""
    difference = np.asarray(part.formula(case)) - np.asarray(part.truth(case))
    wrong = {"=": np.abs(difference), "<=": difference, ">=": -difference}[part.relation]
    worst = float(np.max(wrong / part.scale(case)))
    return worst if np.isfinite(worst) else float("inf")


def run(part: Exact, claim_id: str, seed: int) -> Iterator[Record]:
    """One record a case: step, size (how many numbers the case has), error (null: not a number).

    A case that misses the tolerance and is the smallest so far (of equals: the one with its numbers nearest to 1) is
    recorded in full, rounded as far as it stays a counterexample.
    """
    rng = np.random.default_rng([seed, zlib.crc32(claim_id.encode())])
    smallest = (np.inf, np.inf)
    # Cases are small: several threads on one of them would only wait for each other.
    with np.errstate(all="ignore"), threadpool_limits(1):
        for step in range(1, part.cases + 1):
            case = part.draw(rng)
            wrong = error(part, case)
            record = {"step": step, "size": size_of(case), "error": finite(wrong)}
            if wrong > part.tolerance and (size_of(case), awkwardness(case)) < smallest:
                smallest = (size_of(case), awkwardness(case))
                record["counterexample"] = shown(part, simplified(part, case))
            yield record


def size_of(case: Case) -> int:
    """How many numbers a case holds."""
    return sum(np.size(value) for value in case.values())


def awkwardness(case: Case) -> float:
    """How far from 1 the numbers of a case are, in powers of ten at most."""
    numbers = np.abs(np.concatenate([np.ravel(value) for value in case.values()]))
    return float(np.abs(np.log10(numbers[numbers > 0])).max(initial=0.0))


def simplified(part: Exact, case: Case) -> Case:
    """The case with its numbers rounded as far as it still misses the tolerance with finite numbers; else itself."""
    for decimals in range(4):
        rounded = {name: np.round(value, decimals) for name, value in case.items()}
        with suppress(ValueError):  # rounding may have left what a function takes
            if part.tolerance < error(part, rounded) < np.inf:
                return rounded
    return case


def shown(part: Exact, case: Case) -> Record:
    """A case and both sides of the statement in it, as JSON."""
    sides = {"formula": part.formula(case), "truth": part.truth(case)}
    return {name: as_json(value) for name, value in {**case, **sides}.items()}


def as_json(value: Any) -> Any:
    """A number or an array as JSON, to 12 significant digits; whole numbers whole; null where not finite."""
    array = np.asarray(value)
    if array.ndim:
        return [as_json(element) for element in array]
    if np.issubdtype(array.dtype, np.integer):
        return int(array)
    return finite(float(f"{float(array):.12g}") + 0.0)


def finite(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return value if np.isfinite(value) else None
