"""From stored rows to results: which units a claim needs, what its arms scored, what the judge says."""

import csv
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from rlnorm.errors import unknown
from rlnorm.study import cost, exact
from rlnorm.study.claim import PRESETS, Claim, DQNEngine, Effect, Experiment, Kind, Part, Preset, Settings
from rlnorm.study.cost import Cost
from rlnorm.study.discover import Found
from rlnorm.study.engines import DQN_ENGINES, TRAINING, Engine
from rlnorm.study.exact import Exact
from rlnorm.study.judge import Judgement, Outcome, Sample, Verdict, judge, overall
from rlnorm.study.metrics import METRICS, PROBES, diverged_at, series, unfold
from rlnorm.study.plan import SEEDS, SELECTION, Need, Unit, arm_need
from rlnorm.study.results import ArmResult, ClaimResult, Curve, PartResult
from rlnorm.study.store import Store

CURVES = ("return", "loss", "q", "epsilon", "test_accuracy")


@dataclass(frozen=True)
class Asked:
    """One claim as it was asked for: at which preset, which parts (none: all of the preset), how many judged seeds.

    With `engine` it is about DQN arms alone, run through that engine instead of their own.
    """

    found: Found
    preset: Preset
    parts: tuple[str, ...] = ()
    seeds: int | None = None
    recipe: Mapping[str, Any] | None = None  # how a question of one's own is asked again
    engine: DQNEngine | None = None

    @property
    def claim(self) -> Claim:
        return self.found.claim

    def available(self) -> dict[str, Part]:
        """The claim's parts, those that the engine can run alone where one is named."""
        parts = self.claim.parts
        if self.engine is None:
            return dict(parts)
        dqn = {name: part for name, part in parts.items() if isinstance(part, Effect) and part.on_dqn}
        return {name: part.through(self.engine) for name, part in dqn.items()}

    def chosen(self) -> dict[str, Part]:
        """The parts that are run; `--part CartPole-v1` also chooses every "CartPole-v1, ..."."""
        return {
            name: part
            for name, part in self.available().items()
            if self.preset in part.presets and (not self.parts or any(_matches(name, asked) for asked in self.parts))
        }

    def of_kind(self, kind: Kind) -> "Asked | None":
        """The same of the parts of one kind alone; None where there is none."""
        chosen = self.chosen()
        names = [name for name in self.claim.parts_of(kind) if name in chosen]
        if not names:
            return None
        return self if len(names) == len(chosen) else replace(self, parts=tuple(names))

    def decisive(self) -> list[str]:
        """The parts that the overall verdict needs at this preset, whether asked for or not."""
        named = self.claim.decisive or self.claim.parts
        return [name for name, part in self.available().items() if name in named and self.preset in part.presets]

    def groups(self) -> dict[str, list[str]]:
        """Group (a part alone: its name) -> what decides it: its decisive parts, or all its parts where none is."""
        found = dict[str, list[str]]()
        for name, part in self.available().items():
            if self.preset in part.presets:
                found.setdefault(_group(name), []).append(name)
        deciding = set(self.decisive())
        return {
            group if len(names) > 1 else names[0]: [name for name in names if name in deciding] or names
            for group, names in found.items()
        }

    @property
    def command(self) -> str:
        """What to type to run it again."""
        if self.recipe is None:
            options = [word for part in self.parts for word in ("--part", part)]
            options += [] if self.seeds is None else ["--seeds", str(self.seeds)]
            options += [] if self.engine is None else ["--engine", self.engine]
            return shlex.join(["rlnorm", "run", self.found.name, "--preset", self.preset, *options])
        given = {**self.recipe, "norms": ",".join(self.recipe["norms"])}
        options = [word for key, value in given.items() if value is not None for word in (f"--{key}", str(value))]
        return shlex.join(["rlnorm", "train", *options])

    def judged_seeds(self) -> int:
        return self.seeds or SEEDS[self.preset]

    def errors(self) -> Iterator[str]:
        """One sentence for everything that is wrong with what was asked."""
        if self.preset not in PRESETS:
            yield unknown("preset", self.preset, PRESETS)
            return
        if self.engine not in (None, *DQN_ENGINES):
            yield unknown("engine", self.engine, DQN_ENGINES)
            return
        if not self.available():
            yield f"{self.found.id} has no part that trains DQN agents, so none that engine {self.engine!r} could run."
            return
        names = dict.fromkeys(name for full in self.available() for name in (full, _group(full)))
        for asked in self.parts:
            parts = [part for name, part in self.available().items() if _matches(name, asked)]
            if not parts:
                yield unknown(f"part of {self.found.id}", asked, names)
            elif not any(self.preset in part.presets for part in parts):
                others = ", ".join(preset for preset in PRESETS if any(preset in part.presets for part in parts))
                yield f"part {asked!r} of {self.found.id} is not run at preset {self.preset!r}; it is at: {others}."
        if not self.parts and not self.chosen():
            yield f"{self.found.id} has no part that is run at preset {self.preset!r}."
        for part in self.chosen().values():
            if isinstance(part, Effect):
                steps = part.experiment.steps[self.preset]
                wrong = setting_errors(part.experiment, part.arms, steps, part.rates)
                every = chain(wrong, _metric_errors(part), _rate_errors(part))
                yield from (f"{self.found.id}: {sentence}" for sentence in every)


