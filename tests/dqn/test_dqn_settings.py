import math
from typing import Any

import numpy as np
import pytest
import tiny

import rlnorm.dqn
from rlnorm.dqn import Settings
from rlnorm.dqn.recipes import RECIPES
from rlnorm.errors import ConfigError
from rlnorm.study.plan import Unit, training_unit
from rlnorm.study.plan.request import compared
from rlnorm.study.run import Store
from tests.dqn.watching import rows

FINE: dict[str, Any] = {
    "env": "CartPole-v1",
    "seeds": [0, 1],
    "rates": [1e-3, 1e-3],
    "steps": 200,
    "hidden": (8,),
    "batch": 16,
    "buffer": 100,
    "starts": 100,
    "train_every": 10,
    "target_every": 50,
}
UNKNOWN_ENVIRONMENT = "unknown environment 'CartPol-v1'. Did you mean 'CartPole-v1'?"
CASES = [
    ({"env": "CartPol-v1"}, UNKNOWN_ENVIRONMENT),
    ({"env": "Pendulum-v1"}, "DQN needs a finite set of actions, but 'Pendulum-v1' has Box("),
    ({"env": "Blackjack-v1"}, "the network reads vectors or images, but 'Blackjack-v1' observes Tuple("),
    ({"norm": "bacth"}, "unknown norm 'bacth'. Did you mean 'batch'?"),
    ({"norm": "instance"}, "norm 'instance' has no form for 0 spatial dimensions"),
    ({"place": "afer"}, "unknown place 'afer'. Did you mean 'after'?"),
    ({"activation": "tan"}, "unknown activation 'tan'. Did you mean 'tanh'?"),
    ({"init": "le_cun"}, "unknown init 'le_cun'. Did you mean 'lecun'?"),
    ({"init_scale": -1.0}, "init_scale must be positive and finite, got -1.0."),
    ({"hidden": (8, 0)}, "hidden layers need at least one unit each, got (8, 0)."),
    ({"norm": "batch", "norm_kwargs": {"epsilon": 1}}, "norm 'batch': got an unexpected keyword argument 'epsilon'"),
    ({"norm": "batch", "sites": ("hiden",)}, "unknown site 'hiden'. Did you mean 'hidden'?"),
    ({"norm": "batch", "batch": 1}, "online in mode 'train' takes batch statistics, of a single observation"),
    ({"norm": "batch", "recipe": "naive"}, "acting in mode 'train' takes batch statistics, of a single observation"),
    ({"modes": {"online": "tain"}}, "unknown value of modes['online'] 'tain'. Did you mean 'train'?"),
    ({"target_every": None, "double": True}, "double Q-learning needs a target network"),
    ({"tau": 0.0}, "tau is a fraction of the online parameters and must lie in (0, 1], got 0.0."),
    ({"probes": -1}, "probes must not be negative, got -1."),
    ({"reward_scale": 0.0}, "reward_scale must be positive and finite, got 0.0."),
    ({"recipe": "supervise"}, "unknown recipe 'supervise'. Did you mean 'supervised'?"),
    ({"loss": "hubert"}, "unknown loss 'hubert'. Did you mean 'huber'?"),
    ({"optimizer": "adamw"}, "unknown optimizer 'adamw'. Did you mean 'adam'?"),
    ({"clip": 0.0}, "clip must be a positive norm, or None for no clipping, got 0.0."),
    ({"discount": 1.0}, "discount must lie in [0, 1), got 1.0."),
    ({"discount": float("nan")}, "discount must lie in [0, 1), got nan."),
    ({"starts": -1}, "starts must not be negative, got -1."),
    ({"starts": 200}, "learning would start after 200 steps, beyond the budget of 200."),
    ({"train_every": 201}, "the run would have no update: one comes at every multiple of 201 steps beyond the first"),
    ({"starts": 190, "steps": 195}, "the run would have no update: one comes at every multiple of 10 steps beyond the"),
    ({"epsilon": (1.0, 0.05)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"collect": 0}, "collect must be at least one step of all 1 environments, got 0."),
    ({"assisted": 1.5, "envs": 2}, "assisted is a fraction of the budget and must lie in [0, 1], got 1.5."),
    ({"assisted": 0.5}, "assisted takes one of an agent's environments: envs must be at least 2, got 1."),
    ({"offline": True, "collect": 50}, "collect has no effect offline, where agents make no step: leave it out."),
    ({"offline": True, "normalize_observations": True}, "normalize_observations has no effect offline"),
    ({"offline": True, "assisted": 0.5, "envs": 2}, "assisted has no effect offline"),
    ({"environments": "gymnasum"}, "unknown environments 'gymnasum'. Did you mean 'gymnasium'?"),
    ({"train_every": 0}, "train_every must be at least 1, got 0."),
    ({"updates": 0}, "updates must be at least 1, got 0."),
    ({"target_every": -5}, "target_every must be at least 1, got -5."),
    ({"envs": 0}, "envs must be at least 1, got 0."),
    ({"batch": 0}, "batch must be at least 1, got 0."),
    ({"batch": 101}, "a batch of 101 cannot be drawn from a buffer of 100 transitions."),
    ({"envs": 101, "steps": 202}, "101 environments per agent need a buffer of at least as many transitions, got 100."),
    ({"envs": 300, "buffer": 300}, "one step of 300 environments is 300 steps, beyond the budget of 200."),
    ({"epsilon": (1.5, 0.05, 0.5)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"epsilon": (1.0, -0.1, 0.5)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"epsilon": (1.0, 0.05, 0.0)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"seeds": [], "rates": []}, "number of seeds must be at least 1, got 0."),
    ({"seeds": [-1, 0]}, "seeds must not be negative, got -1."),
    ({"rates": [1e-3]}, "one learning rate per seed is needed, got 1 rates for 2 seeds."),
    ({"rates": [1e-3, 0.0]}, "learning rates must be positive and finite, got 0.0."),
]
OF_ANOTHER_KIND = [
    ({"env": 1}, "env must be a string, got 1."),
    ({"hidden": 8}, "hidden must be a list of whole numbers, got 8; write (8,)."),
    ({"hidden": (8, "8")}, "hidden must be a list of whole numbers, got (8, '8')."),
    ({"sites": "hidden"}, "sites must be a list of strings, got 'hidden'; write ('hidden',)."),
    ({"seeds": 3}, "seeds must be a list of whole numbers, got 3; write (3,)."),
    ({"steps": 200.0}, "steps must be a whole number, got 200.0."),
    ({"discount": "0.9"}, "discount must be a number, got '0.9'."),
    ({"double": 1}, "double must be True or False, got 1."),
    ({"train_every": True}, "train_every must be a whole number, got True."),
    ({"target_every": "never"}, "target_every must be a whole number or None, got 'never'."),
    ({"modes": "naive"}, "modes must be a mapping or None, got 'naive'."),
    ({"epsilon": 0.1}, "epsilon must be a list of numbers, got 0.1; write (0.1,)."),
]


