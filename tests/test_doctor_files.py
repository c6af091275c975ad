"""`rlnorm doctor`: models from files, across processes; what it says, and its exit codes."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planted
import pytest
import torch
from stable_baselines3 import DQN
from torch import nn

from rlnorm import cli
from rlnorm.doctor import behaviour, command
from rlnorm.doctor.load import SIGNS, algorithms, load

Doctor = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """`rlnorm doctor ...` in an empty folder -> exit code, standard output, lines of standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, str, list[str]]:
        code = 0
        try:
            cli.main(["doctor", *map(str, words)])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        told = capsys.readouterr()
        return code, told.out, told.err.splitlines()

    return run


class TestAlgorithm:
    @pytest.mark.parametrize("name", sorted(algorithms()))
    def test_is_told_by_the_settings_in_a_zip(self, tmp_path: Path, name: str):
        planted.made(name).save(tmp_path / "model")
        assert type(load(tmp_path / "model.zip", trust=True)) is algorithms()[name]

    def test_every_algorithm_has_its_signs(self):
        assert set(SIGNS) == set(algorithms())

    def test_of_a_class_of_ones_own_is_the_one_it_inherits_from(self, doctor: Doctor, tmp_path: Path):
        class Own(DQN):
            pass

        Own("MlpPolicy", "CartPole-v1", buffer_size=10, device="cpu").save("own")
        assert doctor("own.zip", "--trust")[0] == 0


class TestBadInput:
    def test_without_trust_nothing_is_unpickled(self, doctor: Doctor, tmp_path: Path):
        class Bomb:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "exploded",))

        model = planted.made("dqn")
        model.bomb = Bomb()
        model.save("model")
        for words in (["model.zip"], ["model.zip", "--algo", "dqn"], ["model.zip", "--env", "CartPole-v1"]):
            code, out, err = doctor(*words)
            assert (code, out) == (2, "")
            assert err == [
                "rlnorm: loading 'model.zip' runs code that it contains; say --trust if you trust where it comes from."
            ]
        assert not (tmp_path / "exploded").exists()
        assert doctor("model.zip", "--trust")[0] == 0
        assert (tmp_path / "exploded").exists()

    def test_is_one_sentence_and_exit_code_2(self, doctor: Doctor, tmp_path: Path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "notes.zip").write_text("no zip")
        with zipfile.ZipFile("other.zip", "w") as archive:
            archive.writestr("readme", "text")
        for name, data in (("foreign.zip", '{"gamma": 0.9}'), ("damaged.zip", '{"gamma": '), ("list.zip", "[1]")):
            with zipfile.ZipFile(name, "w") as archive:
                archive.writestr("data", data)
                archive.writestr("policy.pth", b"")
        with zipfile.ZipFile("hollow.zip", "w") as archive:
            archive.writestr("data", '{"exploration_rate": 0.1}')
            archive.writestr("policy.pth", b"")
        torch.save(nn.Linear(2, 2).state_dict(), "state.pt")
        for words, said in (
            (["nowhere.zip"], "'nowhere.zip' does not exist; expected a zip that a stable-baselines3 model's save()"),
            (["folder"], "'folder' is a folder; expected a zip"),
            (["notes.zip"], "'notes.zip' is no zip; expected"),
            (["other.zip"], "'other.zip' is a zip, but neither of a stable-baselines3 model"),
            (["foreign.zip"], "cannot tell which algorithm saved 'foreign.zip'; say it with --algo, one of: a2c, ars,"),
            (["damaged.zip"], "'damaged.zip': its 'data' is damaged"),
            (["list.zip"], "'list.zip': its 'data' is damaged"),
            (["hollow.zip"], "'hollow.zip' does not load as DQN: "),
            (["state.pt"], "'state.pt' holds a OrderedDict, not a module; save the whole: torch"),
            (["hollow.zip", "--algo", "dnq"], "unknown algorithm 'dnq'. Did you mean 'dqn'?"),
            (
                ["hollow.zip", "--env", "CartPole-v11"],
                "unknown environment 'CartPole-v11'. Did you mean 'CartPole-v1'?",
            ),
        ):
            code, out, err = doctor(*words, "--trust")
            assert (code, out, len(err)) == (2, "", 1), err
            assert err[0].startswith(f"rlnorm: {said}"), err

    def test_all_errors_are_said_at_once(self, doctor: Doctor):
        code, _, err = doctor("nowhere.zip", "--algo", "dnq", "--env", "CartPole-v11")
        assert code == 2
        assert [line.split("'")[1] for line in err] == ["dnq", "nowhere.zip", "CartPole-v11"]

    def test_an_environment_that_does_not_fit(self, doctor: Doctor):
        planted.made("dqn").save("model")
        code, _, err = doctor("model.zip", "--trust", "--env", "Acrobot-v1")
        assert code == 2
        assert err[0].startswith("rlnorm: env does not fit the model: Observation spaces do not match")

    def test_an_algorithm_that_did_not_save_it(self, doctor: Doctor):
        planted.made("dqn").save("model")
        code, _, err = doctor("model.zip", "--trust", "--algo", "ppo")
        assert (code, len(err)) == (2, 1)
        assert err[0].startswith("rlnorm: 'model.zip' does not load as PPO: ")

    def test_help_fits_eighty_columns(self, doctor: Doctor):
        code, out, _ = doctor("--help")
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80