def _matches(name: str, asked: str) -> bool:
    return asked in (name, _group(name))


def _group(name: str) -> str:
    """What stands before the first comma of a part's name."""
    return name.split(",")[0]


def setting_errors(
    experiment: Experiment, arms: Mapping[str, Settings], steps: int, rates: Sequence[float] = ()
) -> Iterator[str]:
    """One sentence for each setting that the engine does not take; the arm is named where only some have it."""
    found: dict[str, list[str]] = {}
    for name, arm in arms.items():
        engine, settings = experiment.of(arm)
        for sentence in _arm_errors(TRAINING[engine], settings, steps, rates):
            found.setdefault(sentence, []).append(name)
    for sentence, names in found.items():
        yield sentence if len(names) == len(arms) else f"arm {', '.join(names)}: {sentence}"


def _metric_errors(part: Effect) -> Iterator[str]:
    """One sentence for each reason why the arms' records have no such score."""
    if part.metric not in METRICS:
        yield unknown("metric", part.metric, METRICS)
    elif probe := METRICS[part.metric].probe:
        engines = {part.experiment.of(arm)[0] for arm in part.arms.values()}
        for engine in sorted(name for name in engines if not TRAINING[name].probes):
            yield f"metric {part.metric!r} is made of the probe {probe!r}, and engine {engine!r} records no probes."


def _rate_errors(part: Effect) -> Iterator[str]:
    """One sentence for each arm whose own rate would go unused, since the part runs it at several."""
    for name, arm in part.arms.items():
        if part.rates and "lr" in arm:
            yield f"arm {name} sets lr, which a part with rates does not use; expected it of the experiment alone."


def _arm_errors(engine: Engine, settings: dict[str, Any], steps: int, rates: Sequence[float]) -> Iterator[str]:
    if "lr" not in settings:
        yield "no learning rate is set; expected lr among the settings."
        return
    rates = (*rates, settings.pop("lr"))
    yield from engine.errors(**settings, seeds=range(len(rates)), rates=rates, steps=steps)


def needs(asked: Asked, name: str, part: Effect, store: Store) -> dict[str, Need]:
    """What each arm of a part needs, as far as it can be said now: rates are chosen on finished selection units."""

    def choose(part: Effect, units: Sequence[Unit]) -> float | None:
        return best_rate(part, units, store) if all(map(store.finished, units)) else None

    what = f"{asked.found.id}, {name}"
    return {arm: arm_need(what, part, arm, asked.preset, asked.judged_seeds(), choose) for arm in part.arms}


def best_rate(part: Effect, units: Sequence[Unit], store: Store) -> float:
    """The rate with the best mean score on the selection seeds; the lower one of equals."""
    scored = METRICS[part.metric]
    scores = [
        scored.score(records, unit.settings, i)
        for unit, records in ((unit, store.read(unit).records) for unit in units)
        for i in range(len(unit.seeds))
    ]
    table = np.array(scores).reshape(len(SELECTION), len(part.rates)).mean(0)
    return part.rates[int(table.argmax() if scored.metric.better == "higher" else table.argmin())]


def own_unit(asked: Asked, name: str, part: Exact | Cost) -> Unit:
    """The unit of an exact or a cost part, which its claim's file computes by itself."""
    assert asked.found.path is not None
    count, what = (part.cases, "cases") if isinstance(part, Exact) else (part.repetitions, "repetitions")
    settings = {"claim": asked.found.id, "part": name}
    return Unit(part.kind, settings, (0,), (), count, f"{asked.found.id}, {name}: {count} {what}", (asked.found.path,))


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
    elif isinstance(part, Exact | Cost):
        yield own_unit(asked, name, part)