def test_good_settings_have_no_errors():
    assert not list(Settings.errors_in(FINE))
    next(rlnorm.dqn.train(**FINE))


def test_defaults_are_those_of_cleanrls_dqn():
    """github.com/vwxyzjn/cleanrl, `dqn.py`: its arguments, network, loss and optimizer."""
    run = Settings(env="CartPole-v1", seeds=(1,), rates=(2.5e-4,), steps=500_000)
    assert (run.buffer, run.discount, run.tau, run.target_every, run.batch) == (10_000, 0.99, 1.0, 500, 128)
    assert (run.epsilon, run.starts, run.train_every, run.envs) == ((1.0, 0.05, 0.5), 10_000, 10, 1)
    assert (run.hidden, run.activation, run.loss, run.optimizer, run.clip) == (
        (120, 84),
        "relu",
        "squared",
        "adam",
        None,
    )


@pytest.mark.parametrize(("setting", "sentence"), [*CASES, *OF_ANOTHER_KIND], ids=str)
def test_each_error_is_one_sentence_before_anything_runs(setting, sentence):
    with pytest.raises(ConfigError) as raised:
        next(rlnorm.dqn.train(**{**FINE, **setting}))
    (found,) = raised.value.sentences
    assert found.startswith(sentence)
    assert found.endswith(".")


@pytest.mark.parametrize("name", ["assisted", "offline"])
def test_an_environment_that_no_rule_plays(name, lights):
    found = list(Settings.errors_in({**FINE, "env": lights, "envs": 2, name: 1 if name == "assisted" else True}))
    rules = "CartPole-v1, Acrobot-v1, MountainCar-v0, LunarLander-v3"
    assert found == [f"{name} needs a rule that plays 'Lights-v0'; expected one of: {rules}."]


def test_an_assisted_agent_has_one_environment_less_to_take_batch_statistics_of():
    naive = {**FINE, "norm": "batch", "recipe": "naive", "assisted": 0.5}
    assert len(list(Settings.errors_in({**naive, "envs": 2}))) == 1
    assert not list(Settings.errors_in({**naive, "envs": 3}))


@pytest.mark.parametrize(("name", "also"), [("steps", 2), ("buffer", 2)])
def test_a_budget_or_buffer_of_zero(name, also):
    """What cannot be fitted into it is named too."""
    found = list(Settings.errors_in({**FINE, name: 0}))
    assert f"{name} must be at least 1, got 0." in found
    assert len(found) == 1 + also