MODULE = """
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class Body(BaseFeaturesExtractor):
    def __init__(self, space, bias=False):
        super().__init__(space, 16)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 16, bias), torch.nn.BatchNorm1d(16), torch.nn.ReLU())

    def forward(self, x):
        return self.net(x)


def model(bias=False, **settings):
    kwargs = dict(features_extractor_class=Body, features_extractor_kwargs={"bias": bias})
    return DQN("MlpPolicy", "CartPole-v1", seed=0, device="cpu", buffer_size=500, learning_starts=20, batch_size=16,
               train_freq=1, policy_kwargs=kwargs, **settings)


if __name__ == "__main__":
    import body

    torch.set_num_threads(1)
    body.model().learn(80).save("healthy")
    body.model(bias=True).learn(30).save("hint")
    lost = body.model(target_update_interval=10)
    norm = lost.q_net.features_extractor.net[1]
    norm.running_mean = norm.running_mean.clone()
    lost.learn(40).save("lost")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that another process trained, with a class of its own."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "body.py").write_text(MODULE)
    subprocess.run([sys.executable, "body.py"], cwd=folder, check=True, timeout=120)
    return folder


class TestAcrossProcesses:
    """Trained and saved by one process, examined by another."""

    @pytest.fixture
    def there(self, folder: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> Doctor:
        monkeypatch.chdir(folder)
        monkeypatch.delitem(sys.modules, "body", raising=False)
        return doctor

    def test_a_healthy_model(self, there: Doctor):
        assert there("healthy.zip", "--trust", "--env", "CartPole-v1") == (
            0, "DQN with DQNPolicy: 2 norms, 13 of 13 checks made.\n\nNothing found.\n", [],
        )  # fmt: skip

    def test_hints_do_not_fail(self, there: Doctor):
        code, out, _ = there("hint.zip", "--trust")
        assert code == 0
        assert "hint: bias-before-norm" in out
        assert out.endswith("no faults, 1 hint.\n")

    def test_statistics_that_were_bound_anew_before_saving_and_did_not_reach_the_target(self, there: Doctor):
        code, out, _ = there("lost.zip", "--trust")
        assert code == 1
        assert "fault: missed-state" in out
        assert "q_net.features_extractor.net.1" in out
        assert max(map(len, out.splitlines())) <= 80

    def test_where_its_classes_cannot_be_imported(self, folder: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delitem(sys.modules, "body", raising=False)
        code, _, err = doctor(folder / "healthy.zip", "--trust")
        assert (code, len(err)) == (2, 1)
        assert "does not load as DQN: ModuleNotFoundError: No module named 'body'" in err[0]

    def test_a_module_saved_whole(self, there: Doctor, tmp_path: Path):
        torch.save(planted.network(bias=True), tmp_path / "net.pt")
        code, out, _ = there(tmp_path / "net.pt", "--trust")
        assert code == 0
        assert "hint: bias-before-norm" in out
        assert there(tmp_path / "net.pt")[0] == 2


class Exits(nn.Linear):
    """Leaves the process while it is copied."""

    def __deepcopy__(self, memo: object) -> Any:
        sys.exit(1)


class Fails(nn.Linear):
    """Cannot be run."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        raise ArithmeticError("no numbers today")