def assess(asked: Asked, store: Store) -> ClaimResult:
    """Judge one claim from what is stored; what is missing makes its part "insufficient"."""
    parts = tuple(
        _effect(asked, name, part, store) if isinstance(part, Effect) else _own(asked, name, part, store)
        for name, part in asked.chosen().items()
    )
    found: dict[str, Outcome] = {part.name: part.verdict.verdict for part in parts}

    def decided(names: Sequence[str]) -> Outcome:
        return overall([found.get(name, "insufficient") for name in names], asked.claim.overall)

    groups = {
        group: decided(names)
        for group, names in asked.groups().items()
        if any(_matches(part.name, group) for part in parts)
    }
    reason = "; ".join(f"{group}: {outcome}" for group, outcome in groups.items()) + "."
    verdict = Verdict(
        asked.found.id,
        "overall",
        decided(asked.decisive()),
        preset=asked.preset,
        reason=reason,
        details={"groups": groups},
    )
    return ClaimResult(asked.found.id, asked.claim, parts, verdict, asked.command)


def _effect(asked: Asked, name: str, part: Effect, store: Store) -> PartResult:
    found = needs(asked, name, part, store)
    arms = {arm: _arm(part, arm, need, store) for arm, need in found.items()}
    metric = METRICS[part.metric].within(part.experiment.steps[asked.preset])
    samples = {arm: Sample(result.scores, result.diverged) for arm, result in arms.items()}
    judgement = judge(part.question, samples, metric)
    units = (unit for need in found.values() for unit in (*need.select, *(need.judge or ())))
    ids = tuple(dict.fromkeys(unit.id for unit in units))  # a planted arm's choice is the reference's
    verdict = _verdict(asked, name, judgement, part.question.margin, part.experiment.steps[asked.preset])
    judged = (unit for need in found.values() for unit in need.judge or ())
    return PartResult(name, part.kind, verdict, metric.name, arms, ids, commits(judged, store))


def _own(asked: Asked, name: str, part: Part, store: Store) -> PartResult:
    assert isinstance(part, Exact | Cost)
    unit = own_unit(asked, name, part)
    records = store.read(unit).records if store.finished(unit) else ()
    if isinstance(part, Exact):
        verdict = _verdict(asked, name, exact.judge(part, records), part.tolerance, None)
        return PartResult(name, part.kind, verdict, "largest error", {}, (unit.id,), commits([unit], store))
    verdict = _verdict(asked, name, cost.judge(part, records), part.question.margin, None)
    return PartResult(name, part.kind, verdict, cost.SECONDS.unit, {}, (unit.id,), commits([unit], store))


def commits(units: Iterable[Unit], store: Store) -> tuple[str, ...]:
    """Of the checkouts that computed what is finished of these units, each once."""
    found = (store.read(unit).header.get("commit") for unit in units if store.finished(unit))
    return tuple(dict.fromkeys(commit for commit in found if commit))


def _verdict(asked: Asked, name: str, judgement: Judgement, margin: float, steps: int | None) -> Verdict:
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

    # From the rows: older ones are shown with the settings they were made with.
    settings = store.read(runs[0].unit).header["settings"] if runs else {**part.experiment.settings, **part.arms[arm]}
    return ArmResult(
        arm,
        settings,
        tuple(run.seed for run in runs),
        need.rate,
        over_members(scored.score),
        over_members(lambda records, _, i: diverged_at(records, i) < len(records)) > 0,
        over_members(METRICS["final_return"].score) if part.experiment.engine in DQN_ENGINES else None,
        *_curves(runs, store),
    )


def _curves(runs: Sequence[_Run], store: Store) -> tuple[Mapping[str, Curve], Mapping[str, Curve]]:
    """What was recorded over training, and the probes by their tags."""
    if not runs:
        return {}, {}
    unfolded = {run.unit.id: [unfold(record) for record in store.read(run.unit).records] for run in runs}
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


def scores_csv(result: ClaimResult) -> str:
    """Every judged run of a claim, one line each: part, arm, seed, rate, metric, score, diverged."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["part", "arm", "seed", "rate", "metric", "score", "diverged", "final_return"])
    for part in result.parts:
        for arm in part.arms.values():
            finals = [""] * len(arm.seeds) if arm.final is None else [f"{final:.6g}" for final in arm.final]
            for seed, score, diverged, final in zip(arm.seeds, arm.scores, arm.diverged, finals):
                table.writerow([part.name, arm.name, seed, arm.rate, part.metric, f"{score:.6g}", int(diverged), final])
    return out.getvalue()
