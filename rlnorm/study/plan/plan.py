"""From requests to plans: which units each part of a claim needs, as far as it can be said now.

Rates are chosen on finished selection units; the units that judge an arm at its best rate are planned after that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from rlnorm.study.claim import FIRST_JUDGED, Cost, Effect, Exact, LogUniform, Part, Preset, Settings
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.scored import SUMMARIES
from rlnorm.study.plan.request import Request
from rlnorm.study.plan.unit import Unit, training_unit

SELECTION = tuple(range(FIRST_JUDGED))  # seeds on which rates are chosen

RecordsOf = Callable[[Unit], Sequence[Mapping[str, Any]] | None]
"""The records of a finished unit; None while it is not finished."""


class Place(NamedTuple):
    """Where one training stands in the rows: a member of a unit."""

    unit: Unit
    member: int


@dataclass(frozen=True)
class Run:
    """One run of an arm: its seed, and where it stands at each point (at one place where the part has no points)."""

    seed: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class ArmPlan:
    """The runs that choose an arm's rate, and those that judge it (None: its rate is not yet chosen)."""

    select: tuple[Run, ...]
    judge: tuple[Run, ...] | None
    rate: float | None

    @property
    def units(self) -> list[Unit]:
        """The units of all runs, each once."""
        return _once(place.unit for run in (*self.select, *(self.judge or ())) for place in run.places)


@dataclass(frozen=True)
class PartPlan:
    """One part of a request: the plan of each arm (effects), or the one unit that decides it (exact and cost parts)."""

    name: str
    part: Part
    arms: Mapping[str, ArmPlan]
    unit: Unit | None

    @property
    def units(self) -> list[Unit]:
        """Every unit of the part, each once: a control that states no rate shares its reference's choice of one."""
        own = () if self.unit is None else (self.unit,)
        return _once(chain(own, *(arm.units for arm in self.arms.values())))


@dataclass(frozen=True)
class ClaimPlan:
    """A request with the plans of its parts."""

    request: Request
    parts: tuple[PartPlan, ...]


def plan(request: Request, records_of: RecordsOf) -> ClaimPlan:
    """The plan of a request, given what is finished."""
    return ClaimPlan(
        request, tuple(_part_plan(request, name, part, records_of) for name, part in request.chosen().items())
    )


def units(plans: Iterable[ClaimPlan]) -> list[Unit]:
    """Every unit that the plans need, once."""
    return _once(unit for each in plans for part in each.parts for unit in part.units)


def _once(units: Iterable[Unit]) -> list[Unit]:
    """Each unit once, as it was declared first."""
    found: dict[str, Unit] = {}
    for unit in units:
        found.setdefault(unit.id, unit)
    return list(found.values())


def score(part: Effect, metric: str, run: Run, records_of: Callable[[Unit], Sequence[Mapping[str, Any]]]) -> float:
    """The score of one finished run: the part's summary of its scores at all points."""
    scored = METRICS[metric].score
    at = [scored(records_of(unit), unit.settings, member) for unit, member in run.places]
    return SUMMARIES[part.summary](np.array(at)) if part.points else at[0]


def best_rate(part: Effect, runs: Sequence[Run], records_of: RecordsOf) -> float | None:
    """The rate with the best mean score on the selection seeds, the lower of equals; None until all are finished.

    Over several points it is the best on average, whatever summary of them is judged: the range over points is smallest
    where nothing is learned at any of them.
    """
    found = {place.unit.id: records_of(place.unit) for run in runs for place in run.places}
    if any(records is None for records in found.values()):
        return None
    on_average = replace(part, summary="mean")
    scores = [score(on_average, part.metric, run, lambda unit: found[unit.id] or ()) for run in runs]
    means = np.array(scores).reshape(len(SELECTION), len(part.rates)).mean(0)
    benefits = means if METRICS[part.metric].metric.better == "higher" else -means
    # A rate at which runs have no score is no best one.
    return part.rates[int(np.where(np.isnan(benefits), -np.inf, benefits).argmax())]


