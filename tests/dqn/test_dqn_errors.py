from typing import Any

import pytest

import rlnorm.dqn
from rlnorm.errors import ConfigError

FINE: dict[str, Any] = {
    "env": "CartPole-v1",
    "seeds": [0, 1],
    "rates": [1e-3, 1e-3],
    "steps": 200,
    "norm": "none",
    "norm_kwargs": None,
    "place": "before",
    "sites": ("hidden",),
    "hidden": (8,),
    "channels": (16,),
    "kernel": 3,
    "activation": "relu",
    "init": "torch",
    "init_scale": 1.0,
    "recipe": "supervised",
    "modes": None,
    "loss": "squared",
    "double": False,
    "clip": None,
    "optimizer": "adam",
    "discount": 0.99,
    "reward_scale": 1.0,
    "normalize_observations": False,
    "batch": 16,
    "buffer": 100,
    "starts": 100,
    "collect": None,
    "train_every": 10,
    "updates": 1,
    "target_every": 50,
    "tau": 1.0,
    "epsilon": (1.0, 0.05, 0.5),
    "envs": 1,
    "probes": 20,
    "compile": False,
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
    ({"tau": 0.0}, "tau is the share of the online parameters that the target takes, in (0, 1], got 0.0."),
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
    ({"train_every": 201}, "no update would ever be made: one comes at every multiple of 201 steps beyond the first"),
    ({"starts": 190, "steps": 195}, "no update would ever be made: one comes at every multiple of 10 steps beyond the"),
    ({"hidden": 8}, "hidden is a list, got 8; write (8,)."),
    ({"sites": "hidden"}, "sites is a list, got 'hidden'; write ('hidden',)."),
    ({"epsilon": (1.0, 0.05)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"collect": 0}, "collect must let the replay take in at least one step of 1 environments, got 0."),
    ({"train_every": 0}, "train_every must be at least 1, got 0."),
    ({"updates": 0}, "updates must be at least 1, got 0."),
    ({"target_every": -5}, "target_every must be at least 1, got -5."),
    ({"envs": 0}, "envs must be at least 1, got 0."),
    ({"batch": 0}, "batch must be at least 1, got 0."),
    ({"batch": 101}, "a batch of 101 cannot be drawn from a buffer of 100 transitions."),
    ({"envs": 101, "steps": 202}, "101 environments per agent need a buffer of at least as many transitions, got 100."),
    ({"envs": 300, "buffer": 300}, "300 environments per agent make 300 steps at once, beyond the budget of 200."),
    ({"epsilon": (1.5, 0.05, 0.5)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"epsilon": (1.0, -0.1, 0.5)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"epsilon": (1.0, 0.05, 0.0)}, "epsilon is (start, end, fraction) with 0 <= start, end <= 1"),
    ({"seeds": [], "rates": []}, "number of seeds must be at least 1, got 0."),
    ({"seeds": [-1, 0]}, "seeds must not be negative, got -1."),
    ({"rates": [1e-3]}, "one learning rate per seed is needed, got 1 rates for 2 seeds."),
    ({"rates": [1e-3, 0.0]}, "learning rates must be positive and finite, got 0.0."),
]


def test_good_settings_have_no_errors():
    assert not list(rlnorm.dqn.errors(**FINE))
    next(rlnorm.dqn.train(**FINE))


@pytest.mark.parametrize(("setting", "sentence"), CASES, ids=str)
def test_each_error_is_one_sentence_before_anything_runs(setting, sentence):
    with pytest.raises(ConfigError) as raised:
        next(rlnorm.dqn.train(**{**FINE, **setting}))
    (found,) = raised.value.sentences
    assert found.startswith(sentence)
    assert found.endswith(".")


@pytest.mark.parametrize(("name", "also"), [("steps", 2), ("buffer", 2)])
def test_a_budget_or_buffer_of_zero(name, also):
    """What cannot be fitted into it is named too."""
    found = list(rlnorm.dqn.errors(**{**FINE, name: 0}))
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