class TestExitCodes:
    """0 healthy, 1 a fault, 2 bad input, 3 not examined: a crash is never taken for a fault."""

    @pytest.fixture
    def saved(self, doctor: Doctor, tmp_path: Path) -> Callable[[Any], tuple[int, str, list[str]]]:
        def run(module: Any) -> tuple[int, str, list[str]]:
            save = torch.jit.save if isinstance(module, torch.jit.ScriptModule) else torch.save
            save(module, tmp_path / "net.pt")
            return doctor("net.pt", "--trust")

        return run

    def test_of_health_hints_and_faults(self, saved: Any):
        assert saved(planted.network())[0] == 0
        assert saved(planted.network().train())[0] == 0
        assert saved(planted.network(planted.without_statistics))[0] == 1

    @pytest.mark.filterwarnings("ignore")
    def test_of_a_script_module(self, saved: Any):
        said = "rlnorm: the doctor cannot look into a ScriptModule; give the module that was scripted or traced."
        assert saved(torch.jit.script(planted.network())) == (2, "", [said])

    def test_of_code_that_leaves_the_process(self, saved: Any):
        assert saved(nn.Sequential(Exits(4, 2))) == (3, "'net.pt' could not be examined: SystemExit: 1.\n", [])

    @pytest.mark.parametrize("place", ["check", "load", "id_errors"])
    def test_of_a_crash_anywhere(self, saved: Any, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, place: str):
        def crash(*_: object) -> None:
            raise ZeroDivisionError("division by zero")

        saved(planted.network())
        monkeypatch.setattr(command, place, crash)
        assert doctor("net.pt", "--trust", "--env", "CartPole-v1") == (
            3, "'net.pt' could not be examined: ZeroDivisionError: division by zero.\n", [],
        )  # fmt: skip

    def test_of_a_crash_inside_a_check(self, saved: Any, monkeypatch: pytest.MonkeyPatch):
        def crash(*_: object) -> float:
            raise ZeroDivisionError("division by zero")

        monkeypatch.setattr(behaviour, "coupling", crash)
        code, out, _ = saved(planted.network())
        assert code == 3
        assert "Not checked: acting-on-batch (ZeroDivisionError: division by zero)." in out
        assert out.endswith("The network could not be examined.\n")

    def test_of_a_fault_beside_a_crash(self, saved: Any, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(behaviour, "forgets_shifts", None)
        code, out, _ = saved(planted.network(planted.without_statistics, bias=True))
        assert code == 1
        assert "Not checked: bias-before-norm (TypeError: 'NoneType' object is not callable)." in " ".join(out.split())

    def test_of_a_network_that_cannot_be_run(self, saved: Any):
        code, out, _ = saved(nn.Sequential(Fails(4, 2), nn.BatchNorm1d(2)))
        assert code == 3
        assert "(ArithmeticError: no numbers today; give inputs=input)" in " ".join(out.split())

    def test_of_an_environment_in_this_folder(self, doctor: Doctor, tmp_path: Path):
        (tmp_path / "my_pole.py").write_text(
            "import gymnasium as gym\n"
            "from gymnasium.envs.classic_control import CartPoleEnv\n"
            'gym.register("Pole-v0", CartPoleEnv, max_episode_steps=100)\n'
        )
        torch.save(planted.network(), "net.pt")
        code, out, err = doctor("net.pt", "--trust", "--env", "my_pole:Pole-v0")
        assert (code, out, err) == (0, "Sequential: 1 norm, 13 of 13 checks made.\n\nNothing found.\n", [])
