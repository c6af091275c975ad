"""From stored rows to results: what the arms of a plan scored, and what the judge says of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rlnorm.study.claim import Cost, Effect, Exact
from rlnorm.study.claim.cost import SECONDS
from rlnorm.study.claim.dqn_metrics import looked_for
from rlnorm.study.claim.engines import DQN_ENGINES
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.claim.scored import PROBES, diverged_at, non_finite_at, series, unfolded
from rlnorm.study.judge import cost, exact
from rlnorm.study.judge.results import ArmResult, ClaimResult, Curve, PartResult
from rlnorm.study.judge.rules import judge, overall
from rlnorm.study.judge.verdict import Judgement, Outcome, OverallDetails, Sample, Verdict
from rlnorm.study.plan import ArmPlan, ClaimPlan, PartPlan, Request, Unit
from rlnorm.study.plan.plan import Place, score
from rlnorm.study.run import Rows, blame

CURVES = ("return", "loss", "q", "epsilon", "test_accuracy")
RowsOf = Callable[[Unit], Rows | None]
"""The rows of a finished unit; None where it is not finished."""


def assess(plan: ClaimPlan, rows_of: RowsOf) -> ClaimResult:
    """Judge one claim from its rows; a part whose rows are missing is "insufficient"."""
    request = plan.request
    parts = tuple(_part(request, part, rows_of) for part in plan.parts)
    found = {part.name: part.verdict.judgement for part in parts}
    missing = Judgement("insufficient", "It was not run.")

    def decided(names: Sequence[str]) -> Outcome:
        fair = request.claim.fair(names)
        return overall([found.get(name, missing) for name in names], request.claim.overall, fair)

    groups: dict[str, Outcome] = {group: decided(names) for group, names in request.groups().items()}
    reason = "; ".join(f"{group}: {outcome}" for group, outcome in groups.items()) + "."
    judgement = Judgement(decided(request.decisive()), reason, OverallDetails(groups))
    verdict = Verdict(request.id, "overall", judgement, preset=request.overall_preset)
    return ClaimResult(request.id, request.claim, parts, verdict, request.command)


def commits(units: Iterable[Unit], rows_of: RowsOf) -> tuple[str, ...]:
    """The checkouts that computed what is finished of these units, each once."""
    found = (rows.header.get("commit") for unit in units if (rows := rows_of(unit)))
    return tuple(dict.fromkeys(commit for commit in found if commit))


def seconds(units: Iterable[Unit], rows_of: RowsOf) -> float | None:
    """How long the finished ones of these units took; None where there is none."""
    found = [rows.seconds for unit in units if (rows := rows_of(unit))]
    return sum(found) if found else None


def _part(request: Request, plan: PartPlan, rows_of: RowsOf) -> PartResult:
    return _effect(request, plan, plan.part, rows_of) if isinstance(plan.part, Effect) else _own(request, plan, rows_of)


def _effect(request: Request, plan: PartPlan, part: Effect, rows_of: RowsOf) -> PartResult:
    steps = part.experiment.steps[request.preset]
    arms = {arm: _arm(part, arm, each, rows_of) for arm, each in plan.arms.items()}
    samples = {
        arm: Sample(result.scores, result.diverged, np.array(result.seeds, dtype=int), result.second)
        for arm, result in arms.items()
    }
    metric = metric_of(part, part.metric, steps)
    second = metric_of(part, part.second_metric, steps) if part.second_metric else None
    judgement = _without_scores(samples) or judge(part.question, samples, metric, second_metric=second)
    judged = [place.unit for arm in plan.arms.values() for run in arm.judge or () for place in run.places]
    blamed = blame.sentence(rows.records for unit in judged if (rows := rows_of(unit)))
    judgement = replace(judgement, reason=judgement.reason + at_the_edge(part, arms) + blamed)
    verdict = Verdict(request.id, plan.name, judgement, part.question.margin, request.reaches(part), steps)
    ids = tuple(unit.id for unit in plan.units)
    return PartResult(
        plan.name, part.kind, verdict, metric.name, arms, ids, commits(judged, rows_of), seconds(plan.units, rows_of)
    )


def _without_scores(samples: Mapping[str, Sample]) -> Judgement | None:
    """What is said where runs have no score; None where all have one."""
    lacking = [f"{len(lost)} of {arm}" for arm, each in samples.items() if len(lost := each.without_score())]
    said = f"Runs without a score: {', '.join(lacking)}; nothing that is scored came about in them."
    return Judgement("insufficient", said) if lacking else None


def at_the_edge(part: Effect, arms: Mapping[str, ArmResult]) -> str:
    """The sentence that says whose best rate is the end of the grid (rule 6), with a space before it; else nothing."""
    compared = [name for name in (part.question.treatment, part.question.reference) if arms[name].rate is not None]
    ends = dict(zip(part.rates[:1] + part.rates[-1:], ("lowest", "highest")))
    at = {name: ends[rate] for name in compared if (rate := arms[name].rate) in ends}
    found = "; ".join(f"{name}'s best rate is the {end} of the grid" for name, end in at.items())
    return f" ({found}: a wider one may hold a better.)" if found else ""


def _own(request: Request, plan: PartPlan, rows_of: RowsOf) -> PartResult:
    part, unit = plan.part, plan.unit
    assert unit is not None
    rows = rows_of(unit)
    records = () if rows is None else rows.records
    if isinstance(part, Exact):
        judgement, margin, metric = exact.judge(part, records), part.tolerance, "largest error"
    else:
        assert isinstance(part, Cost)
        judgement, margin, metric = cost.judge(part, records), part.question.margin, SECONDS.unit
    verdict = Verdict(request.id, plan.name, judgement, margin)
    return PartResult(
        plan.name, part.kind, verdict, metric, {}, (unit.id,), commits([unit], rows_of), seconds([unit], rows_of)
    )


def _arm(part: Effect, arm: str, plan: ArmPlan, rows_of: RowsOf) -> ArmResult:
    runs = [run for run in plan.judge or () if all(rows_of(place.unit) for place in run.places)]

    def rows(unit: Unit) -> Rows:
        found = rows_of(unit)
        assert found is not None
        return found

    def scores(metric: str) -> np.ndarray:
        return np.array([score(part, metric, run, lambda unit: rows(unit).records) for run in runs])

    def diverged(place: Place) -> bool:
        records = rows(place.unit).records
        return diverged_at(records, place.member) < len(records)

    def known(place: Place) -> bool:
        return looked_for(rows(place.unit).records, place.unit.settings)

    places = [place for run in runs for place in run.places]
    # A spread or slope over points is no proportion of runs and no number of steps.
    finding = bool(runs) and part.summary == "mean" and all(map(known, places))
    # From the rows: older ones are shown with the settings they were made with.
    first = rows(runs[0].places[0].unit).header["settings"] if runs else {}
    shown = [(run.places[len(run.places) // 2], rows) for run in runs]
    return ArmResult(
        arm,
        first or {**part.experiment.settings, **part.arms[arm]},
        tuple(run.seed for run in runs),
        plan.rate,
        scores(part.metric),
        np.array([any(map(diverged, run.places)) for run in runs], dtype=bool),
        scores("final_return") if part.experiment.engine in DQN_ENGINES else None,
        *_curves(shown),
        second=scores(part.second_metric) if part.second_metric else None,
        found=scores("found") if finding else None,
        first_success=scores("first_success") if finding else None,
        snapshots=[
            (record["step"], record["snapshot"])
            for place, rows in shown[:1]
            for record in rows(place.unit).records
            if "snapshot" in record
        ],
    )


def _curves(
    shown: Sequence[tuple[Place, Callable[[Unit], Rows]]],
) -> tuple[Mapping[str, Curve], Mapping[str, Curve]]:
    """What was recorded over training at one place of each run, and the probes by their tags."""
    if not shown:
        return {}, {}
    runs = [(unfolded(rows(place.unit).records), place.member) for place, rows in shown]
    first = runs[0][0]
    ends = [non_finite_at(records, member) for records, member in runs]

    def curve(key: str) -> Curve:
        at, found = [i for i, record in enumerate(first) if key in record], []
        for (records, member), end in zip(runs, ends):
            values = series(records, key, member)
            values[end:] = np.nan
            found.append(values[at])
        return Curve(np.array([first[i]["step"] for i in at]), np.array(found))

    probes = dict.fromkeys(key for record in first for key in record if key.startswith(PROBES))
    return {key: curve(key) for key in CURVES if key in first[-1]}, {key: curve(key) for key in probes}
