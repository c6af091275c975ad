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
from studies import EVIL, SNAPSHOT, all_diverged_claim, arm, dqn_claim, exact_claim, relu_claim, study, unfinished_claim
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from rlnorm.errors import ConfigError
from rlnorm.probes.snapshots import DISTRIBUTED
from rlnorm.study.judge import StudyResult
from rlnorm.study.report import answers, confidence_bands, pictures, tensorboard

STUDY = study(dqn_claim(), relu_claim(), exact_claim())
RUN = "dqn-ln/CartPole-common/layer"


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


def test_there_is_one_run_per_arm_with_a_short_name_and_one_for_the_answers(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path)
    assert {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*tfevents*")} == {
        "tensorboard",
        *(f"tensorboard/dqn-ln/CartPole-{rate}/{name}" for rate in ("common", "best") for name in ("none", "layer")),
        *(f"tensorboard/bn-relu/digits-depth-2/{name}" for name in ("none", "batch", "tiny-control")),
    }


@pytest.mark.parametrize("key", ["return", "loss", "q", "norm/norm1/mean_gap"])
def test_mean_and_band_are_read_back_in_full(tmp_path: Path, key: str):
    tensorboard.write(STUDY, tmp_path)
    arm = STUDY.claims[0].parts[0].arms["layer"]
    curve = {**arm.curves, **arm.probes}[key]
    drawn = confidence_bands.curve(curve.values)
    whole, tag = np.isfinite(drawn.mean), tensorboard.TAGS["sb3"].get(key, key)
    bands = f"seeds/dqn-ln/CartPole-common/{tag}"
    for name, expected in zip((tag, f"{bands}/mean", f"{bands}/low", f"{bands}/high"), (drawn.mean, *drawn)):
        steps, found = values(tmp_path / "tensorboard" / RUN, name)
        assert steps.tolist() == curve.steps.tolist()
        np.testing.assert_allclose(found[whole], expected[whole], rtol=1e-6)
        np.testing.assert_allclose(found[~whole], drawn.rest[~whole], rtol=1e-6)


def test_tags_are_those_of_sb3_or_of_cleanrl(tmp_path: Path):
    for dialect, first in (("sb3", "rollout/ep_rew_mean"), ("cleanrl", "charts/episodic_return")):
        tensorboard.write(STUDY, tmp_path, tags=dialect)
        tags = read(tmp_path / "tensorboard" / RUN).Tags()
        missing = {first, *tensorboard.TAGS[dialect].values()} - set(tags["scalars"])
        assert missing == {tensorboard.TAGS[dialect]["test_accuracy"]}
        assert f"runs/{first}" in tags["tensors"] + tags["histograms"]
        assert tensorboard._has_tag(tmp_path / "tensorboard", first)
    assert not tensorboard._has_tag(tmp_path / "tensorboard", "rollout/ep_rew_mean")


def test_no_more_than_forty_runs_are_written_controls_go_first_and_it_is_said(tmp_path: Path):
    many = study(*(replace(relu_claim(), id=f"claim-{i}") for i in range(15)))
    tensorboard.write(many, tmp_path)
    found = runs(tmp_path / "tensorboard")
    assert len(found) == 40
    assert sum("control" in run for run in found) == 9
    assert "6 more runs are left out, of claim-9, claim-10" in text_of(tmp_path, "answers")
    tensorboard.write(many, tmp_path, claims=["claim-14"])
    assert runs(tmp_path / "tensorboard") == {
        ".",
        *(f"claim-14/digits-depth-2/{name}" for name in ("none", "batch", "tiny-control")),
    }


def text_of(folder: Path, tag: str) -> str:
    return read(folder / "tensorboard").Tensors(tag)[0].tensor_proto.string_val[0].decode()


