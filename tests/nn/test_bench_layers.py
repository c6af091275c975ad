"""The benchmark of layers runs, on its smallest cases, and its rows are what they say. No time is asserted."""

import importlib.util
import math
import sys
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


@pytest.mark.parametrize(
    ("name", "shape"), [("LayerNorm", (8, 4)), ("BatchNorm2d", (2, 3, 4, 4)), ("GroupNorm", (2, 3, 4, 4))]
)
def test_layer_rows(bench, name, shape):
    rows = list(bench.layer_rows(name, shape, repeats=1))
    assert [row.case.split()[2] for row in rows] == ["forward", "backward", "both", "eval"]
    assert all(math.isclose(row.ratio, row.ours / row.peer) for row in rows)


def test_network_row(bench, capsys):
    (row,) = bench.show(iter([bench.network_row("LayerNorm", 8, 4, repeats=1, compiled=False)]))
    assert row.case.startswith("network LayerNorm 8x4 eager")
    assert row.case in capsys.readouterr().out


def test_every_layer_has_its_shapes(bench):
    assert set(bench.FLAT) < set(bench.LAYERS)
    assert bench.MLP[0] == (32, 64)
    assert bench.MLP[-1] == (4096, 256)
    assert bench.CONV[0] == (32, 16, 10, 10)
    assert bench.CONV[-1] == (32, 64, 84, 84)
