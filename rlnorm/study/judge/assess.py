"""From stored rows to results: what the arms of a plan scored, and what the judge says of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlnorm.study.claim import Cost, Effect, Exact
from rlnorm.study.claim.cost import SECONDS
from rlnorm.study.claim.engines import DQN_ENGINES
from rlnorm.study.claim.metrics import METRICS, PROBES, diverged_at, series, unfold
from rlnorm.study.judge import cost, exact
from rlnorm.study.judge.results import ArmResult, ClaimResult, Curve, PartResult
from rlnorm.study.judge.rules import judge, overall
from rlnorm.study.judge.verdict import Judgement, Outcome, OverallDetails, Sample, Verdict
from rlnorm.study.plan import ArmPlan, ClaimPlan, PartPlan, Request, Unit
from rlnorm.study.run import Rows

CURVES = ("return", "loss", "q", "epsilon", "test_accuracy")
RowsOf = Callable[[Unit], Rows | None]
"""The rows of a finished unit; None where it is not finished."""


def assess(plan: ClaimPlan, rows_of: RowsOf) -> ClaimResult:
    """Judge one claim from its rows; a part whose rows are missing is "insufficient"."""
    request = plan.request
    parts = tuple(_part(request, part, rows_of) for part in plan.parts)
    found: dict[str, Outcome] = {part.name: part.verdict.outcome for part in parts}

    def decided(names: Sequence[str]) -> Outcome:
        return overall([found.get(name, "insufficient") for name in names], request.claim.overall)

    groups: dict[str, Outcome] = {group: decided(names) for group, names in request.groups().items()}
    reason = "; ".join(f"{group}: {outcome}" for group, outcome in groups.items()) + "."
    judgement = Judgement(decided(request.decisive()), reason, OverallDetails(groups))
    verdict = Verdict(request.id, "overall", judgement, preset=request.preset)
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
    samples = {arm: Sample(result.scores, result.diverged) for arm, result in arms.items()}
    metric = METRICS[part.metric].within(steps)
    judgement = judge(part.question, samples, metric)
    verdict = Verdict(request.id, plan.name, judgement, part.question.margin, request.preset, steps)
    judged = [unit for arm in plan.arms.values() for unit in arm.judge or ()]
    ids = tuple(unit.id for unit in plan.units)
    return PartResult(
        plan.name, part.kind, verdict, metric.name, arms, ids, commits(judged, rows_of), seconds(plan.units, rows_of)
    )


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


@dataclass(frozen=True)
class _Run:
    """One judged run: its seed, the members that make its score (several over a grid of rates), its unit and rows."""

    seed: int
    members: tuple[int, ...]
    unit: Unit
    rows: Rows


def _runs(part: Effect, plan: ArmPlan, rows_of: RowsOf) -> list[_Run]:
    found, width = list[_Run](), len(part.rates) if part.grid else 1
    for unit in plan.judge or ():
        rows = rows_of(unit)
        if rows is not None:
            first = range(0, len(unit.seeds), width)
            found += [_Run(unit.seeds[i], tuple(range(i, i + width)), unit, rows) for i in first]
    return found


def _arm(part: Effect, arm: str, plan: ArmPlan, rows_of: RowsOf) -> ArmResult:
    scored, runs = METRICS[part.metric], _runs(part, plan, rows_of)

    def over_members(function) -> np.ndarray:
        return np.array([
            np.mean([function(run.rows.records, run.unit.settings, i) for i in run.members]) for run in runs
        ])  # fmt: skip

    # From the rows: older ones are shown with the settings they were made with.
    settings = runs[0].rows.header["settings"] if runs else {**part.experiment.settings, **part.arms[arm]}
    return ArmResult(
        arm,
        settings,
        tuple(run.seed for run in runs),
        plan.rate,
        over_members(scored.score),
        over_members(lambda records, _, i: diverged_at(records, i) < len(records)) > 0,
        over_members(METRICS["final_return"].score) if part.experiment.engine in DQN_ENGINES else None,
        *_curves(runs),
    )


def _curves(runs: Sequence[_Run]) -> tuple[Mapping[str, Curve], Mapping[str, Curve]]:
    """What was recorded over training, and the probes by their tags."""
    if not runs:
        return {}, {}
    unfolded = {run.unit.id: [unfold(record) for record in run.rows.records] for run in runs}
    first = unfolded[runs[0].unit.id]

    def curve(key: str) -> Curve:
        at, found = [i for i, record in enumerate(first) if key in record], []
        for run in runs:
            records, member = unfolded[run.unit.id], run.members[len(run.members) // 2]
            values = series(records, key, member)
            values[diverged_at(records, member) :] = np.nan
            found.append(values[at])
        return Curve(np.array([first[i]["step"] for i in at]), np.array(found))

    probes = dict.fromkeys(key for record in first for key in record if key.startswith(PROBES))
    return {key: curve(key) for key in CURVES if key in first[-1]}, {key: curve(key) for key in probes}
