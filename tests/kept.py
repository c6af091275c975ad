"""Kept results of a claim: the scores and the page, and what the judge says of these scores today."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from rlnorm.study.claim import Claim, Effect
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.judge import Sample, Verdict, judge
from rlnorm.study.report.csv import samples

# A page shows three decimals, of larger figures three digits, and the oldest scores were kept with four decimals.
LAST_DIGIT, LAST_OF_THREE = 0.5e-3 + 1e-4, 0.6e-2


def numbers(text: str) -> list[float]:
    """The numbers in a cell."""
    return [float(each) for each in re.findall(r"[-+]?\d[\d.e+-]*", text)]


@dataclass(frozen=True)
class Kept:
    """`<name>.csv` and `<name>.md` in a folder, and the claim that they are results of."""

    folder: Path
    name: str
    claim: Claim

    @property
    def page(self) -> str:
        """The page's text."""
        return (self.folder / f"{self.name}.md").read_text("utf-8")

    def scored(self) -> dict[str, dict[str, Sample]]:
        """part -> arm -> its runs."""
        return samples(self.folder / f"{self.name}.csv")

    def rejudged(self) -> dict[str, Verdict]:
        """part -> the verdict that the judge makes of the kept scores."""
        found, samples = dict[str, Verdict](), self.scored()
        for title, part in self.claim.parts.items():
            if isinstance(part, Effect):
                steps = part.experiment.steps["full"]
                metric = metric_of(part, part.metric, steps)
                second = metric_of(part, part.second_metric, steps) if part.second_metric else None
                judgement = judge(part.question, samples[title], metric, second_metric=second)
                found[title] = Verdict(self.name, title, judgement, part.question.margin)
        return found

    def shown(self) -> dict[str, list[str]]:
        """part -> the cells of its row in the table of verdicts on the page, from the verdict on."""
        table = self.page.partition("| part | verdict |")[2].partition("\n\n")[0]
        rows = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:])
        return {part.removesuffix(" (beside)"): cells for part, *cells in rows}

    def differing(self) -> list[str]:
        """The parts of the page that the scores contradict."""
        page, found = self.shown(), list[str]()
        for part, verdict in self.rejudged().items():
            judged, (outcome, estimate, interval, margin, seeds, *_) = verdict.judgement, page[part]
            same = (judged.outcome, str(judged.n)) == (outcome, seeds)
            told = [*numbers(margin), *numbers(estimate), *numbers(interval)]
            figures = [verdict.margin, judged.estimate, judged.low, judged.high]
            if not same or figures != pytest.approx(told, abs=LAST_DIGIT, rel=LAST_OF_THREE):
                found.append(part)
        return found