def test_parts_whose_short_names_are_the_same_stay_apart():
    whole = dqn_claim()
    names = "CartPole-v1, common rate", "CartPole-v0, common rate"
    parts = tuple(replace(part, name=name) for part, name in zip(whole.parts, names))
    claim = replace(whole.claim, parts=dict(zip(names, whole.claim.parts.values())))
    found = [run.name for run in tensorboard.runs(study(replace(whole, claim=claim, parts=parts)))]
    assert len(set(found)) == 4


def test_what_is_missing_is_left_out(tmp_path: Path):
    tensorboard.write(study(all_diverged_claim()), tmp_path)
    run = tmp_path / "tensorboard" / RUN
    assert set(read(run).Tags()["scalars"]) == {"score/return_auc", "score/diverged fraction"}
    assert values(run, "score/diverged fraction")[1].tolist() == [1.0]


def test_single_runs_are_written_when_asked_for(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path, per_seed=True)
    curve = STUDY.claims[0].parts[0].arms["none"].curves["return"]
    steps, found = values(tmp_path / "tensorboard" / RUN.replace("layer", "none") / "seed-9", "rollout/ep_rew_mean")
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


def test_the_answers_are_there_as_text_and_as_pictures(tmp_path: Path):
    tensorboard.write(STUDY, tmp_path)
    claim = text_of(tmp_path, "claim/dqn-ln")
    assert STUDY.claims[0].claim.statement in claim
    assert "| **dqn-ln** | **points to refuted** |" in claim
    everything = text_of(tmp_path, "answers")
    for each in STUDY.claims:
        assert f"* **{each.claim.title}**: " in everything
        assert answers.sentence(each) in everything
    assert "half trained" in everything
    images = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert set(images.Tags()["images"]) == {"forest plot/answers", "forest plot/dqn-ln", "forest plot/bn-relu"}
    (picture,) = images.Images("forest plot/dqn-ln")
    assert picture.encoded_image_string.startswith(b"\x89PNG")
    assert (picture.width, picture.height) > (100, 100)


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
            assert {info.name for info in experiment.hparam_infos if info.differs} <= set(tensorboard.LEADING)
            metrics = {info.name.tag for info in experiment.metric_infos}
            assert metrics == {"score/return_auc", "score/accuracy"}
            assert metrics & set(read(tmp_path / run).Tags()["scalars"])
    assert len(found) == 7
    assert all(each == found[0] for each in found)
    assert "null_value" not in found[0].values()


def test_a_setting_is_a_number_only_where_it_always_is_and_constant_ones_are_left_out():
    arms = {"a": arm("a", 0.5, n=1, mixed=1, flag=True, lacking=2.0), "b": arm("b", 0.5, n=2.5, mixed="x", flag=False)}
    whole = dqn_claim()
    parts = (replace(whole.parts[0], arms=arms),)
    first, second = tensorboard.hparams(tensorboard.runs(study(replace(whole, parts=parts))))
    assert list(first) == ["norm", "arm", "n", "mixed", "flag", "lacking"]
    assert (first["n"], second["n"]) == (1.0, 2.5)
    assert (first["mixed"], second["mixed"]) == ("1", "x")
    assert (first["flag"], second["flag"]) == (True, False)
    assert (first["lacking"], second["lacking"]) == ("2", "–")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "..", EVIL, "own best, of 5 rates", "정규화 없음"])
def test_any_name_makes_one_safe_path_component(name: str):
    found = tensorboard.safe(name)
    assert found
    assert Path(found).name == found
    assert not found.startswith(".")
    assert tensorboard.safe("정규화 없음") == "정규화-없음"


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
    with tensorboard.serving(folder / "tensorboard") as (address, _):
        found = Server(address)
        for run in runs(folder / "tensorboard"):
            found.wait_for(run)
        yield found


def test_the_server_gives_every_point(server: Server):
    tags = server.get("plugin/scalars/tags")
    expected = {"rollout/ep_rew_mean", "rollout/exploration_rate", "train/loss", "score/return_auc"}
    assert expected <= set(tags[RUN])
    assert len(server.get("plugin/scalars/scalars", run=RUN, tag="rollout/ep_rew_mean")) == 50


