"""The page of exact claims in the terminal."""

from dataclasses import replace

import numpy as np
import tiny

from rlnorm.study.claim import Exact
from rlnorm.study.claim.exact import WHY_ROUNDING
from rlnorm.study.judge.exact import judge
from rlnorm.study.judge.verdict import Judgement, Verdict
from rlnorm.study.report.formulas import page
from rlnorm.study.run.exact import run

SUM = Exact(
    statement="m <x> = sum x",
    formula=lambda case: len(case["x"]) * case["x"].mean(),
    truth=lambda case: case["x"].sum(),
    draw=lambda rng: {"x": rng.normal(size=rng.integers(2, 9))},
    scale=lambda case: np.abs(case["x"]).sum(),
)
WRONG = replace(SUM, statement="(m-1) <x> = sum x", formula=lambda case: (len(case["x"]) - 1) * case["x"].mean())


def test_the_page_fits_80_columns_and_tells_all():
    parts = {"right": replace(SUM, decisive=False), "wrong": WRONG}
    claim = tiny.claim(parts, statement="word " * 40, notes=("N0",))
    rows = [Verdict("sum", "overall", Judgement("refuted", ""))]
    for name, part in (("right", SUM), ("wrong", WRONG)):
        found = judge(part, run(part, "sum", seed=0))
        rows.append(Verdict("sum", name, found, margin=part.tolerance))
    text = page({"sum": claim}, rows)
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).count(WHY_ROUNDING) == 1
    for words in (
        "sum: REFUTED",
        "* right: supported (beside)",
        "* wrong: refuted",
        WRONG.statement,
        "Smallest counterexample",
        "N0",
    ):
        assert words in text
