"""What a claim is: a declaration, as data. Nothing here runs anything.

A `Claim` has parts, each judged on its own, and a rule that makes one overall verdict of them. A part is one of

    Effect   arms x seeds through an engine, one score per run, a question fixed with its margin before anything ran
    Exact    algebra, decided in float64 over random cases                (`rlnorm.study.exact`)
    Cost     a ratio of times, measured interleaved in one process        (`rlnorm.study.cost`)

Adding a claim is adding one file `rlnorm/claims/<id with underscores>.py` that ends in `CLAIM = Claim(...)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from rlnorm.study.judge import Question

Kind = Literal["exact", "cost", "effect"]
Preset = Literal["smoke", "quick", "full"]
PRESETS: tuple[Preset, ...] = ("smoke", "quick", "full")
DQNEngine = Literal["dqn", "sb3"]  # both take DQN's settings and give its records
Settings = Mapping[str, object]
FIRST_JUDGED = 8  # seeds 0-7 choose rates; arms are judged on fresh ones from here on


class Part(Protocol):
    """One separately judged part of a claim; `presets` are those at which it is run."""

    @property
    def kind(self) -> Kind: ...
    @property
    def presets(self) -> tuple[Preset, ...]: ...


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


def DQN(*, steps: Mapping[Preset, int], **settings: object) -> Experiment:
    """An experiment on the DQN engine; `settings` are keyword arguments of `rlnorm.dqn.train`, and `lr`."""
    return Experiment("dqn", steps, settings)


def Supervised(*, steps: Mapping[Preset, int], **settings: object) -> Experiment:
    """An experiment on the supervised engine; `settings` are those of `rlnorm.supervised.train`, and `lr`."""
    return Experiment("supervised", steps, settings)


def Arm(**settings: object) -> Settings:
    """What one arm changes in the experiment's settings; nothing else differs between arms."""
    return settings


@dataclass(frozen=True)
class Effect:
    """Arms x seeds, one score per run (`metric`), one question with its margin.

    With `rates`, each arm runs at every one of them on the selection seeds and is judged at its own best on fresh
    seeds (the planted arm at the reference's best: it is there to be worse); with `grid` too, nothing is chosen: eight
    fresh seeds are judged, a run's score its mean over all rates.
    Without `rates`, all arms run at the common rate.
    `judged_from` is the first judged seed: a later one where earlier ones were looked at while the part was designed.
    """

    experiment: Experiment
    arms: Mapping[str, Settings]
    metric: str
    question: Question
    rates: tuple[float, ...] = ()
    grid: bool = False
    judged_from: int = FIRST_JUDGED
    presets: tuple[Preset, ...] = PRESETS
    kind: Kind = "effect"

    @property
    def on_dqn(self) -> bool:
        """Whether its arms are DQN agents."""
        return self.experiment.engine != "supervised"

    def through(self, engine: DQNEngine) -> "Effect":
        """The same question of the same arms, run by another engine (but for arms that name their own)."""
        return replace(self, experiment=replace(self.experiment, engine=engine))


@dataclass(frozen=True)
class Claim:
    """A statement, where it comes from, and the parts that decide it.

    statement  what was tested, in plain words (where the notes are vague: how it was made precise)
    source     the paper or note it is taken from
    notes      the study notes that make it, `N0` ... `N4`
    parts      name -> part; "group, rest" names are chosen together by `--part group`, and get a verdict together
    overall    "all": supported if every part is, refuted if any is. "any": the other way round.
    decisive   the parts that the overall verdict is made of (none named: all); the others are judged and shown
    literature what published work found, shown beside our verdict and never given to the judge
    filed_as   the kind of a claim that is not what its first part is
    """

    statement: str
    source: str
    notes: tuple[str, ...]
    parts: Mapping[str, Part]
    overall: Literal["all", "any"] = "all"
    literature: str = ""
    decisive: tuple[str, ...] = ()
    filed_as: Kind | None = None

    @property
    def kind(self) -> Kind:
        """What the claim is in the main: what it is `filed_as`, else the kind of its first part."""
        return self.filed_as or next(iter(self.parts.values())).kind

    def parts_of(self, kind: Kind) -> list[str]:
        """The parts of one kind; exact ones count as what the claim is `filed_as`."""
        return [name for name, part in self.parts.items() if self._counted_as(part) == kind]

    def _counted_as(self, part: Part) -> Kind:
        return self.filed_as or part.kind if part.kind == "exact" else part.kind
