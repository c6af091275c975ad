"""The benchmarks of the engine refuse wrong options before they start; their rows are medians. No time is asserted."""

import ast
import json
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import bench_dqn
import bench_minatar
import bench_rejax
import numpy as np
import pytest

from rlnorm.dqn import Settings
from rlnorm.errors import ConfigError
from rlnorm.study.plan.sources import imported_names


def test_a_row_is_medians_and_their_ratio():
    assert bench_dqn.beside("x", [30.0, 10.0, 20.4], [4.0, 8.2, 100.0]) == {
        "case": "x",
        "ours": 20,
        "peer": 8,
        "ratio": 2.49,
        "rounds": {"ours": [30, 10, 20], "peer": [4, 8, 100]},
    }


def test_speeds_are_those_of_all_agents(monkeypatch: pytest.MonkeyPatch):
    seconds = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr("rlnorm.dqn.train", lambda **_: ({"step": 10 * i} for i in range(11)))
    assert bench_dqn.engine_speed({"seeds": (0, 1, 2)}) == 30


@pytest.mark.parametrize("envs", [1, 10])
@pytest.mark.parametrize("norm", bench_dqn.NORMS)
def test_the_engine_accepts_the_settings(norm: str, envs: int):
    for env in (bench_dqn.CARTPOLE, bench_dqn.ACROBOT, bench_dqn.LUNARLANDER):
        assert list(Settings.errors_in(bench_dqn.training(norm, envs, 10_000, env=env))) == []


def test_wrong_options_are_reported_once_and_all_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        bench_dqn.main(steps=500, rounds=0, json=tmp_path)
    steps, rounds, json = refused.value.sentences
    assert steps == "learning would start after 1000 steps, beyond the budget of 500."
    assert rounds == "--rounds must be at least 1, got 0."
    assert json.startswith("cannot write the rows to --json")


@pytest.mark.parametrize("installed", [False, True])
def test_another_environment_is_stepped_by_all_who_can(installed: bool, monkeypatch: pytest.MonkeyPatch):
    """Each side once a round: stable-baselines3, then ours with every norm, by gymnasium and by EnvPool."""
    calls = list[tuple[object, ...]]()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(bench_dqn, "together", lambda function, *given: calls.append(given) or float(len(calls)))
    found = bench_dqn.throughput(10, 2_000, 1, "Acrobot-v1")
    who = ("gymnasium", "envpool") if installed else ("gymnasium",)
    expected = [("Acrobot-v1", library, norm, 10, 2_000) for library in who for norm in bench_dqn.NORMS]
    assert calls == [("Acrobot-v1", 10, 1_000), *expected]
    assert found[-1]["case"] == f"steps/s, Acrobot-v1 by {who[-1]}, 10 envs per agent, batch"
    assert found[-1]["ratio"] == len(calls)


def test_an_unknown_norm_is_refused_before_images_are_played():
    with pytest.raises(ConfigError, match="unknown norm 'lyer'"):
        bench_minatar.main(norms=("lyer",))


def test_rows_are_written_after_each_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def memory() -> dict[str, object]:
        assert '"ratio": 2.5' in file.read_text()
        return {"case": "memory", "ours": 1}

    file = tmp_path / "rows.json"
    row = bench_dqn.beside("x", [5.0], [2.0])
    monkeypatch.setattr(bench_dqn, "throughput", lambda envs, steps, rounds: [{**row, "case": f"{envs} {steps}"}])
    monkeypatch.setattr(bench_dqn, "memory", memory)
    bench_dqn.main(parts=("memory", "ten", "one"), steps=2_000, json=file)
    rows = json.loads(file.read_text())
    assert [each["case"] for each in rows] == ["1 2000", "10 4000", "memory"]
    assert rows[-1] == {"peer": None, "ratio": None, "case": "memory", "ours": 1}


def test_a_python_with_rejax_alone_can_import_the_benchmark():
    text = Path(bench_rejax.__file__).read_text("utf-8")
    top = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.split(".")[0] for node in top for name in imported_names(node)}
    assert names <= sys.stdlib_module_names


def test_peers_answer_with_their_versions_and_the_sum_of_their_speeds(tmp_path: Path):
    """A stand-in for rejax's Python: it reads seeds and answers with them."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho jax 1\nwhile read seed; do echo $seed.5; done\n")
    python.chmod(0o755)
    with bench_rejax.peers(python, "layer", 10) as (versions, together):
        assert versions == "jax 1"
        assert together(3) == 3.5 + 4.5


def test_the_peak_of_a_process_does_not_start_at_that_of_its_parent():
    held = np.ones(2**28, np.uint8)
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(bench_dqn.status, ("VmHWM",)) < bench_dqn.status("VmHWM") - held.nbytes // 2**11
