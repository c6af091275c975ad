"""stable-baselines3 as an engine: the settings it takes, the ones it refuses, and records that are those of our own."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import rlnorm.dqn
import rlnorm.sb3.train as module
from rlnorm.dqn import Settings
from rlnorm.errors import ConfigError
from rlnorm.sb3.train import ONLY, SB3Settings, train
from rlnorm.tasks.environments import SCALES
from tests.dqn.watching import FAST

HUBER = {**FAST, "loss": "huber", "clip": 10.0, "probes": 0}


def run(**changes: object) -> list[dict[str, Any]]:
    return list(train(**{**HUBER, **changes}))


def rows(records: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(record) for record in records]


def refused(**changes: object) -> list[str]:
    return list(SB3Settings.errors_in({**HUBER, **changes}))


def test_what_it_can_express_has_no_errors():
    assert refused() == []
    assert refused(clip=None, norm="batch", place="after", activation="tanh", envs=5, buffer=1000) == []
    assert refused(envs=20, train_every=10, target_every=100, algorithm="qrdqn") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "squared"}, "stable-baselines3 knows loss 'huber' only, got 'squared'."),
        ({"double": True}, "stable-baselines3 knows double False only, got True."),
        ({"optimizer": "sgd"}, "stable-baselines3 knows optimizer 'adam' only, got 'sgd'."),
        ({"init": "he"}, "stable-baselines3 knows init 'torch' only, got 'he'."),
        ({"sites": ("first",), "norm": "layer"}, "stable-baselines3 knows sites ('hidden',) only, got ('first',)."),
        ({"modes": {"acting": "track"}}, "stable-baselines3 knows modes None only, got {'acting': 'track'}."),
        ({"recipe": "joint"}, "stable-baselines3 knows recipe 'supervised' or 'sb3' only, got 'joint'."),
        ({"reward_scale": 0.1}, "stable-baselines3 knows reward_scale 1.0 only, got 0.1."),
        ({"normalize_observations": True}, "stable-baselines3 knows normalize_observations False only, got True."),
        ({"init_scale": 2.0}, "stable-baselines3 knows init_scale 1.0 only, got 2.0."),
        (
            {"envs": 4, "target_every": 100},
            "steps its 4 environments together: train_every must be a multiple or a divisor of that, got 10.",
        ),
        (
            {"envs": 4, "train_every": 4},
            "its 4 environments together: target_every must be a multiple of that, got 50.",
        ),
        ({"envs": 3, "train_every": 3, "target_every": 3}, "buffer must be a multiple of that, got 1000."),
        ({"algorithm": "qr-dqn"}, "unknown algorithm 'qr-dqn'. Did you mean 'qrdqn'?"),
        ({"norm": "bacth"}, "unknown norm 'bacth'. Did you mean 'batch'?"),
        ({"starts": 400}, "learning would start after 400 steps, beyond the budget of 400."),
    ],
    ids=str,
)
def test_what_it_cannot_express_is_refused_by_name(changes: Mapping[str, object], said: str):
    (sentence,) = refused(**changes)
    assert said in sentence


def test_no_target_network_is_refused_by_name():
    (sentence,) = refused(target_every=None)
    assert sentence == "stable-baselines3's DQN always has a target network: set target_every."


def test_what_is_refused_is_said_before_anything_runs():
    with pytest.raises(ConfigError, match="stable-baselines3 knows double False only, got True"):
        run(double=True)


# Settings that `train` hands on, and those that need not be: images are refused, and records hold no probes.
HANDED_ON = {
    *("env", "seeds", "rates", "steps", "norm", "norm_kwargs", "place", "hidden", "activation", "clip", "discount"),
    *("batch", "buffer", "starts", "train_every", "updates", "target_every", "tau", "epsilon", "envs"),
}


def test_every_setting_of_dqn_is_handed_on_or_has_a_value_that_is_expected(monkeypatch: pytest.MonkeyPatch):
    read = set[str]()

    class Watched(SB3Settings):
        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return super().__getattribute__(name)

    ours = {field.name for field in fields(Settings)}
    chosen = Watched(**HUBER)
    monkeypatch.setattr(Watched, "checked", lambda given: chosen)
    monkeypatch.setattr(module, "SB3Settings", Watched)
    read.clear()
    list(train(**HUBER))
    assert read & ours == HANDED_ON | {"reward_scale"}  # of which the limit of Q is made
    assert ours == HANDED_ON | set(ONLY) | {"channels", "kernel", "probes"}
    assert not HANDED_ON & set(ONLY)


@pytest.mark.parametrize(("envs", "steps"), [(1, 400), (10, 405), (5, 150)])
def test_records_are_those_of_our_own_engine(envs: int, steps: int):
    """The same steps, keys, shapes and epsilon; loss and q where there was an update."""
    changes = {"envs": envs, "steps": steps, "starts": 100, "train_every": 10}
    ours, theirs = list(rlnorm.dqn.train(**{**HUBER, **changes})), run(**changes)
    assert [set(record) for record in theirs] == [set(record) for record in ours]
    for own, their in zip(ours, theirs, strict=True):
        json.dumps(their)
        assert own["step"] == their["step"]
        for name in ("loss", "q", "beyond"):
            assert [math.isfinite(x) for x in their[name]] == [math.isfinite(x) for x in own[name]], own["step"]
        assert len(their["return"]) == len(their["diverged"]) == 2
    assert [record["epsilon"] for record in theirs[1:]] == pytest.approx([record["epsilon"] for record in ours[1:]])
    returns = [x for record in theirs for x in record["return"] if math.isfinite(x)]
    assert 8 <= np.mean(returns) <= 60
    assert all(8 <= x <= 500 for x in theirs[-1]["final_return"])


def test_agents_are_what_their_seeds_make_them_whoever_stands_beside():
    both, alone = run(seeds=[3, 5], steps=200), run(seeds=[5], rates=[1e-3], steps=200)
    assert [record["return"][1] for record in both[:-1]] == pytest.approx(
        [record["return"][0] for record in alone[:-1]], nan_ok=True
    )
    assert both[-1]["final_return"][1] == alone[-1]["final_return"][0]
    assert both[-1]["q"][0] != both[-1]["q"][1]


@pytest.mark.parametrize("algorithm", ["dqn", "qrdqn"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_same_unit_gives_the_same_rows(algorithm: str, norm: str):
    changes = {"algorithm": algorithm, "norm": norm, "seeds": [1], "rates": [1e-3], "steps": 150}
    first = run(**changes)
    np.random.default_rng(1)
    assert rows(run(**changes)) == rows(first)
    assert math.isfinite(first[-1]["loss"][0])
    assert math.isfinite(first[-1]["q"][0])


def test_values_beyond_ten_times_what_is_possible_are_counted_and_mark_no_run():
    records = run(rates=[1e-3, 10.0])
    assert np.nanmax([record["beyond"] for record in records], axis=0).tolist() == [0, 1]
    assert records[-1]["diverged"] == [False, False]


def test_what_is_not_finite_marks_a_run():
    records = run(rates=[1e-3, 1e30], steps=200)
    assert records[-1]["diverged"] == [False, True]
    assert records[0]["diverged"] == [False, False]


def test_the_first_success_is_the_end_of_the_first_episode_that_reaches_it(monkeypatch: pytest.MonkeyPatch):
    """Any episode is one where 1 is enough; with a record for every step its end is seen in the returns."""
    assert np.isnan(run(steps=120)[-1]["first_success"]).all()
    monkeypatch.setitem(SCALES, "CartPole-v1", replace(SCALES["CartPole-v1"], success=1.0))
    records = run(steps=100, starts=90)
    ends = [next(record["step"] for record in records if math.isfinite(record["return"][i])) for i in range(2)]
    assert records[-1]["first_success"] == ends
