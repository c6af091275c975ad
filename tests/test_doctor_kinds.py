"""Kinds of models that the doctor examines: modes set in forward, any number of inputs, wrappers, every space."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
import torch
from gymnasium import spaces
from planted import Seeing, found, seeing, without_statistics
from stable_baselines3 import DQN, PPO
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.optim.swa_utils import AveragedModel

from rlnorm.doctor import check
from rlnorm.errors import ConfigError

CALLS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "train mode set in forward": lambda norm, h: norm.train()(h),
    "a norm that one row skips": lambda norm, h: norm(h) if len(h) > 1 else h,
    "a norm that is not called": lambda norm, h: nn.functional.batch_norm(h, None, None, training=True),
}


class TestModesSetInForward:
    """They are those of the pass, whatever mode the policy was put in."""

    @pytest.mark.parametrize("env", [None, "CartPole-v1"])
    @pytest.mark.parametrize("algorithm", [DQN, PPO])
    @pytest.mark.parametrize("call", CALLS)
    def test_are_found(self, call: str, algorithm: Any, env: str | None):
        model = seeing(algorithm, call=CALLS[call])
        report = check(model, None if env is None else gym.make(env))
        assert "acting-on-batch" in found(report), report
        places = {finding.where for finding in report.findings if finding.check == "acting-on-batch"}
        assert all("features_extractor" in place for place in places)
        assert "acting-on-batch" not in report.unchecked
        assert bool(report.unreached) == (call == "a norm that is not called")

    @pytest.mark.parametrize("call", CALLS)
    def test_of_a_network_by_itself(self, call: str):
        report = check(nn.Sequential(Seeing(spaces.Box(-1, 1, (4,)), call=CALLS[call]), nn.Linear(16, 2)).eval())
        assert found(report) == {"acting-on-batch"}, report

    def test_of_a_target(self):
        online = nn.Sequential(Seeing(spaces.Box(-1, 1, (4,))), nn.Linear(16, 2)).eval()
        target = copy.deepcopy(online)
        assert found(check((online, target))) == set()
        vars(target[0])["call"] = CALLS["a norm that one row skips"]
        assert found(check((online, target))) == {"target-on-batch"}


class Critic(nn.Module):
    """(n, 3) observations and (n, 1) actions -> (n, 1)."""

    def __init__(self, make: planted.Make = nn.BatchNorm1d):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16, False), make(16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([obs, action], 1))


class Recurrent(nn.Module):
    """(n, t, 3) -> (n, 2), and the state."""

    def __init__(self, kind: Any = nn.GRU, batch_first: bool = True, make: planted.Make = nn.BatchNorm1d):
        super().__init__()
        self.memory, self.norm, self.out = kind(3, 16, batch_first=batch_first), make(16), nn.Linear(16, 2)
        self.axis = 1 if batch_first else 0

    def forward(self, x: Tensor, state: Any = None) -> Any:
        y, state = self.memory(x, state)
        return self.out(self.norm(y.select(self.axis, -1))), state


class Reading(nn.Module):
    """A vector "a" of 3 and a number "b" below 4 -> a dict with 3 numbers."""

    def __init__(self, make: planted.Make = nn.BatchNorm1d):
        super().__init__()
        self.layer, self.table, self.norm = nn.Linear(3, 8, False), nn.Embedding(4, 8), make(8)
        self.out = nn.Linear(8, 3)

    def read(self, a: Tensor, b: Tensor) -> Any:
        return {"q": self.out(self.norm(input=self.layer(a) + self.table(b)).relu())}

    def forward(self, obs: Any) -> Any:
        return self.read(obs["a"], obs["b"]) if isinstance(obs, dict) else self.read(*obs)


class Apart(nn.Module):
    """The same from two arguments -> a distribution."""

    def __init__(self, make: planted.Make = nn.BatchNorm1d):
        super().__init__()
        self.reading = Reading(make)

    def forward(self, a: Tensor, b: Tensor) -> Categorical:
        return Categorical(logits=self.reading((a, b))["q"])


FOUR = np.random.default_rng(0).normal(size=(64, 4))
A, B = np.random.default_rng(0).normal(size=(64, 3)), np.arange(64) % 4
OBS, ACTION = torch.as_tensor(A).float(), torch.as_tensor(A[:, :1]).float()
SEQUENCES = torch.as_tensor(np.random.default_rng(0).normal(size=(16, 5, 3))).float()
# Kind -> how the network is made of a norm, and its inputs.
INPUTS: Mapping[str, tuple[Callable[[planted.Make], nn.Module], Any]] = {
    "tensor": (planted.network, torch.as_tensor(FOUR).float()),
    "array": (planted.network, FOUR),
    "two": (Critic, (OBS, ACTION)),
    "two arrays in a list": (Critic, [A, A[:, :1]]),
    "keywords": (Critic, {"action": ACTION, "obs": OBS}),
    "GRU": (lambda make: Recurrent(make=make), SEQUENCES),
    "GRU and its state": (lambda make: Recurrent(make=make), (SEQUENCES, torch.zeros(1, 16, 16))),
    "LSTM and its state": (
        lambda make: Recurrent(nn.LSTM, make=make), (SEQUENCES, (torch.zeros(1, 16, 16), torch.zeros(1, 16, 16))),
    ),
    "dict observations": (Reading, {"a": A, "b": B}),
    "a dict as the only argument": (Reading, ({"a": A, "b": B},)),
    "tuple observations": (Reading, ((A, B),)),
    "vector and number, a distribution": (Apart, (A, B)),
}  # fmt: skip


class TestInputs:
    @pytest.mark.parametrize("kind", INPUTS)
    def test_of_any_number_let_every_check_be_made(self, kind: str):
        make, inputs = INPUTS[kind]
        report = check(make(nn.BatchNorm1d).eval(), inputs=inputs)
        assert (report.norms, report.findings, dict(report.unchecked)) == (1, (), {}), report
        assert str(report).endswith("Nothing found.")

    @pytest.mark.parametrize("kind", INPUTS)
    def test_show_what_is_wrong(self, kind: str):
        make, inputs = INPUTS[kind]
        assert found(check(make(without_statistics).eval(), inputs=inputs)) == {"acting-on-batch"}
        assert found(check(make(nn.BatchNorm1d).train(), inputs=inputs)) == {"left-in-training"}

    def test_of_a_pair(self):
        online = Critic()
        target = copy.deepcopy(online).eval()
        assert check((online, target), inputs=(OBS, ACTION)).findings == ()
        assert found(check((online, target.train()), inputs=(OBS, ACTION))) == {"target-on-batch"}

    def test_are_data(self):
        net = planted.fresh_cartpole_statistics(planted.network())
        far = torch.full((64, 4), 1e3) + torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        assert found(check(net, inputs=far)) == {"statistics-far"}

    def test_of_a_model_are_observations(self):
        model = planted.trained()
        report = check(model, inputs=np.zeros((64, 4)) + 1e3)
        assert found(report) == {"statistics-far"}
        assert not report.unchecked

    def test_with_time_before_the_batch_leave_one_check_open(self):
        inputs = (SEQUENCES.transpose(0, 1), torch.zeros(1, 16, 16))
        report = check(Recurrent(batch_first=False).eval(), inputs=inputs)
        assert report.findings == ()
        assert report.examined
        why = "memory is a GRU with batch_first=False, so the batch may be any axis"
        assert dict(report.unchecked) == {"acting-on-batch": why}
        assert str(report).endswith("Nothing found by the checks made.")

    def test_of_one_row_leave_open_whether_rows_depend_on_each_other(self):
        report = check(Critic().eval(), inputs=(OBS[:1], ACTION[:1]))
        assert "one row does not show" in report.unchecked["acting-on-batch"]

    @pytest.mark.parametrize(
        ("model", "given", "said"),
        [
            (planted.network, {"inputs": (1, None)}, "inputs hold neither a tensor nor an array, got tuple; expected"),
            (planted.network, {"inputs": A, "env": 1}, "both env and inputs were given; expected one of them"),
            (planted.agent, {"inputs": A}, r"inputs do not fit the model's Box\(.*use \(4,\) or \(n_env, 4\)"),
            (planted.agent, {"inputs": np.zeros(4)}, r"inputs of a model are a batch of observations, \(n, ...\)"),
        ],
    )
    def test_that_cannot_be_used_are_named(self, model: Any, given: Any, said: str):
        with pytest.raises(ConfigError, match=said):
            check(model(), **given)

    def test_that_do_not_fit_are_the_reason_why_checks_are_not_made(self):
        report = check(Critic().eval(), inputs=(OBS, OBS))
        assert report.unchecked["acting-on-batch"].startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
        assert not report.examined

    def test_that_are_missing_are_asked_for(self):
        report = check(Critic().eval())
        assert report.unchecked["batch-of-one"].endswith("'action'; give inputs=(obs, action)")


class Drawn(gym.Env[Any, Any]):
    """Observations drawn from a space."""

    def __init__(self, space: gym.Space[Any], fails: bool = False, actions: gym.Space[Any] | None = None):
        self.observation_space, self.action_space, self.fails = space, actions or spaces.Discrete(3), fails

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        if self.fails:
            raise OSError("the simulator is gone")
        return self.observation_space.sample(), 1.0, False, bool(self.np_random.random() < 0.1), {}


def flat(width: int, make: planted.Make) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 8, False), make(8), nn.ReLU(), nn.Linear(8, 3))


VECTOR, NUMBER = spaces.Box(-1, 1, (3,)), spaces.Discrete(4)
# Kind -> how a network is made of a norm, and the space it reads.
SPACES: Mapping[str, tuple[Callable[[planted.Make], nn.Module], gym.Space[Any]]] = {
    "vector": (lambda make: flat(3, make), VECTOR),
    "bytes": (lambda make: flat(3, make), spaces.Box(0, 255, (3,), np.uint8)),
    "number": (lambda make: flat(4, make), NUMBER),
    "number, embedded": (lambda make: nn.Sequential(nn.Embedding(4, 8), make(8), nn.Linear(8, 3)), NUMBER),
    "numbers": (lambda make: flat(7, make), spaces.MultiDiscrete([3, 4])),
    "bits": (lambda make: flat(5, make), spaces.MultiBinary(5)),
    "dict": (Reading, spaces.Dict({"a": VECTOR, "b": NUMBER})),
    "tuple": (Reading, spaces.Tuple((VECTOR, NUMBER))),
    "tuple, apart": (Apart, spaces.Tuple((VECTOR, NUMBER))),
    "sequences of one": (lambda make: Recurrent(make=make), VECTOR),
}


class TestSpaces:
    @pytest.mark.parametrize("kind", SPACES)
    def test_of_every_kind_let_every_check_be_made(self, kind: str):
        make, space = SPACES[kind]
        report = check(make(nn.BatchNorm1d).eval(), Drawn(space))
        assert (report.norms, report.findings, dict(report.unchecked)) == (1, (), {}), report
        assert found(check(make(without_statistics).eval(), Drawn(space))) == {"acting-on-batch"}

    def test_of_actions_are_met_by_a_critic(self):
        report = check(Critic().eval(), gym.make("Pendulum-v1"))
        assert (report.norms, report.findings, dict(report.unchecked)) == (1, (), {}), report

    def test_that_do_not_stack_are_refused(self):
        with pytest.raises(ConfigError, match=r"samples of Text\(.*do not stack; give inputs="):
            check(flat(3, nn.BatchNorm1d).eval(), Drawn(spaces.Text(5)))

    @pytest.mark.parametrize("model", [lambda: flat(3, nn.BatchNorm1d).eval(), lambda: seeing(PPO, Drawn(VECTOR))])
    def test_of_an_environment_that_fails_are_the_reason(self, model: Any):
        report = check(model(), Drawn(VECTOR, fails=True))
        assert dict(report.unchecked) == {"statistics-far": "env fails: OSError: the simulator is gone"}

    @pytest.mark.parametrize("algorithm", [DQN, PPO])
    def test_discrete_observations_are_read_from_storage(self, algorithm: Any):
        report = check(seeing(algorithm, "FrozenLake-v1", 128))
        assert report.norms
        assert (report.findings, dict(report.unchecked)) == ((), {}), report


class Keeping(nn.Module):
    """Keeps its activations, which stand in a graph, in containers of its own."""

    def __init__(self):
        super().__init__()
        self.net, self.seen = planted.network(), {"hidden": list[tuple[Tensor, Categorical]]()}

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        self.seen["hidden"].append((out, Categorical(logits=out)))
        return out


class TestActivationsKept:
    def test_do_not_prevent_a_copy(self):
        net = Keeping().eval()
        net(torch.zeros(3, 4))
        assert check(net).findings == ()
        assert len(net.seen["hidden"]) == 1

    def test_in_distributions_of_a_policy_neither(self):
        space = spaces.MultiDiscrete([3, 4])
        model = PPO("MlpPolicy", Drawn(VECTOR, actions=space), n_steps=32, batch_size=16, device="cpu").learn(32)
        report = check(model, Drawn(VECTOR, actions=space))
        assert (report.findings, report.examined) == ((), True)


WRAPPERS: Mapping[str, Callable[[nn.Module], Any]] = {
    "compiled": torch.compile,
    "DataParallel": nn.DataParallel,
    "AveragedModel": AveragedModel,
    "compiled DataParallel": lambda net: torch.compile(nn.DataParallel(net)),
    "inside": lambda net: nn.Sequential(torch.compile(net[:2]), nn.DataParallel(net[2:])),  # pyright: ignore[reportIndexIssue, reportArgumentType]
}


class TestWrappers:
    @pytest.mark.parametrize("wrap", WRAPPERS)
    def test_are_looked_through(self, wrap: str):
        def plain(net: Any) -> Any:
            return nn.Sequential(net[:2], net[2:]) if wrap == "inside" else net

        online, target = planted.followed()
        report = check((WRAPPERS[wrap](online), plain(target)))
        assert (report.norms, report.findings, set(report.unchecked)) == (2, (), {"statistics-far"}), report
        assert found(check((plain(online), WRAPPERS[wrap](target.train())))) == {"target-on-batch"}
        assert found(check(WRAPPERS[wrap](planted.network(without_statistics)).eval())) == {"acting-on-batch"}

    def test_do_not_hide_shared_storage(self):
        net = planted.network()
        assert "shared-norm" in found(check((torch.compile(net), net)))  # pyright: ignore[reportArgumentType]

    def test_a_module_compiled_in_place_runs_uncompiled(self):
        net = planted.network(without_statistics)
        net.compile(backend=lambda *_: pytest.fail("compiled"))
        assert found(check(net)) == {"acting-on-batch"}

    @pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, torch.zeros(3, 4))])
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_script_module_is_refused_in_one_sentence(self, make: Any):
        script = make(planted.network())
        sentence = "the doctor cannot look into a ScriptModule{}; give the module that was scripted or traced."
        inside = nn.Sequential(script, nn.Linear(2, 2))
        for given, where in ((script, ""), (inside, " ('0' in it)"), ((inside, inside), " ('online.0' in it)")):
            with pytest.raises(ConfigError) as raised:
                check(given)
            assert raised.value.sentences == (sentence.format(where),)

    def test_a_lazy_module_is_refused_in_one_sentence(self):
        with pytest.raises(ConfigError, match=r"^LazyLinear \('0' in it\) has no parameters before its first pass"):
            check(nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()))
