"""What was asked: one claim, at which preset, which of its parts, on how many seeds, through which engine."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from rlnorm.errors import unknown
from rlnorm.study.claim import PRESETS, Claim, DQNEngine, Effect, Kind, Part, Preset, comparison
from rlnorm.study.claim.engines import DQN_ENGINES
from rlnorm.study.claim.load import ClaimFile, id_errors
from rlnorm.study.claim.validate import claim_errors, metric_errors, training_errors
from rlnorm.tasks.environments import BACKENDS
from rlnorm.tasks.pooled import SAME

SEEDS: Mapping[Preset, int] = {"smoke": 8, "quick": 16, "full": 16}


def seeds_at(part: Effect, preset: Preset) -> int:
    """How many seeds an arm of a part is judged on at a preset, where no other number is asked for.

    A preview takes no more than the preset's, whatever the part needs at full.
    """
    own, usual = part.seeds or SEEDS[preset], SEEDS[preset]
    return own if preset != "smoke" and part.complete_at(preset) else min(own, usual)


@dataclass(frozen=True)
class Request:
    """One claim as it was asked for.

    parts    only these parts or groups; empty: all of the preset
    seeds    judged seeds per arm; None: the preset's number
    engine   only DQN arms, run through this engine instead of their own
    environments  only DQN arms, whose environments this library steps instead of their own, where it has them
    after    judged seeds to leave out, for they were looked at and left the claim undecided: only fresh ones are judged
    arguments  of a comparison without a file (`compared`), from which it is asked again
    """

    file: ClaimFile
    preset: Preset
    parts: tuple[str, ...] = ()
    seeds: int | None = None
    engine: DQNEngine | None = None
    arguments: Mapping[str, Any] | None = None
    environments: str | None = None
    after: int = 0

    @property
    def id(self) -> str:
        return self.file.id

    @property
    def claim(self) -> Claim:
        return self.file.claim

    def available(self) -> dict[str, Part]:
        """The claim's parts; with `engine` or `environments` only those that train DQN agents."""
        parts = {name: _after(self.after, part) for name, part in self.claim.parts.items()}
        if self.engine is None and self.environments is None:
            return parts
        dqn = {name: part for name, part in parts.items() if isinstance(part, Effect) and part.on_dqn}
        if self.engine is not None:
            dqn = {name: part.through(self.engine) for name, part in dqn.items()}
        if self.environments is not None:
            dqn = _stepped_by(self.environments, dqn)
        return dict(dqn)

    def chosen(self) -> dict[str, Part]:
        """The parts that are run: those of the preset that were named, by themselves or by their group."""
        return {
            name: part
            for name, part in self.available().items()
            if self.preset in part.presets and (not self.parts or self._named(name) & set(self.parts))
        }

    def of_kind(self, kind: Kind) -> "Request | None":
        """The same request of the parts of one kind alone.

        None where no decisive part is of that kind: parts that stand beside answer no claim.
        """
        chosen = self.chosen()
        names = [name for name, part in chosen.items() if part.kind == kind]
        if not any(chosen[name].decisive for name in names):
            return None
        return self if len(names) == len(chosen) else replace(self, parts=tuple(names))

    def decisive(self) -> list[str]:
        """The parts that the overall verdict needs at this preset, whether asked for or not."""
        return [name for name, part in self.available().items() if part.decisive and self.preset in part.presets]

    def groups(self) -> dict[str, list[str]]:
        """Group -> the parts that decide it: its decisive parts, or all its parts where none is.

        Only groups of which a part was asked for are listed.
        """
        members, deciding = dict[str, list[str]](), set(self.decisive())
        for name, part in self.available().items():
            if self.preset in part.presets:
                members.setdefault(self.claim.group(name), []).append(name)
        asked = {self.claim.group(name) for name in self.chosen()}
        return {
            group: [name for name in names if name in deciding] or names
            for group, names in members.items()
            if group in asked
        }

    @property
    def command(self) -> str:
        """What to type to ask it again."""
        if self.arguments is None:
            options = [word for part in self.parts for word in ("--part", part)]
            options += [] if self.seeds is None else ["--seeds", str(self.seeds)]
            options += [] if self.engine is None else ["--engine", self.engine]
            options += ["--after", str(self.after)] if self.after else []
            options += [] if self.environments is None else ["--environments", self.environments]
            return typed(["rlnorm", "run", self.file.name, "--preset", self.preset, *options])
        given = {**self.arguments, "norms": ",".join(self.arguments["norms"])}
        more = [word for name, value in given.pop("options", {}).items() for word in ("--option", f"{name}={value}")]
        options = [word for key, value in given.items() if value is not None for word in (f"--{key}", str(value))]
        return typed(["rlnorm", "train", *options, *more])

    def judged_seeds(self, part: Effect) -> int:
        """How many seeds an arm of a part is judged on."""
        return self.seeds or seeds_at(part, self.preset)

    def reaches(self, part: Effect) -> Preset:
        """The preset whose runs and seeds a part comes to: "full" where a shorter one is as long, and so no preview."""
        enough = self.judged_seeds(part) >= seeds_at(part, "full")
        return "full" if part.complete_at(self.preset) and enough else self.preset

    @property
    def overall_preset(self) -> Preset:
        """The same of the claim: "full" where every trained part that decides it is there and comes to it."""
        trained = {name: part for name in self.claim.decisive if isinstance(part := self.claim.parts[name], Effect)}
        here = self.available()
        full = [name for name, part in trained.items() if name in here and "full" in part.presets]
        there = all(self.preset in trained[name].presets and self.reaches(trained[name]) == "full" for name in full)
        return "full" if full and there else self.preset

    def libraries(self) -> set[str]:
        """The libraries that step the environments of its arms, beside gymnasium."""
        effects = [part for part in self.chosen().values() if isinstance(part, Effect)]
        named = (part.experiment.settings.get("environments", "gymnasium") for part in effects)
        return {library for name in named for library in BACKENDS[str(name)]}

    def errors(self) -> Iterator[str]:
        """One sentence for everything that is wrong with what was asked, the claim's declaration included."""
        if self.preset not in PRESETS:
            yield unknown("preset", self.preset, PRESETS)
            return
        if self.engine not in (None, *DQN_ENGINES):
            yield unknown("engine", self.engine, DQN_ENGINES)
            return
        if self.after < 0:
            yield f"--after must be at least 0, got {self.after}."
            return
        yield from id_errors(self.id)
        wrong = [f"{self.id}: {sentence}" for sentence in claim_errors(self.claim)]
        yield from wrong
        if wrong:
            return
        if not self.available():
            run = f"engine {self.engine!r} could run" if self.engine else f"{self.environments!r} could step"
            yield f"{self.id} has no part that trains DQN agents, so none that {run}."
            return
        yield from self._part_errors()
        if not self.parts and not self.chosen():
            yield f"{self.id} has no part that is run at preset {self.preset!r}."
        effects = [part for part in self.chosen().values() if isinstance(part, Effect)]
        # Through another engine than its own, a part may lack what its metric is made of.
        found = (chain(metric_errors(part), training_errors(part, [self.preset])) for part in effects)
        yield from (f"{self.id}: {sentence}" for sentence in dict.fromkeys(chain.from_iterable(found)))

    def _part_errors(self) -> Iterator[str]:
        names = dict.fromkeys(name for full in self.available() for name in (full, self.claim.group(full)))
        for asked in self.parts:
            parts = [part for name, part in self.available().items() if asked in self._named(name)]
            if not parts:
                yield unknown(f"part of {self.id}", asked, names)
            elif not any(self.preset in part.presets for part in parts):
                others = ", ".join(preset for preset in PRESETS if any(preset in part.presets for part in parts))
                yield f"part {asked!r} of {self.id} is not run at preset {self.preset!r}; it is at: {others}."

    def _named(self, name: str) -> set[str]:
        """The names that choose a part: its own and its group's."""
        return {name, self.claim.group(name)}


