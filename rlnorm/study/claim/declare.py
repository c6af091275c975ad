"""A claim is a declaration, as data. Nothing here runs anything.

A `Claim` has parts. Each part is judged on its own, and a rule makes one overall verdict of them. A part is one of

    Effect   arms x seeds through an engine, one score per run, one question with a margin fixed beforehand
    Exact    algebra, decided in float64 over random cases                (`rlnorm.study.claim.exact`)
    Cost     a ratio of times, measured interleaved in one process        (`rlnorm.study.claim.cost`)

To add a claim, add one file `rlnorm/claims/<id with underscores>.py` that ends in `CLAIM = Claim(...)`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rlnorm.study.claim.question import Question

Kind = Literal["exact", "cost", "effect"]
Preset = Literal["smoke", "quick", "full"]
PRESETS: tuple[Preset, ...] = ("smoke", "quick", "full")
DQNEngine = Literal["dqn", "sb3"]  # both take DQN's settings and give its records
Settings = Mapping[str, object]
Record = Mapping[str, Any]
"""One line of a unit's rows: of a run at one time, of an exact part for one case, of a cost part for one repetition."""
FIRST_JUDGED = 8  # seeds 0-7 choose rates; arms are judged on fresh seeds from here on
FEWEST = 8
"""Runs of an arm, or repetitions of a cost part; with fewer nothing is judged."""


@dataclass(frozen=True, kw_only=True)
class Part(ABC):
    """One separately judged part of a claim.

    presets   the presets at which it runs
    group     parts of one group are chosen together by `--part GROUP` and get a verdict together; "": it stands alone
    decisive  whether the overall verdict counts it; other parts are judged and shown beside
    """

    presets: tuple[Preset, ...] = PRESETS
    group: str = ""
    decisive: bool = True

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What decides the part: algebra, a measured time, or training."""


@dataclass(frozen=True)
class Experiment:
    """What all arms share: the engine's name, its settings, and the budget in steps (or updates) per preset."""

    engine: Literal["supervised"] | DQNEngine
    steps: Mapping[Preset, int]
    settings: Settings

    def of(self, arm: Settings) -> tuple[str, dict[str, object]]:
        """An arm's engine, which it may name itself, and all its settings."""
        settings = {"engine": self.engine, **self.settings, **arm}
        return str(settings.pop("engine")), settings


def dqn_experiment(*, steps: Mapping[Preset, int], **settings: object) -> Experiment:
    """An experiment on the DQN engine; `settings` are keyword arguments of `rlnorm.dqn.train`, and `lr`."""
    return Experiment("dqn", steps, settings)


def supervised_experiment(*, steps: Mapping[Preset, int], **settings: object) -> Experiment:
    """An experiment on the supervised engine; `settings` are those of `rlnorm.supervised.train`, and `lr`."""
    return Experiment("supervised", steps, settings)


@dataclass(frozen=True)
class LogUniform:
    """A setting that every run draws anew by its seed: 10^u with u uniform between the logarithms of both ends."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Effect(Part):
    """Arms x seeds, one score per run (`metric`), one question with its margin.

    arms         name -> the settings that this arm changes; nothing else differs between arms
    metric       the name of a score in `rlnorm.study.claim.metrics`; `second_metric`: of a question whose scale is
                 "standardized"
    points       settings at each of which every run is done once more: learning rates, depths, batch sizes. One run is
                 then one seed at all points, and its score the `summary` of those at the points:
                     "mean"; "range": largest - smallest; "slope": of least squares, per step from point to point;
                     "near best": fraction of points within 5 % of this run's best point
    rates        empty: all arms run at the common rate, the experiment's `lr`. Else each arm runs at every rate on the
                 selection seeds and is judged at its own best on fresh seeds; a control runs at the rate that it states
                 (`lr`: its own best one, found beforehand), or else at the reference's
    judged_from  the first judged seed: later where earlier seeds were looked at while the part was designed
    seeds        how many seeds are judged; None: the preset's number
    """

    experiment: Experiment
    arms: Mapping[str, Settings]
    metric: str
    question: Question
    second_metric: str = ""
    points: tuple[Settings, ...] = ()
    summary: str = "mean"
    rates: tuple[float, ...] = ()
    judged_from: int = FIRST_JUDGED
    seeds: int | None = None

    @property
    def kind(self) -> Kind:
        return "effect"

    @property
    def on_dqn(self) -> bool:
        """Whether its arms are DQN agents."""
        return self.experiment.engine != "supervised"

    def complete_at(self, preset: Preset) -> bool:
        """Whether runs at this preset are as long as at full."""
        return "full" in self.presets and self.experiment.steps[preset] == self.experiment.steps["full"]

    @property
    def _asked(self) -> tuple[object, ...]:
        """What is compared, whatever the rates."""
        return self.experiment, self.arms, self.metric, self.question, self.points, self.summary

    def through(self, engine: DQNEngine) -> "Effect":
        """The same question of the same arms, run by another engine (except arms that name their own)."""
        return replace(self, experiment=replace(self.experiment, engine=engine))

    def given(self, **settings: object) -> "Effect":
        """The same question of the same arms, which all have these settings."""
        return replace(self, experiment=replace(self.experiment, settings={**self.experiment.settings, **settings}))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement, where it comes from, and the parts that decide it.

    title       the claim in at most eight words
    statement   what was tested, in plain words; where the notes are vague, how it was made precise
    source      the paper or note that it is taken from
    notes       the study notes that make it, `N0` ... `N4`
    kind        the kind that `rlnorm list` shows it under
    parts       name -> part
    overall     "all": supported if every decisive part is, refuted if any is. "any": the other way round
    literature  what published work found, shown beside our verdict and never given to the judge
    """

    title: str
    statement: str
    source: str
    kind: Kind
    parts: Mapping[str, Part]
    notes: tuple[str, ...] = ()
    overall: Literal["all", "any"] = "all"
    literature: str = ""

    @property
    def decisive(self) -> list[str]:
        """The names of the parts that the overall verdict is made of."""
        return [name for name, part in self.parts.items() if part.decisive]

    def fair(self, names: Sequence[str]) -> list[bool]:
        """Which of the parts `names` compare arms at fair rates (rule 6).

        Not fair is a part at the common rate where another of them compares the same at each arm's own best one: the
        common rate may suit one arm and not the other.
        """
        parts = [self.parts[name] for name in names]
        asked = {i: part._asked for i, part in enumerate(parts) if isinstance(part, Effect)}
        own = [asked[i] for i, part in enumerate(parts) if isinstance(part, Effect) and part.rates]
        return [not (isinstance(part, Effect) and not part.rates and asked[i] in own) for i, part in enumerate(parts)]

    def group(self, name: str) -> str:
        """The group of a part: its own name where it stands alone."""
        return self.parts[name].group or name
