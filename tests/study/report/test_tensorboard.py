"""Event files as TensorBoard itself reads them, from disk and through its server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import EVIL, all_diverged_claim, arm, dqn_claim, exact_claim, relu_claim, study, unfinished_claim
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from rlnorm.errors import ConfigError
from rlnorm.study.judge import StudyResult
from rlnorm.study.report import confidence_bands, tensorboard

STUDY = study(dqn_claim(), relu_claim(), exact_claim())
RUN = "dqn-ln/tensorboard/CartPole-v1-common-rate/layer"


def read(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def values(run: Path, tag: str) -> tuple[np.ndarray, np.ndarray]:
    found = read(run).Scalars(tag)
    return np.array([each.step for each in found]), np.array([each.value for each in found])


def runs(directory: Path) -> set[str]:
    return {str(path.parent.relative_to(directory)) for path in directory.rglob("*tfevents*")}


def session(run: Path, tag: str) -> Any:
    found = read(run).summary_metadata[tag]
    data: Any = plugin_data_pb2
    return data.HParamsPluginData.FromString(found.plugin_data.content)


def test_there_is_one_run_per_arm_one_per_claim_and_one_for_all(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path)
    assert runs(tmp_path) == {
        "tensorboard",
        "dqn-ln/tensorboard",
        "bn-relu/tensorboard",
        "bn-grad-input-short/tensorboard",
        *(
            f"dqn-ln/tensorboard/CartPole-v1-{rate}-rate/{name}"
            for rate in ("common", "own-best")
            for name in ("none", "layer")
        ),
        *(f"bn-relu/tensorboard/digits-depth-2/{name}" for name in ("none", "batch", "tiny")),
    }


@pytest.mark.parametrize("key", ["return", "loss", "q", "epsilon", "norm/norm1/mean_gap"])
def test_mean_and_band_are_read_back_in_full(tmp_path: Path, key: str):
    tensorboard.write(STUDY, tmp_path)
    arm = STUDY.claims[0].parts[0].arms["layer"]
    curve = {**arm.curves, **arm.probes}[key]
    drawn = confidence_bands.curve(curve.values)
    whole = np.isfinite(drawn.mean)
    for name, expected in zip(("mean", "low", "high"), drawn):
        steps, found = values(tmp_path / RUN, f"{key}/{name}")
        assert steps.tolist() == curve.steps.tolist()
        np.testing.assert_allclose(found[whole], expected[whole], rtol=1e-6)
        np.testing.assert_allclose(found[~whole], drawn.rest[~whole], rtol=1e-6)


def test_what_is_missing_is_left_out(tmp_path: Path):
    tensorboard.write(study(all_diverged_claim()), tmp_path)
    assert set(read(tmp_path / RUN).Tags()["scalars"]) == {"score", "diverged fraction"}
    assert values(tmp_path / RUN, "diverged fraction")[1].tolist() == [1.0]


def test_single_runs_are_written_when_asked_for(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path, per_seed=True)
    curve = STUDY.claims[0].parts[0].arms["none"].curves["return"]
    steps, found = values(tmp_path / RUN.replace("layer", "none") / "seed-9", "return/seed")
    assert steps.tolist() == curve.steps.tolist()
    np.testing.assert_allclose(found, curve.values[1], rtol=1e-6)
    assert sum("seed-" in run for run in runs(tmp_path)) == 4 * 16 + 3 * 16


def test_writing_again_replaces_what_was_there_and_nothing_else(tmp_path: Path):
    other = tmp_path / "other" / "tensorboard" / "events.out.tfevents.1.x"
    other.parent.mkdir(parents=True)
    other.touch()
    (tmp_path / "dqn-ln").mkdir()
    (tmp_path / "dqn-ln" / "verdict.json").touch()
    # A user's own, as stable-baselines3 names it, where ours are.
    own = tmp_path / "dqn-ln" / "tensorboard" / "DQN_1" / "events.out.tfevents.1700000000.host.12.0"
    own.parent.mkdir(parents=True)
    own.touch()
    (tmp_path / "tensorboard" / "empty").mkdir(parents=True)
    tensorboard.write(STUDY, tmp_path, per_seed=True)
    before = set(tmp_path.rglob("*tfevents*"))
    tensorboard.write(STUDY, tmp_path)
    after = set(tmp_path.rglob("*tfevents*"))
    assert before & after == {other, own}
    assert (tmp_path / "tensorboard" / "empty").is_dir()
    assert not any("seed-" in str(path) for path in tmp_path.rglob("*"))
    assert all(len(list(path.parent.glob("*tfevents*"))) == 1 for path in after)
    assert not list(tmp_path.rglob("*partial*"))
    assert (tmp_path / "dqn-ln" / "verdict.json").exists()


def test_claim_and_verdict_are_there_as_text(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path)
    claim = read(tmp_path / "dqn-ln" / "tensorboard").Tensors("claim")[0].tensor_proto.string_val[0].decode()
    assert STUDY.claims[0].claim.statement in claim
    assert "| **dqn-ln** | **refuted** |" in claim
    everything = read(tmp_path / "tensorboard").Tensors("verdicts")[0].tensor_proto.string_val[0].decode()
    assert all(claim.id in everything for claim in STUDY.claims)
    assert "half trained" in everything


def test_user_text_cannot_break_the_tables():
    claim = exact_claim()
    part = replace(claim.parts[0], name="a | b\n\n# c")
    page = tensorboard.page(replace(claim, parts=(part,)))
    assert r"| a \| b # c | refuted |" in page


def test_every_run_has_the_same_settings_of_the_same_types(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path)
    found = []
    for run in runs(tmp_path):
        if run.count("/") == 3:
            started = session(tmp_path / run, "_hparams_/session_start_info").session_start_info
            found.append({key: value.WhichOneof("kind") for key, value in started.hparams.items()})
            experiment = session(tmp_path / run, "_hparams_/experiment").experiment
            assert {info.name for info in experiment.hparam_infos} == set(found[-1])
            metrics = {info.name.tag for info in experiment.metric_infos}
            assert metrics <= set(read(tmp_path / run).Tags()["scalars"])
            assert metrics
    assert len(found) == 7
    assert all(each == found[0] for each in found)
    assert "null_value" not in found[0].values()


def test_a_setting_is_a_number_only_where_it_always_is():
    arms = {"a": arm("a", 0.5, n=1, mixed=1, flag=True, lacking=2.0), "b": arm("b", 0.5, n=2.5, mixed="x", flag=False)}
    whole = dqn_claim()
    parts = (replace(whole.parts[0], arms=arms),)
    first, second = tensorboard.hparams(study(replace(whole, parts=parts)))
    assert (first["n"], second["n"]) == (1.0, 2.5)
    assert (first["mixed"], second["mixed"]) == ("1", "x")
    assert (first["flag"], second["flag"]) == (True, False)
    assert (first["lacking"], second["lacking"]) == ("2", "–")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "..", EVIL, "own best, of 5 rates"])
def test_any_name_makes_one_safe_path_component(name: str):
    found = tensorboard.safe(name)
    assert found
    assert Path(found).name == found
    assert not found.startswith(".")


def test_names_that_are_changed_much_stay_apart():
    names = ["가", "나", "BN 가", "BN 나", "x" * 300 + "1", "x" * 300 + "2", "own best, of 5 rates"]
    found = [tensorboard.safe(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(len(each) < 120 for each in found)
    assert found[-1] == "own-best-of-5-rates"


@pytest.mark.parametrize(
    "result", [study(unfinished_claim()), replace(study(), claims=())], ids=["nothing run", "none"]
)
def test_studies_without_runs_are_written_too(tmp_path: Path, result: StudyResult):
    tensorboard.write(result, tmp_path)
    assert "tensorboard" in runs(tmp_path)


class Server:
    """What the running server says."""

    def __init__(self, address: str):
        self.address = address

    def get(self, path: str, body: object = None, **query: str) -> Any:
        url = f"{self.address}data/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def wait_for(self, run: str) -> None:
        for _ in range(300):
            if run in self.get("runs"):
                return
            time.sleep(0.1)
        raise AssertionError(f"{run} was not loaded")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("study")
    tensorboard.write(STUDY, folder)
    with tensorboard.serving(folder) as (address, _):
        found = Server(address)
        for run in runs(folder):
            found.wait_for(run)
        yield found


def test_the_server_gives_every_point(server: Server):
    tags = server.get("plugin/scalars/tags")
    assert {"return/mean", "return/low", "return/high", "epsilon/mean", "score"} <= set(tags[RUN])
    assert len(server.get("plugin/scalars/scalars", run=RUN, tag="return/mean")) == 50


def test_the_server_has_the_layout_with_tags_that_exist(server: Server):
    curves, probes = server.get("plugin/custom_scalars/layout")["category"]
    assert [chart["title"] for chart in curves["chart"]][:4] == ["Return", "Loss", "Mean Q", "Epsilon"]
    assert (probes["title"], [chart["title"] for chart in probes["chart"]]) == ("Probes of norm1", ["mean gap"])
    written = {tag for run in server.get("plugin/scalars/tags").values() for tag in run}
    for chart in curves["chart"] + probes["chart"]:
        (series,) = chart["margin"]["series"]
        assert [series[end].split("/")[-1] for end in ("value", "lower", "upper")] == ["mean", "low", "high"]
        assert set(series.values()) <= written


def test_the_server_lists_every_arm_with_settings_and_score(server: Server):
    experiment = server.get("plugin/hparams/experiment", {"experimentName": ""})
    assert {"norm", "env", "claim", "learning rate"} <= {info["name"] for info in experiment["hparamInfos"]}
    columns = [{"metric": {"tag": "score", "group": ""}}]
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    question = {
        "experimentName": "",
        "allowedStatuses": statuses,
        "colParams": columns,
        "startIndex": 0,
        "sliceSize": 99,
    }
    groups = server.get("plugin/hparams/session_groups", question)["sessionGroups"]
    assert len(groups) == 7
    assert {group["hparams"]["arm"] for group in groups} == {"none", "layer", "batch", "tiny"}
    assert all(group["metricValues"] for group in groups)


def test_the_server_shows_the_texts(server: Server):
    assert server.get("plugin/text/tags")["dqn-ln/tensorboard"] == ["claim"]
    (text,) = server.get("plugin/text/text", run="dqn-ln/tensorboard", tag="claim")
    assert "<table>" in text["text"]


def test_the_board_prints_its_address_and_ends_with_its_server(tmp_path: Path):
    code = "import sys, pathlib; from rlnorm.study.report.tensorboard import board; board(pathlib.Path(sys.argv[1]), 0)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        line = shown.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://"))
        assert Server(address).get("runs") == []
        shown.send_signal(signal.SIGTERM)
        _, errors = shown.communicate(timeout=30)
    assert (shown.returncode, errors) == (0, "")
    with pytest.raises(urllib.error.URLError):
        Server(address).get("runs")


def test_a_folder_that_is_none_and_a_port_that_is_taken_are_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such folder"), tensorboard.serving(tmp_path / "nowhere"):
        pass
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"), tensorboard.serving(tmp_path, port):
            pass
    with pytest.raises(ConfigError, match="port 99999999"), tensorboard.serving(tmp_path, 99999999):
        pass


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken = tmp_path / "tensorboard"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "main.py").write_text("raise SystemExit('out of order')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    with pytest.raises(ConfigError, match="out of order"), tensorboard.serving(tmp_path):
        pass
