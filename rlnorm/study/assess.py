"""From stored rows to results: which units a claim needs, what its arms scored, what the judge says."""

import csv
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from rlnorm.errors import raise_if_any, unknown
from rlnorm.study import exact
from rlnorm.study.claim import Claim, Effect, Part, Preset
from rlnorm.study.discover import Found
from rlnorm.study.engines import TRAINING
from rlnorm.study.judge import Judgement, Metric, Sample, Verdict, judge, overall
from rlnorm.study.metrics import METRICS, diverged_at, series
from rlnorm.study.plan import SEEDS, SELECTION, Need, Unit, arm_need
from rlnorm.study.results import ArmResult, ClaimResult, Curve, PartResult
from rlnorm.study.store import Store

CURVES = ("return", "loss", "q", "epsilon", "test_accuracy")


@dataclass(frozen=True)
class Asked:
    """One claim as it was asked for: at which preset, which parts (none: all of the preset), how many judged seeds."""

    found: Found
    preset: Preset
    parts: tuple[str, ...] = ()
    seeds: int | None = None
    recipe: Mapping[str, Any] | None = None  # how a question of one's own is asked again

    @property
    def claim(self) -> Claim:
        return self.found.claim

    def chosen(self) -> dict[str, Part]:
        """The parts that are run; `--part CartPole-v1` also chooses every "CartPole-v1, ..."."""
        return {
            name: part
            for name, part in self.claim.parts.items()
            if self.preset in part.presets and (not self.parts or any(_matches(name, asked) for asked in self.parts))
        }

    @property
    def command(self) -> str:
        """What to type to run it again."""
        if self.recipe is None:
            options = [word for part in self.parts for word in ("--part", part)]
            options += [] if self.seeds is None else ["--seeds", str(self.seeds)]
            return shlex.join(["rlnorm", "run", self.found.id, "--preset", self.preset, *options])
        given = {**self.recipe, "norms": ",".join(self.recipe["norms"])}
        options = [word for key, value in given.items() if value is not None for word in (f"--{key}", str(value))]
        return shlex.join(["rlnorm", "train", *options])

    def judged_seeds(self) -> int:
        return self.seeds or SEEDS[self.preset]

    def errors(self) -> Iterator[str]:
        """One sentence for everything that is wrong with what was asked."""
        names = {name for full in self.claim.parts for name in (full, full.split(",")[0])}
        for part in self.parts:
            if part not in names:
                yield unknown(f"part of {self.found.id}", part, names)
            elif not self.chosen():
                yield f"{self.found.id}: part {part!r} is not run at preset {self.preset!r}; its presets are longer."
        for part in self.chosen().values():
            if isinstance(part, Effect):
                yield from _setting_errors(part, self.preset)


def _matches(name: str, asked: str) -> bool:
    return name == asked or name.split(",")[0] == asked


def _setting_errors(part: Effect, preset: Preset) -> Iterator[str]:
    for name, arm in part.arms.items():
        settings = {**part.experiment.settings, **arm}
        settings.pop("lr", None)
        engine = TRAINING[part.experiment.engine]
        for sentence in engine.errors(
            **_defaults(engine.train) | settings, seeds=[0], rates=[1.0], steps=part.experiment.steps[preset]
        ):
            yield f"arm {name}: {sentence}"


def _defaults(function: object) -> dict[str, object]:
    return dict(function.__kwdefaults__)  # pyright: ignore


def needs(asked: Asked, name: str, part: Effect, store: Store) -> dict[str, Need]:
    """What each arm of a part needs, as far as it can be said now: rates are chosen on finished selection units."""

    def choose(part: Effect, unit: Unit) -> float | None:
        return best_rate(part, unit, store) if store.finished(unit) else None

    what = f"{asked.found.id}, {name}"
    return {arm: arm_need(what, part, arm, asked.preset, asked.judged_seeds(), choose) for arm in part.arms}


def best_rate(part: Effect, unit: Unit, store: Store) -> float:
    """The rate with the best mean score on the selection seeds; the lower one of equals."""
    scored = METRICS[part.metric]
    records = store.read(unit).records
    scores = np.array([scored.score(records, unit.settings, i) for i in range(len(unit.seeds))])
    table = scores.reshape(len(SELECTION), len(part.rates)).mean(0)
    return part.rates[int(table.argmax() if scored.metric.better == "higher" else table.argmin())]


def exact_unit(asked: Asked, name: str, part: exact.Exact) -> Unit:
    """The unit of an exact part."""
    settings = {"claim": asked.found.id, "part": name}
    label = f"{asked.found.id}, {name}: {part.cases} cases"
    return Unit("exact", settings, (0,), (), part.cases, label, asked.found.path)


def units(asked: Sequence[Asked], store: Store) -> list[Unit]:
    """Every unit that is needed, once, as far as it can be said now (see `needs`)."""
    found: dict[str, Unit] = {}
    for one in asked:
        for name, part in one.chosen().items():
            for unit in _units_of(one, name, part, store):
                found.setdefault(unit.id, unit)
    return list(found.values())


def _units_of(asked: Asked, name: str, part: Part, store: Store) -> Iterator[Unit]:
    if isinstance(part, Effect):
        for need in needs(asked, name, part, store).values():
            yield from chain(need.select, need.judge or ())
    elif isinstance(part, exact.Exact):
        yield exact_unit(asked, name, part)


