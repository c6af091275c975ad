"""What the page shows of the same arms over several environments: a table, a chance, performance profiles."""

from collections.abc import Iterator
from dataclasses import dataclass

from rlnorm.stats import Interval
from rlnorm.study.judge.results import ClaimResult
from rlnorm.study.report import across, wording
from rlnorm.study.report.html.data import Data
from rlnorm.study.report.language import t


@dataclass(frozen=True)
class AcrossView:
    """The same arms over several environments. `arms`: (name, interquartile mean, its interval, runs)."""

    title: str
    anchor: str
    arms: tuple[tuple[str, str, str, int], ...]
    improvement: str


def views(result: ClaimResult, anchor: str, data: Data) -> Iterator[AcrossView]:
    """Every group of a claim's parts over several environments; its profiles are added to `data`."""
    for number, found in enumerate(across.across(result), 1):
        own = f"{anchor}.across-{number}"
        rates = t("own best rate") if found.own_rates else t("common rate")
        title = f"{', '.join(found.environments)}; {rates}"
        data.add_profiles(own, title, found)
        chance = f"{wording.number(found.improvement.estimate)} {_interval(found.improvement)}"
        names = {"a": found.treatment, "b": found.reference}
        said = t("Chance that a run of “{a}” beats one of “{b}”: {chance}.", **names, chance=chance)
        arms = (
            (name, wording.number(each.estimate), _interval(each), found.runs[name]) for name, each in found.iqm.items()
        )
        yield AcrossView(title, own, tuple(arms), said)


def _interval(found: Interval) -> str:
    return f"[{wording.number(found.low)}, {wording.number(found.high)}]"
