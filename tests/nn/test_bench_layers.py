"""The benchmark of layers runs, on its smallest cases, and its rows are what they say. No time is asserted."""

import json
from dataclasses import asdict
from pathlib import Path

import bench_layers as bench
import pytest
import torch

from rlnorm.errors import ConfigError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SECONDS", 1e-6)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "shape"), [("BatchNorm1d", (8, 4)), ("LayerNorm", (8, 4)), ("GroupNorm", (2, 3, 4, 4))]
)
def test_layer_cases(name: str, shape: tuple[int, ...]):
    pair = {**bench.FLAT, **bench.MAPS}[name]
    cases = list(bench.layer_cases(name, pair, shape))
    expected = bench.PASSES if name == "BatchNorm1d" else bench.PASSES[:-1]
    assert tuple(case.name.split(maxsplit=2)[2] for case in cases) == expected
    assert all(len(case.measure()) == bench.FEWEST for case in cases)


@pytest.mark.usefixtures("quick")
def test_network_case_is_printed(capsys: pytest.CaptureFixture[str]):
    (row,) = bench.show([bench.network_case("LayerNorm", bench.FLAT["LayerNorm"], (8, 4), "eager")])
    assert row.case == "network LayerNorm 8x4 eager"
    assert row.case in capsys.readouterr().out


def test_a_row_is_medians_and_the_interval_of_the_median_ratio():
    row = bench.row("x", [(float(i), 2.0) for i in range(1, 10)])
    assert (row.ours, row.peer, row.ratio) == (5.0, 2.0, 2.5)
    # Of nine values, the median lies between the second and the eighth with probability 0.961.
    assert (row.low, row.high) == (1.0, 4.0)


def test_no_ratio_to_nothing_and_the_rows_are_json():
    row = bench.row("x", [(1.0, 0.0), (1.0, 1.0)])
    assert (row.ratio, bench.spread(row)) == (None, "-")
    json.dumps(asdict(row), allow_nan=False)


def test_the_page_has_a_line_for_every_layer_and_size():
    rows = [bench.Row(case.name, threads, 1.0, 2.0, 0.5, 0.4, 0.6) for case in bench.cases() for threads in (1, 2)]
    page = bench.page(rows, "the command")
    assert "the command" in page
    assert "Not measured" not in page
    assert "\n\nA note.\n\n" in bench.page(rows, "the command", "A note.")
    assert "Not measured yet: LayerNorm, RMSNorm, BatchNorm2d" in bench.page(rows[:2], "the command")
    for pairs, shapes in ((bench.FLAT, bench.MLP), (bench.MAPS, bench.CONV)):
        assert all(f"| {name} | {bench.sized(shape)} | 0.50 / 0.50 |" in page for name in pairs for shape in shapes)
    assert page.count("0.50 (0.40-0.60) / 0.50 (0.40-0.60)") == len(bench.KINDS) * len(bench.FLAT) * len(bench.MLP)


def test_the_sizes_are_those_promised():
    assert (bench.MLP[0], bench.MLP[-1]) == ((32, 64), (4096, 256))
    assert (bench.CONV[0], bench.CONV[-1]) == ((32, 16, 10, 10), (32, 64, 84, 84))


def test_rows_are_kept_and_a_case_replaces_its_earlier_row(tmp_path: Path):
    pieces = bench.Pieces(rows=tmp_path / "rows.json")
    rows = pieces.earlier()
    assert rows == {}
    pieces.add(bench.Row("a", 1, 1.0, 2.0, 0.5, 0.4, 0.6), rows)
    pieces.add(bench.Row("a", 2, 1.0, 0.0, None, None, None), rows)
    later = pieces.earlier()
    pieces.add(bench.Row("a", 1, 3.0, 2.0, 1.5, 1.4, 1.6), later)
    assert [(row.threads, row.ours) for row in pieces.earlier().values()] == [(1, 3.0), (2, 1.0)]


def test_bad_options_are_reported_all_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        bench.main(bench.Pieces("(", tmp_path / "no" / "rows.json", tmp_path), threads=(1, 0))
    only, rows, table, threads = refused.value.sentences
    assert only.startswith("--only '(' is no regular expression: missing ), unterminated subpattern")
    assert "cannot write the rows to --rows" in rows
    assert "cannot write the page to --table" in table
    assert threads == "--threads must be at least 1, got 0."


def test_the_page_is_written_of_kept_rows_alone(tmp_path: Path):
    pieces = bench.Pieces("^$", tmp_path / "rows.json", tmp_path / "page.md")
    pieces.add(bench.Row("LayerNorm 32x64 forward", 1, 1.0, 2.0, 0.5, 0.4, 0.6), {})
    bench.main(pieces, threads=(torch.get_num_threads(),))
    assert "| LayerNorm | 32x64 | 0.50 |" in (tmp_path / "page.md").read_text()