def test_the_server_has_a_category_a_claim_with_tags_that_exist_and_no_controls(server: Server):
    dqn, relu = server.get("plugin/custom_scalars/layout")["category"]
    assert dqn["title"] == "dqn-ln: In DQN layer normalization is useless"
    # shown from the last to the first
    titles = [chart["title"] for chart in reversed(dqn["chart"])]
    assert titles[:3] == [f"CartPole-v1, common rate: {name}" for name in ("Return", "Loss", "Mean Q")]
    assert relu["chart"][-1]["title"] == "digits, depth 2: Test accuracy"
    found = server.get("plugin/scalars/tags")
    for chart in dqn["chart"] + relu["chart"]:
        (series,) = chart["margin"]["series"]
        assert [series[end].split("/")[-1] for end in ("value", "lower", "upper")] == ["mean", "low", "high"]
        drawn = [run for run, tags in found.items() if series["value"] in tags]
        assert len(drawn) == 2
        assert not any("control" in run for run in drawn)


def test_the_server_has_how_runs_are_distributed(server: Server):
    assert "runs/rollout/ep_rew_mean" in server.get("plugin/distributions/tags")[RUN]
    last = server.get("plugin/histograms/histograms", run=RUN, tag="runs/train/q_mean")[-1]
    assert sum(bucket[2] for bucket in last[2]) == 15  # one of sixteen diverged


def test_the_server_has_how_values_are_distributed_in_one_agent(server: Server):
    tags = server.get("plugin/histograms/tags")[RUN]
    names = {tag: f"{tag}/1" for tag in ("gamma", "beta")} | {"gradient": "gradients/output"}
    names |= {what: f"activations/1 {what} norm" for what in ("before", "after")}
    names |= {f"{what}_offset": f"batch against running/1 {what}" for what in ("mean", "spread")}
    assert names.keys() == DISTRIBUTED.keys()
    kept = {what: own for layer in SNAPSHOT.values() for what, own in layer.items()}
    for what, tag in names.items():
        assert tag in tags
        found = server.get("plugin/histograms/histograms", run=RUN, tag=tag)
        assert len(found) == 5
        buckets = [bucket for bucket in found[0][2] if bucket[2]]
        assert [count for _, _, count in buckets] == kept[what]["counts"]
        assert (buckets[0][0], buckets[-1][1]) == (kept[what]["min"], kept[what]["max"])


def test_the_server_lists_every_arm_with_settings_and_score(server: Server):
    experiment = server.get("plugin/hparams/experiment", {"experimentName": ""})
    assert [info["name"] for info in experiment["hparamInfos"]] == ["norm", "arm", "claim", "control", "hidden", "part"]
    columns = [{"metric": {"tag": f"score/{name}", "group": ""}} for name in ("return_auc", "accuracy")]
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


def test_the_server_shows_the_texts_and_the_pictures(server: Server):
    assert set(server.get("plugin/text/tags")["."]) == {"answers", *(f"claim/{claim.id}" for claim in STUDY.claims)}
    (text,) = server.get("plugin/text/text", run=".", tag="claim/dqn-ln")
    assert "<table>" in text["text"]
    assert pictures.PICTURE in server.get("plugin/images/tags")["."]


def test_the_board_prints_its_address_and_ends_with_its_server(tmp_path: Path):
    code = "import sys, pathlib; from rlnorm.study.report.tensorboard import board; board(pathlib.Path(sys.argv[1]), 0)"
    (tmp_path / "tensorboard").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        line = shown.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://"))
        bare, _, pinned = address.partition("?")
        assert "forest%20plot/answers" in pinned
        assert Server(bare).get("runs") == []
        shown.send_signal(signal.SIGTERM)
        _, errors = shown.communicate(timeout=30)
    assert (shown.returncode, errors) == (0, "")
    with pytest.raises(urllib.error.URLError):
        Server(bare).get("runs")


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