def assess(asked: Asked, store: Store) -> ClaimResult:
    """Judge one claim from what is stored; what is missing makes its part "insufficient"."""
    parts = tuple(
        _effect(asked, name, part, store) if isinstance(part, Effect) else _exact(asked, name, part, store)
        for name, part in asked.chosen().items()
    )
    outcome = overall([part.verdict.verdict for part in parts], asked.claim.overall)
    rows = [f"{part.name}: {part.verdict.verdict}" for part in parts]
    return ClaimResult(
        asked.found.id,
        asked.claim,
        parts,
        Verdict(asked.found.id, "overall", outcome, preset=asked.preset, reason="; ".join(rows) + "."),
        asked.command,
    )


def _effect(asked: Asked, name: str, part: Effect, store: Store) -> PartResult:
    found = needs(asked, name, part, store)
    arms = {arm: _arm(part, arm, need, store) for arm, need in found.items()}
    metric = METRICS[part.metric].metric
    samples = {arm: Sample(result.scores, result.diverged) for arm, result in arms.items()}
    judgement = judge(part.question, samples, metric)
    ids = tuple(unit.id for need in found.values() for unit in (*need.select, *(need.judge or ())))
    verdict = _verdict(asked, name, judgement, part.question.margin, part.experiment.steps[asked.preset])
    return PartResult(name, part.kind, verdict, metric.name, arms, ids)


def _exact(asked: Asked, name: str, part: Part, store: Store) -> PartResult:
    assert isinstance(part, exact.Exact)
    unit = exact_unit(asked, name, part)
    judgement = exact.judge(part, store.read(unit).records if store.finished(unit) else ())
    verdict = _verdict(asked, name, judgement, part.tolerance, None)
    return PartResult(name, part.kind, verdict, "largest error", {}, (unit.id,))


def _verdict(
    asked: Asked, name: str, judgement: Judgement | exact.Judgement, margin: float, steps: int | None
) -> Verdict:
    return Verdict(
        asked.found.id,
        name,
        judgement.outcome,
        judgement.estimate,
        judgement.low,
        judgement.high,
        margin,
        judgement.n,
        judgement.diverged,
        asked.preset if steps else None,
        steps,
        judgement.reason,
        judgement.details,
    )


@dataclass(frozen=True)
class _Run:
    """One judged run: its seed, the member rows that make its score (several over a grid of rates), its unit."""

    seed: int
    members: tuple[int, ...]
    unit: Unit


def _runs(part: Effect, need: Need, store: Store) -> list[_Run]:
    found = []
    for unit in need.judge or ():
        if store.finished(unit):
            width = len(part.rates) if part.grid else 1
            found += [_Run(unit.seeds[i], tuple(range(i, i + width)), unit) for i in range(0, len(unit.seeds), width)]
    return found


def _arm(part: Effect, arm: str, need: Need, store: Store) -> ArmResult:
    scored, runs = METRICS[part.metric], _runs(part, need, store)

    def over_members(function) -> np.ndarray:
        return np.array(
            [
                np.mean([function(store.read(run.unit).records, run.unit.settings, i) for i in run.members])
                for run in runs
            ]
        )

    settings = dict(runs[0].unit.settings) if runs else {**part.experiment.settings, **part.arms[arm]}
    return ArmResult(
        arm,
        settings,
        tuple(run.seed for run in runs),
        need.rate,
        over_members(scored.score),
        over_members(lambda records, _, i: diverged_at(records, i) < len(records)) > 0,
        over_members(METRICS["final_return"].score) if part.experiment.engine == "dqn" else None,
        _curves(runs, store),
    )


def _curves(runs: Sequence[_Run], store: Store) -> Mapping[str, Curve]:
    if not runs:
        return {}
    first = store.read(runs[0].unit).records
    keys = [key for key in CURVES if key in first[-1]]
    steps = np.array([record["step"] for record in first])

    def rows(key: str) -> np.ndarray:
        found = []
        for run in runs:
            records, member = store.read(run.unit).records, run.members[len(run.members) // 2]
            values = series(records, key, member)
            values[diverged_at(records, member) :] = np.nan
            found.append(values)
        return np.array(found)

    return {key: Curve(steps, rows(key)) for key in keys}


def scores_csv(result: ClaimResult) -> str:
    """Every judged run of a claim, one line each: part, arm, seed, rate, metric, score, diverged."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["part", "arm", "seed", "rate", "metric", "score", "diverged", "final_return"])
    for part in result.parts:
        for arm in part.arms.values():
            finals = arm.final if arm.final is not None else [""] * len(arm.seeds)
            for seed, score, diverged, final in zip(arm.seeds, arm.scores, arm.diverged, finals):
                table.writerow([part.name, arm.name, seed, arm.rate, part.metric, f"{score:.6g}", int(diverged), final])
    return out.getvalue()


def check(asked: Sequence[Asked]) -> None:
    """Raise one ConfigError with everything that is wrong, before anything runs."""
    raise_if_any(dict.fromkeys(chain.from_iterable(one.errors() for one in asked)))


__all__ = ["Asked", "Metric", "assess", "check", "scores_csv", "units"]