def arm_plan(
    label: str,
    part: Effect,
    arm: str,
    preset: Preset,
    seeds: int,
    choose: Callable[[Effect, Sequence[Run]], float | None],
) -> ArmPlan:
    """The runs of one arm of a part; labels of their units begin with `label`.

    `choose(part, selection runs)` gives the best rate there, or None while they are not all finished. A control runs at
    the rate that it states, or else at the reference's.
    """
    judged = range(part.judged_from, part.judged_from + seeds)
    points: list[Settings] = [*part.points] or [{}]
    at = f", {len(points)} points" if len(points) > 1 else ""
    if not part.rates or "lr" in part.arms[arm]:
        common = part.experiment.of({**part.arms[arm], **points[0]})[1]["lr"]
        rate = None if any("lr" in point for point in points) else float(common)  # pyright: ignore[reportArgumentType]
        return ArmPlan((), _runs(part, arm, preset, judged, points, f"{label}: {arm}{at}"), rate)
    controls = (part.question.negative_control, part.question.positive_control)
    chooser = part.question.reference if arm in controls else arm
    select = _runs(
        part,
        chooser,
        preset,
        SELECTION,
        [{**point, "lr": rate} for rate in part.rates for point in points],
        f"{label}: {chooser}, {len(part.rates)} rates{at}",
        of=len(points),
    )
    rate = choose(part, select)
    if rate is None:
        return ArmPlan(select, None, None)
    chosen = [{**point, "lr": rate} for point in points]
    return ArmPlan(select, _runs(part, arm, preset, judged, chosen, f"{label}: {arm}{at}"), rate)


def _runs(
    part: Effect, arm: str, preset: Preset, seeds: Sequence[int], points: Sequence[Settings], label: str, of: int = 0
) -> tuple[Run, ...]:
    """Every seed at every point; each `of` successive points make one run (0: all).

    What differs by member alone is trained as one population, as far as the engine's block goes, and whole seeds stay
    together.
    """
    steps, width = part.experiment.steps[preset], of or len(points)
    places: dict[tuple[int, int], Place] = {}
    for numbers in _alike(part, arm, points):
        engine, settings = part.experiment.of({**part.arms[arm], **points[numbers[0]]})
        size = max(1, TRAINING[engine].block // len(numbers))
        for block in (seeds[i : i + size] for i in range(0, len(seeds), size)):
            members = [(seed, number) for seed in block for number in numbers]
            given = [_drawn({**part.arms[arm], **points[number]}, seed, number % width) for seed, number in members]
            varied = {name: [own.get(name, settings.get(name)) for own in given] for name in _varied(part, points)}
            rates = [float(own.get("lr", settings["lr"])) for own in given]
            common = {name: value for name, value in settings.items() if name != "lr"} | varied
            unit = training_unit(engine, common, [s for s, _ in members], rates, steps, f"{label}, {_span(block)}")
            places |= {key: Place(unit, i) for i, key in enumerate(members)}
    return tuple(
        Run(seed, tuple(places[seed, number] for number in range(first, first + width)))
        for seed in seeds
        for first in range(0, len(points), width)
    )


def _varied(part: Effect, points: Sequence[Settings]) -> list[str]:
    """The settings besides the rate in which members of one population differ."""
    own = TRAINING[part.experiment.engine].per_member
    return [name for name in dict.fromkeys(name for point in points for name in point) if name in own]


def _alike(part: Effect, arm: str, points: Sequence[Settings]) -> list[list[int]]:
    """The numbers of the points that can be trained as one population, by what else they set."""
    own, found = {"lr", *_varied(part, points)}, dict[str, list[int]]()
    for number, point in enumerate(points):
        rest = {name: value for name, value in point.items() if name not in own}
        found.setdefault(repr(sorted(rest.items())), []).append(number)
    return list(found.values())


def _drawn(settings: Settings, seed: int, point: int) -> dict[str, Any]:
    """The settings with every draw made; the seed and the point alone decide it, so that arms share their draws."""
    found = dict(sorted(settings.items()))
    if drawn := {name: value for name, value in found.items() if isinstance(value, LogUniform)}:
        rng = np.random.default_rng([seed, 4, point])
        found |= {name: float(each.low * (each.high / each.low) ** rng.random()) for name, each in drawn.items()}
    return found


def _part_plan(request: Request, name: str, part: Part, records_of: RecordsOf) -> PartPlan:
    if not isinstance(part, Effect):
        return PartPlan(name, part, {}, _own_unit(request, name, part))

    def choose(part: Effect, runs: Sequence[Run]) -> float | None:
        return best_rate(part, runs, records_of)

    label, seeds = f"{request.id}, {name}", request.judged_seeds(part)
    arms = {arm: arm_plan(label, part, arm, request.preset, seeds, choose) for arm in part.arms}
    return PartPlan(name, part, arms, None)


def _own_unit(request: Request, name: str, part: Part) -> Unit:
    """The unit of an exact or a cost part, which its claim's file computes by itself."""
    assert isinstance(part, Exact | Cost)
    assert request.file.path is not None
    count, what = (part.cases, "cases") if isinstance(part, Exact) else (part.repetitions, "repetitions")
    settings = {"claim": request.id, "part": name}
    return Unit(part.kind, settings, (0,), (), count, f"{request.id}, {name}: {count} {what}", (request.file.path,))


def _span(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