def test_all_errors_come_at_once():
    bad = {name: value for settings, _ in CASES for name, value in settings.items()}
    with pytest.raises(ConfigError) as raised:
        next(rlnorm.dqn.train(**{**FINE, **bad, "env": "CartPol-v1", "norm": "bacth", "envs": 0, "batch": 0}))
    sentences = raised.value.sentences
    assert sentences[0].startswith(UNKNOWN_ENVIRONMENT)
    assert len(sentences) == len(set(sentences)) >= 20
    assert str(raised.value) == "\n".join(sentences)


def test_all_values_of_another_kind_come_at_once():
    bad = {name: value for settings, _ in OF_ANOTHER_KIND for name, value in settings.items()}
    assert len(list(Settings.errors_in({**FINE, **bad}))) == len(bad)


def test_an_unknown_setting_is_named_beside_all_other_errors(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as raised:
        next(rlnorm.dqn.train(**{**FINE, "nrom": "layer", "batch": 0, "save": tmp_path / "file"}))
    unknown, batch, save = raised.value.sentences
    assert unknown == "unknown setting 'nrom'. Did you mean 'norm'? Expected a setting of rlnorm.dqn.settings."
    assert batch == "batch must be at least 1, got 0."
    assert save.startswith("cannot write agents to save ")


def test_a_setting_without_a_default_is_asked_for():
    assert list(Settings.errors_in({"env": "CartPole-v1", "rates": [1e-3]})) == [
        "seeds has no default: set it.",
        "steps has no default: set it.",
    ]


def test_numbers_of_any_library_and_integers_for_floats_are_taken():
    """As they are written by hand: a rate of 1, counts out of numpy."""
    changes = {"discount": 0, "clip": 1, "tau": 1, "init_scale": 1, "reward_scale": 2, "epsilon": (1, 0, 1)}
    counts = {"steps": 200, "batch": 16, "buffer": 100, "starts": 100, "train_every": 10, "target_every": 50}
    plain = {**FINE, **{name: value if name == "epsilon" else float(value) for name, value in changes.items()}}
    other = {
        **{name: np.float32(value) if name in ("clip", "tau") else value for name, value in changes.items()},
        **{name: np.int64(value) for name, value in counts.items()},
        "seeds": np.arange(2),
        "rates": [1, np.float64(1)],
        "hidden": np.array([8]),
        "double": np.bool_(False),
        "norm": "batch",
        "norm_kwargs": {"eps": np.float32(0.5)},
    }
    own = {**plain, "rates": [1.0, 1.0], "norm": "batch", "norm_kwargs": {"eps": 0.5}}
    run = Settings(**{**FINE, **other})
    assert run == Settings(**own)
    assert {type(rate) for rate in run.rates} == {float}
    assert {type(value) for value in (run.steps, *run.seeds, *run.hidden)} == {int}
    assert rows(list(rlnorm.dqn.train(**{**FINE, **other}))) == rows(list(rlnorm.dqn.train(**own)))


def test_a_study_takes_an_integer_rate(tmp_path):
    asked = compared("CartPole-v1", ["none", "layer"], seeds=8, steps=2_000, lr=1)
    planned = tiny.units([asked], Store(tmp_path))
    assert [unit.rates for unit in planned] == [(1.0,) * 8] * 2
    assert {type(rate) for unit in planned for rate in unit.rates} == {float}


def test_numpys_numbers_make_the_same_unit():
    def unit(clip: Any, hidden: Any, **members: Any) -> Unit:
        settings = {"env": "CartPole-v1", "clip": clip, "hidden": hidden}
        return training_unit("dqn", settings, **members, label="")

    plain = unit(10.0, (8, 8), seeds=[0, 1], rates=[1.0, 1.0], steps=20_000)
    other = unit(np.float32(10), np.array([8, 8]), seeds=np.arange(2), rates=np.ones(2), steps=np.int64(20_000))
    assert (other.id, other.question) == (plain.id, plain.question)


def test_values_are_bounded_by_ten_times_the_largest_return():
    assert Settings(**FINE, discount=0.9, reward_scale=0.5).q_limit == pytest.approx(10 * 0.5 / (1 - 0.9))
    assert Settings(**{**FINE, "env": "LunarLander-v3"}, discount=0.5).q_limit == pytest.approx(10 * 100 * 2)
    assert Settings(**{**FINE, "env": "LunarLander-v3"}, discount=0.99).q_limit == pytest.approx(10 * 656.3)
    assert math.isinf(Settings(**{**FINE, "env": "MountainCar-v1"}).q_limit)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipe_decides_whose_loop_it_is(recipe):
    """`test_steps.py` holds both loops to stable-baselines3's and to a count by hand."""
    schedule = Settings(**FINE, recipe=recipe, envs=4).schedule
    sb3 = recipe == "sb3"
    assert (schedule.only_random, schedule.coins, schedule.copy_every) == ((100, 1, 48) if sb3 else (0, 4, 50))
    assert schedule.copies_first == sb3