def typed(words: Sequence[str]) -> str:
    """A command as it is typed; names of files that the locale cannot read are taken for UTF-8."""
    return shlex.join(words).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _after(count: int, part: Part) -> Part:
    """The same question, judged on seeds after the first `count`."""
    return replace(part, judged_from=part.judged_from + count) if count and isinstance(part, Effect) else part


def _stepped_by(environments: str, parts: Mapping[str, Effect]) -> dict[str, Effect]:
    """The same questions of the same arms, whose environments another library steps.

    Those that EnvPool does not have stay with their own where it has others of the same claim.
    """
    here = {name for name, part in parts.items() if part.experiment.settings["env"] in SAME}
    changed = here if environments == "envpool" and here else set(parts)
    return {name: part.given(environments=environments) if name in changed else part for name, part in parts.items()}


def compared(
    env: str,
    norms: Sequence[str | None],
    seeds: int,
    steps: int,
    lr: float | None = None,
    environments: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Request:
    """A request for a comparison without a claim's file. Raises ConfigError with every error of the comparison.

    Its budget says which preset it comes to: less than a full one gives a preview.
    """
    rate = None if lr is None else float(lr)
    asked = {"env": env, "norms": comparison.absolute(norms), "seeds": int(seeds), "steps": int(steps), "lr": rate}
    asked |= {"options": json.loads(json.dumps(dict(options)))} if options else {}  # as it is read back
    file, preset = comparison.compare(**asked), comparison.size(env, int(steps))
    asked |= {} if environments is None else {"environments": environments}
    return Request(file, preset, seeds=int(seeds), arguments=asked, environments=environments)
