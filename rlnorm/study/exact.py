"""Exact claims: algebra, decided in float64 over random cases.

A part says that `formula` equals `truth` (or stays below or above it) for every case. Both are pure functions of a
case; `truth` gets there by another way, for derivatives by a complex step through the textbook's forward pass. The
error of a case is how far the two are apart, as a share of `scale`: the size of the terms that were added up, since
rounding is relative to those and not to their sum (at m = 2 and eps = 0 the terms of dL/dx cancel to exactly 0).

    error = max |formula - truth| / scale                 relation "="
    error = max (formula - truth) / scale                 relation "<=", negative where there is room to spare
    error = max (truth - formula) / scale                 relation ">="

Supported if the largest error of all cases is within `tolerance`, refuted if it is not: one counterexample is enough.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from textwrap import fill, indent
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from rlnorm.study import words
from rlnorm.study.cases import Case
from rlnorm.study.claim import PRESETS, Claim, Kind, Preset
from rlnorm.study.judge import Divergence, Judgement, Outcome, Verdict

Record = Mapping[str, Any]
Quantity = Callable[[Case], Any]

ROUNDING = 1e-9
WHY_ROUNDING = (
    "float64 rounds at 1e-16 of the terms; sums of up to 512 of them and division by a spread down to 1e-3 of the "
    "values raise that to 1e-11 at most, while a wrong formula is off in its first digits"
)
HOW_TO_READ = (
    "Each formula of the notes is computed in float64 on random cases, and so is what it should be, by another way: "
    "derivatives by a complex step through the forward pass, the rest by torch or by the definition. Sizes run from 2 "
    "to 512, scales from 1e-6 to 1e6, eps from 0 to 1. An error is a share of the terms that were added up. "
    f"Unless another is named, the largest error may be {ROUNDING:.0e}: {WHY_ROUNDING}. dname means dL/dname, <a> the "
    "mean of a over the batch; parts marked (beside) do not count for the overall verdict."
)


@dataclass(frozen=True)
class Exact:
    """One statement about every case.

    says       the statement in one line, as the notes write it
    formula    case -> what the statement says, a number or an array
    truth      case -> what it has to equal (or not to pass), of a shape that fits
    draw       Generator -> case
    scale      case -> what rounding errors are relative to: a positive number or array
    tolerance  largest error, as a share of scale, that counts as none
    because    why that tolerance
    cases      how many are drawn
    relation   "=", or "<=" and ">=" for a bound
    """

    says: str
    formula: Quantity
    truth: Quantity
    draw: Callable[[np.random.Generator], Case]
    scale: Quantity
    tolerance: float = ROUNDING
    because: str = WHY_ROUNDING
    cases: int = 1000
    relation: Literal["=", "<=", ">="] = "="
    presets: tuple[Preset, ...] = PRESETS
    kind: Kind = "exact"


def error(part: Exact, case: Case) -> float:
    """The largest distance of formula and truth in one case, as a share of the scale; inf where it is not a number."""
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


def judge(part: Exact, records: Iterable[Record]) -> Judgement:
    """Supported iff the largest error over all cases is within the tolerance; from the records alone."""
    rows = list(records)
    errors = np.array([np.inf if row["error"] is None else row["error"] for row in rows])
    if not len(errors):
        return judgement("insufficient", None, 0, "No case was computed.", {})
    largest, missed = float(errors.max()), int((errors > part.tolerance).sum())
    details: dict[str, object] = {
        "says": part.says,
        "tolerance": part.tolerance,
        "because": part.because,
        "median error": finite(float(np.median(errors))),
        "cases that miss": missed,
    }
    if not missed:
        found = "Largest error" if part.relation == "=" else "Nearest to the bound"
        reason = f"{found} {largest:.1e} over {len(errors)} cases, within the tolerance {part.tolerance:.0e}."
        return judgement("supported", largest, len(errors), reason, details)
    details["counterexample"] = [row["counterexample"] for row in rows if "counterexample" in row][-1]
    reason = (
        f"{missed} of {len(errors)} cases miss the tolerance {part.tolerance:.0e}; "
        f"median error {np.median(errors):.1e}, largest {largest:.1e}."
    )
    return judgement("refuted", finite(largest), len(errors), reason, details)


def judgement(
    outcome: Outcome, estimate: float | None, n: int, reason: str, details: Mapping[str, object]
) -> Judgement:
    """A judgement without interval: all cases count, so its level is 1; nothing can diverge."""
    return Judgement(outcome, estimate, None, None, 1.0, n, None, reason, details, Divergence())


def page(claims: Mapping[str, Claim], verdicts: Iterable[Verdict]) -> str:
    """The verdicts of exact claims as a page of 80 columns: statement, each part, its numbers, its counterexample."""
    rows = list(verdicts)
    sections = [fill(HOW_TO_READ, 80)]
    for claim_id, claim in claims.items():
        own = [row for row in rows if row.claim == claim_id]
        overall = next(row for row in own if row.part == "overall")
        head = f"{claim_id}: {overall.verdict.upper()}"
        lines = [head, "=" * len(head), fill(claim.statement, 80)]
        groups = overall.details.get("groups")
        lines += [fill(overall.reason, 80)] if isinstance(groups, Mapping) and len(groups) < len(own) - 1 else []
        lines.append(fill(f"Said by {', '.join(claim.notes) or 'no note'}. Source: {claim.source}.", 80))
        lines += [told(row, words.beside(claim, row.part)) for row in own if row.part != "overall"]
        sections.append("\n".join(lines))
    return "\n\n\n".join(sections) + "\n"


def told(row: Verdict, beside: str) -> str:
    """One part of the page: its name and verdict, what it says, why it was judged so."""
    lines = [f"\n* {row.part}: {row.verdict}{beside}"]
    lines += [wrapped(str(row.details["says"]))] if "says" in row.details else []
    lines += [wrapped(row.reason)]
    why = row.details.get("because", WHY_ROUNDING)
    lines += [] if why == WHY_ROUNDING else [wrapped(f"Tolerance {row.margin:.0e}: {why}.")]
    numbers = words.counterexample(row)
    lines += ["  Smallest counterexample:"] if numbers else []
    lines += [wrapped(f"{name} = {number}", "    ") for name, number in numbers]
    return "\n".join(lines)


def wrapped(text: str, margin: str = "  ") -> str:
    """`text` in lines of at most 80 columns behind a margin."""
    return indent(fill(text, 80 - len(margin)), margin)


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
