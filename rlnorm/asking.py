"""From the words of `rlnorm run` to requests, and what is wrong with them: every error, before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from rlnorm.api import count_errors
from rlnorm.errors import ConfigError, unknown
from rlnorm.study.claim import FEWEST, PRESETS, Kind, Preset
from rlnorm.study.claim.load import ClaimFile, named
from rlnorm.study.plan import Request
from rlnorm.study.study import errors, out_errors

KINDS: tuple[Kind, ...] = get_args(Kind)


def folder(claims: Sequence[str]) -> Path:
    """Where results go that nobody gave a folder for: a claim of one's own does not enter the main study's."""
    return Path("runs/mine" if any(claim.endswith(".py") for claim in claims) else "runs/study")


@dataclass(frozen=True)
class Asked:
    """The words of `rlnorm run` as they were typed.

    through    other fields of `Request`: what runs DQN arms, and the seeds to leave out
    available  the claims that come with the package
    every      whether all of these are meant; no claim is named then
    """

    claims: Sequence[str]
    parts: Sequence[str]
    kind: str | None
    preset: str
    seeds: int | None
    through: Mapping[str, Any]
    available: Mapping[str, ClaimFile]
    every: bool = False

    def requests(self, claims: Sequence[str] | None = None, kind: str | None = None) -> list[Request]:
        """What is asked of all claims that were named, or of `claims`; of the parts of a kind where one is given."""
        files = named((self.claims if claims is None else claims) or list(self.available), self.available)
        preset = cast(Preset, self.preset)
        asked = [Request(each, preset, tuple(self.parts), self.seeds, **self.through) for each in files]
        return asked if kind is None else [one for each in asked if (one := each.of_kind(cast(Kind, kind)))]

    def errors(self, out: Path, counts: Mapping[str, int | None]) -> Iterator[str]:
        """One sentence for everything that is wrong; `counts` are the numbers that must be positive, by option."""
        good = list(self.claims)
        for claim in self.claims:
            try:
                named([claim], self.available)
            except ConfigError as error:
                good.remove(claim)
                yield from error.sentences
        if self.claims and self.every:
            yield f"--all means every claim, and {self.claims[0]!r} was named beside it; give one of both."
        if not self.claims and self.kind is None and not self.every:
            yield "no claim was named: give at least one id (see `rlnorm list`), --kind for all of a kind, or --all."
        if self.kind is not None and self.kind not in KINDS:
            yield unknown("kind", self.kind, KINDS)
        if self.preset not in PRESETS:
            yield unknown("preset", self.preset, PRESETS)
        yield from count_errors(counts)
        if self.seeds is not None and 0 < self.seeds < FEWEST:
            yield (
                f"--seeds must be at least {FEWEST}, got {self.seeds}: fewer runs of an arm are not judged, and no "
                "control could be told apart."
            )
        known = self.preset in PRESETS and self.kind in (None, *KINDS)
        if not known or not (good or ((self.kind or self.every) and not self.claims)):
            yield from out_errors(out)
            return
        wrong = list(errors(self.requests(good, None if self.claims else self.kind), out))
        if not wrong and not self.requests(good, self.kind):
            which = "of the claims named" if self.claims else "of the claims"
            yield f"none {which} has parts of kind {self.kind!r} here; `rlnorm show CLAIM` shows a claim's parts."
        yield from wrong
