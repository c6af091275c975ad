"""The documented coverage is what the script gives, and the documented choice is what the code does."""

import re

import calibrate_intervals as calibration
import numpy as np
import pytest
from scipy import stats as distributions

from rlnorm import stats
from rlnorm.errors import ConfigError

DOC = calibration.DOC.read_text(encoding="utf-8")
TOLERANCE = 2.0
"""Percentage points: three and more standard errors of a coverage of 85 % and more at 3 000 repetitions."""


def documented() -> dict[tuple[str, str, int, float], dict[str, float]]:
    """(of, scores, n, level) -> method -> coverage in %."""
    table = re.search(r"<!-- coverage: .*?-->\n(.*?)\n<!-- end of coverage -->", DOC, re.DOTALL)
    assert table is not None
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines())
    methods = [name.strip("`") for name in header[4:-1]]
    return {
        (of, scores, int(n), int(level) / 100): {
            method: float(entry.split()[0]) for method, entry in zip(methods, entries[:-1], strict=True)
        }
        for of, scores, n, level, *entries in rows
    }


def apart(found: dict, cell: tuple[str, str, int]) -> float:
    """The largest distance of simulated from documented coverage in a cell, in percentage points."""
    return max(
        abs(100 * coverage.held - documented()[*cell, level][method]) for (method, level), coverage in found.items()
    )


def test_the_doc_names_the_method_in_use_and_the_command():
    assert re.findall(r"\*\*Chosen: `(.*?)`\*\*", DOC) == [stats.METHOD]
    assert DOC.count(calibration.COMMAND) == 4


def test_the_table_is_complete():
    cells = {(*cell, n, level) for cell in calibration.CELLS for n in calibration.SIZES for level in calibration.LEVELS}
    assert set(documented()) == cells
    assert all(set(row) == set(calibration.METHODS) for row in documented().values())


@pytest.mark.parametrize("cell", [("difference", "two-peaked", 8), ("ratio", "times", 8)], ids=str)
def test_a_piece_of_the_table_comes_out_again(cell):
    found = calibration.cell(*cell, repetitions=3000, resamples=500)
    assert apart(found, cell) < TOLERANCE


def test_a_table_of_another_simulation_would_be_noticed():
    found = calibration.cell("difference", "two-peaked", 8, repetitions=1000, resamples=500)
    assert apart(found, ("difference", "rare failure", 8)) > TOLERANCE


def test_the_chosen_method_covers_best_in_every_cell():
    for row in documented().values():
        assert row[stats.METHOD] == max(row.values())


def test_a_method_that_is_too_narrow_is_seen_to_miss(monkeypatch):
    def half_as_wide(found, skew, level):
        low, high = found.interval(level)
        return (found.theta + low) / 2, (found.theta + high) / 2

    monkeypatch.setattr(calibration, "METHODS", {"half": half_as_wide})
    found = calibration.cell("mean", "normal", 16, repetitions=500, resamples=200)
    assert found["half", 0.95].held < 0.8


@pytest.mark.parametrize("family", calibration.FAMILIES.values(), ids=list(calibration.FAMILIES))
def test_the_families_have_the_means_they_state(family):
    rng = np.random.default_rng(0)
    for draw, mean in ((family.x, family.mean_x), (family.y, family.mean_y)):
        scores = draw(rng, (200_000, 1))
        assert abs(scores.mean() - mean) < 5 * scores.std() / np.sqrt(len(scores))


def test_bca_is_scipys():
    scores = np.random.default_rng(0).lognormal(0, 1, 20)
    found = stats.mean(scores[:, None], np.random.default_rng(1), 20_000)
    low, high = calibration.bca(found, calibration.skewness(scores[:, None], None, log=False), 0.95)
    theirs = distributions.bootstrap((scores,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2))
    interval = theirs.confidence_interval
    assert (low[0], high[0]) == pytest.approx((interval.low, interval.high), rel=0.02)


def test_the_tables_of_proportions_and_improvement_come_out_again():
    assert calibration.proportion_table() in DOC
    rows = calibration.improvement_table(20).splitlines()
    assert [row.split("|")[1:4] for row in rows] == [line.split("|")[1:4] for line in tail("improvement")]


def test_the_table_of_spreads_and_standardized_effects_comes_out_again():
    """At n = 16: within three standard errors of 200 repetitions here and 2 000 there."""
    rows = {tuple(cells[1:4]): cells[4:6] for line in tail("compared") if len(cells := line.split("|")) > 5}
    for (of, scores), (truth, draw) in calibration.COMPARED.items():
        rng, expected = np.random.default_rng(9), float(rows[f" {of} ", f" {scores} ", " 16 "][0])
        ends = [draw(rng, 16, 300).interval(0.95) for _ in range(200)]
        held = 100 * np.mean([low <= truth <= high for low, high in ends])
        assert held == pytest.approx(expected, abs=3 * (expected * (100 - expected) * (1 / 200 + 1 / 2000)) ** 0.5)
        assert np.mean([low <= truth + 2 <= high for low, high in ends]) < 0.8
    cells = {(f" {of} ", f" {scores} ", f" {n} ") for of, scores in calibration.COMPARED for n in calibration.SIZES}
    assert cells <= set(rows)


def tail(name: str) -> list[str]:
    table = re.search(rf"<!-- {name}: .*?-->\n(.*?)\n<!-- end of {name} -->", DOC, re.DOTALL)
    assert table is not None
    return table[1].splitlines()


def test_writing_replaces_one_table_and_refuses_a_doc_without_markers():
    text = "a\n<!-- proportions: words -->\nold\n<!-- end of proportions -->\nb"
    assert calibration.replace(text, "proportions", "new") == text.replace("old", "new")
    with pytest.raises(ConfigError, match="markers 'proportions', got 0"):
        calibration.replace("nothing", "proportions", "new")


def test_counts_that_are_too_small_are_refused():
    with pytest.raises(ConfigError) as refused:
        calibration.main(repetitions=49, resamples=0)
    assert refused.value.sentences == (
        "--repetitions must be at least 50, the size of a chunk, got 49.",
        "--resamples must be at least 1, got 0.",
    )
