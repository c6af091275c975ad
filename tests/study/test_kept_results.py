"""The kept pages say what the judge says of the kept scores: verdicts, estimates and intervals, to the digit."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from rlnorm.study.claim import Effect
from rlnorm.study.claim.load import shipped
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.judge import Sample, Verdict, judge, overall
from rlnorm.study.report import wording

FOLDER = Path(__file__).parents[2] / "docs/results"
KEPT = sorted(path.stem for path in FOLDER.glob("*.csv"))
CLAIMS = shipped()


def scored(name: str) -> dict[str, dict[str, Sample]]:
    """part -> arm -> its runs: score, whether it diverged, seed, and score by the second metric where there is one."""
    found: dict[str, dict[str, list[tuple[float, bool, int, float]]]] = {}
    with (FOLDER / f"{name}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            runs = found.setdefault(row["part"], {}).setdefault(row["arm"], [])
            second = float(row.get("second_score") or "nan")
            runs.append((float(row["score"]), row["diverged"] == "1", int(row["seed"]), second))
    return {
        part: {arm: Sample(*map(np.array, zip(*runs, strict=True))) for arm, runs in arms.items()}
        for part, arms in found.items()
    }


def rejudged(name: str) -> dict[str, Verdict]:
    """part -> the verdict that the judge makes of the kept scores."""
    found, samples = dict[str, Verdict](), scored(name)
    for title, part in CLAIMS[name].claim.parts.items():
        if isinstance(part, Effect):
            steps = part.experiment.steps["full"]
            metric = metric_of(part, part.metric, steps)
            second = metric_of(part, part.second_metric, steps) if part.second_metric else None
            judgement = judge(part.question, samples[title], metric, second_metric=second)
            found[title] = Verdict(name, title, judgement, part.question.margin)
    return found


def shown(name: str) -> dict[str, list[str]]:
    """part -> the cells of its row in the table of verdicts on a kept page, from the verdict on."""
    text = (FOLDER / f"{name}.md").read_text("utf-8")
    table = text.partition("| part | verdict |")[2].partition("\n\n")[0]
    rows = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:])
    return {part.removesuffix(" (beside)"): cells for part, *cells in rows}


def numbers(text: str) -> list[float]:
    """The numbers in a cell."""
    return [float(each) for each in re.findall(r"[-+]?\d[\d.e+-]*", text)]


# A page shows three decimals, and these scores were kept with four.
LAST_DIGIT = 0.5e-3 + 1e-4


def differing(name: str) -> list[str]:
    """The parts of a kept page that its scores contradict."""
    page, found = shown(name), list[str]()
    for part, verdict in rejudged(name).items():
        judged, (outcome, estimate, interval, margin, seeds, *_) = verdict.judgement, page[part]
        same = (judged.outcome, f"{verdict.margin:g}", str(judged.n)) == (outcome, margin, seeds)
        figures = [judged.estimate, judged.low, judged.high]
        if not same or figures != pytest.approx([*numbers(estimate), *numbers(interval)], abs=LAST_DIGIT):
            found.append(part)
    return found


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_page_says_what_its_scores_say(name: str):
    assert len(rejudged(name)) >= 6
    assert differing(name) == []


@pytest.mark.parametrize("name", KEPT)
def test_its_overall_verdict_follows_from_those_of_its_parts(name: str):
    claim, parts = CLAIMS[name].claim, rejudged(name)
    judgements, fair = [parts[part].judgement for part in claim.decisive], claim.fair(claim.decisive)
    verdict = wording.sentence(overall(judgements, claim.overall, fair))
    assert f"**{verdict}.**" in (FOLDER / f"{name}.md").read_text("utf-8")


def test_a_changed_score_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for suffix in (".md", ".csv"):
        text = (FOLDER / f"dqn-ln{suffix}").read_text("utf-8")
        (tmp_path / f"dqn-ln{suffix}").write_text(text.replace("24,0.001,return_auc,0.", "24,0.001,return_auc,0.1", 1))
    monkeypatch.setattr("test_kept_results.FOLDER", tmp_path)
    assert differing("dqn-ln") == ["CartPole-v1, common rate"]
