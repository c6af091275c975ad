"""The benchmark of layers runs, on its smallest cases, and its rows are what they say. No time is asserted."""

import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_layers.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_layers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def quick(bench, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 1e-6)
    return bench


@pytest.mark.parametrize(
    ("name", "shape"), [("BatchNorm1d", (8, 4)), ("LayerNorm", (8, 4)), ("GroupNorm", (2, 3, 4, 4))]
)
def test_layer_cases(quick, name, shape):
    pair = {**quick.FLAT, **quick.MAPS}[name]
    cases = list(quick.layer_cases(name, pair, shape))
    expected = quick.PASSES if name == "BatchNorm1d" else quick.PASSES[:-1]
    assert tuple(case.name.split(maxsplit=2)[2] for case in cases) == expected
    assert all(len(case.measure()) == quick.FEWEST for case in cases)


def test_network_case_is_printed(quick, capsys):
    (row,) = quick.show([quick.network_case("LayerNorm", quick.FLAT["LayerNorm"], (8, 4), "eager")])
    assert row.case == "network LayerNorm 8x4 eager"
    assert row.case in capsys.readouterr().out


def test_a_row_is_medians_and_the_interval_of_the_median_ratio(bench):
    row = bench.row("x", [(float(i), 2.0) for i in range(1, 10)])
    assert (row.ours, row.peer, row.ratio) == (5.0, 2.0, 2.5)
    # Of nine values, the median lies between the second and the eighth with probability 0.961.
    assert (row.low, row.high) == (1.0, 4.0)


def test_no_ratio_to_nothing_and_the_rows_are_json(bench):
    row = bench.row("x", [(1.0, 0.0), (1.0, 1.0)])
    assert (row.ratio, bench.spread(row)) == (None, "-")
    json.dumps(asdict(row), allow_nan=False)


def test_the_page_has_a_line_for_every_layer_and_size(bench):
    rows = [bench.Row(case.name, threads, 1.0, 2.0, 0.5, 0.4, 0.6) for case in bench.cases() for threads in (1, 2)]
    page = bench.page(rows, "the command")
    assert "the command" in page
    assert "Not measured" not in page
    assert "\n\nA note.\n\n" in bench.page(rows, "the command", "A note.")
    assert "Not measured yet: LayerNorm, RMSNorm, BatchNorm2d" in bench.page(rows[:2], "the command")
    for pairs, shapes in ((bench.FLAT, bench.MLP), (bench.MAPS, bench.CONV)):
        assert all(f"| {name} | {bench.sized(shape)} | 0.50 / 0.50 |" in page for name in pairs for shape in shapes)
    assert page.count("0.50 (0.40-0.60) / 0.50 (0.40-0.60)") == len(bench.KINDS) * len(bench.FLAT) * len(bench.MLP)


def test_the_sizes_are_those_promised(bench):
    assert (bench.MLP[0], bench.MLP[-1]) == ((32, 64), (4096, 256))
    assert (bench.CONV[0], bench.CONV[-1]) == ((32, 16, 10, 10), (32, 64, 84, 84))
