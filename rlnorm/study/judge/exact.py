"""Judges an exact part from its records."""

from collections.abc import Iterable

import numpy as np

from rlnorm.study.claim import Exact, Record
from rlnorm.study.judge.verdict import ExactDetails, Judgement
from rlnorm.study.run.exact import finite


def judge(part: Exact, records: Iterable[Record]) -> Judgement:
    """Supported iff the largest error over all cases is within the tolerance, from the records alone.

    The estimate is the largest error. All cases count, so the level is 1; there is no interval, and nothing diverges.
    """
    rows = list(records)
    errors = np.array([np.inf if row["error"] is None else row["error"] for row in rows])
    if not len(errors):
        return Judgement("insufficient", "No case was computed.", level=1.0, n=0)
    largest, missed = float(errors.max()), int((errors > part.tolerance).sum())
    counterexamples = [row["counterexample"] for row in rows if "counterexample" in row]
    details = ExactDetails(
        statement=part.statement,
        tolerance=part.tolerance,
        rationale=part.rationale,
        median_error=finite(float(np.median(errors))),
        missed=missed,
        counterexample=counterexamples[-1] if counterexamples else None,
    )
    if not missed:
        found = "Largest error" if part.relation == "=" else "Nearest to the bound"
        reason = f"{found} {largest:.1e} over {len(errors)} cases, within the tolerance {part.tolerance:.0e}."
        return Judgement("supported", reason, details, largest, level=1.0, n=len(errors), relative_p=0.0)
    reason = (
        f"{missed} of {len(errors)} cases miss the tolerance {part.tolerance:.0e}; "
        f"median error {np.median(errors):.1e}, largest {largest:.1e}."
    )
    return Judgement("refuted", reason, details, finite(largest), level=1.0, n=len(errors), relative_p=0.0)
