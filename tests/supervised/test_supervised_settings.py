import re
from typing import Any, get_type_hints

import pytest

import rlnorm.supervised
from rlnorm.errors import ConfigError
from rlnorm.networks import INITS, PLACES
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.supervised import Settings
from rlnorm.tasks.datasets import DATASETS
from tests.alone import MLP_NORMS

FINE: dict[str, Any] = {"dataset": "digits", "seeds": [0, 1, 0], "rates": [0.1, 0.03, 0.01], "steps": 40}
CASES = [
    ({"dataset": "digit"}, "unknown data set 'digit'. Did you mean 'digits'?"),
    ({"optimizer": "sdg"}, "unknown optimizer 'sdg'. Did you mean 'sgd'?"),
    ({"norm": "layr"}, "unknown norm 'layr'. Did you mean 'layer'?"),
    ({"norm": "instance"}, "norm 'instance' has no form for 0 spatial dimensions"),
    ({"norm": "mean_only", "batch": 1}, "norm 'mean_only' takes statistics over the batch and needs at least 2"),
    ({"norm": "batch", "batch": None, "train_size": 1}, "norm 'batch' takes statistics over the batch and needs at"),
    ({"place": "afer"}, "unknown place 'afer'. Did you mean 'after'?"),
    ({"activation": "sigmod"}, "unknown activation 'sigmod'. Did you mean 'sigmoid'?"),
    ({"init": "hee"}, "unknown init 'hee'. Did you mean 'he'?"),
    ({"init_scale": float("inf")}, "init_scale must be above 0 and finite, got inf."),
    ({"init_scale": (1.0, 2.0)}, "init_scale must be one number or one per member, got 2 numbers for 3 members."),
    ({"hidden": (0,)}, "hidden layers need at least one unit each, got (0,)."),
    ({"hidden": ()}, "a network needs at least one hidden layer, got hidden ()."),
    ({"hidden": 64}, "hidden must be a list of whole numbers, got 64; write (64,)."),
    ({"steps": 0}, "steps must be at least 1, got 0."),
    ({"batch": 0}, "batch must be at least 1, got 0."),
    ({"every": 0}, "every must be at least 1, got 0."),
    ({"batch": 1439}, "a batch of 1439 cannot be drawn from 1438 training examples."),
    ({"train_size": 63}, "a batch of 64 cannot be drawn from 63 training examples."),
    ({"train_size": 0}, "train_size must lie between 1 and 1438 for 'digits', got 0."),
    ({"train_size": 1439}, "train_size must lie between 1 and 1438 for 'digits', got 1439."),
    ({"seeds": [], "rates": []}, "number of seeds must be at least 1, got 0."),
    ({"seeds": [0, -2, 1]}, "seeds must not be negative, got -2."),
    ({"rates": [0.1]}, "one learning rate per seed is needed, got 1 rates for 3 seeds."),
    ({"rates": [0.1, float("nan"), 0.1]}, "learning rates must be positive and finite, got nan."),
    ({"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0."),
    ({"momentum": 0.5, "optimizer": "adam"}, "momentum belongs to optimizer 'sgd', got optimizer 'adam'"),
    ({"weight_decay": -1.0}, "weight_decay must be at least 0 and finite, got -1.0."),
    ({"clip": 0.0}, "clip must be above 0 and finite, got 0.0."),
    ({"gamma": 0}, "gamma must be above 0 and finite, got 0."),
    ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0."),
    ({"alpha_dropout": (0.1, 0.2)}, "alpha_dropout must be one number or one per member, got 2 numbers for 3"),
    ({"noise": -0.5}, "noise must be at least 0 and finite, got -0.5."),
    ({"label_noise": (0.1, 1.5, 0.2)}, "label_noise must be at least 0 and below 1, got 1.5."),
    ({"label_noise": float("inf"), "dataset": "teacher"}, "label_noise must be at least 0 and finite, got inf."),
    ({"data_seed": -1}, "data_seed must be at least 0 and finite, got -1."),
    ({"scale_decades": -2.0}, "scale_decades must be at least 0 and finite, got -2.0."),
    ({"test_shift": float("nan")}, "test_shift must be finite, got nan."),
    ({"probes": -1}, "probes must be at least 0 and finite, got -1."),
    ({"budget": "epoch"}, "unknown budget 'epoch'. Did you mean 'epochs'?"),
    ({"evaluate": ("tset",)}, "unknown evaluation 'tset'. Did you mean 'test'?"),
    ({"evaluate": "test"}, "evaluate must be a list of strings, got 'test'; write ('test',)."),
    ({"measure": ("hesian",)}, "unknown measure 'hesian'. Did you mean 'hessian'?"),
    ({"reestimate": "trian"}, "unknown source of statistics 'trian'. Did you mean 'train'?"),
    ({"data_init": True, "norm": "batch"}, "data_init starts weight norms from data, and norm 'batch' is none."),
    (
        {"cell": "gru"},
        "a recurrent net reads sequences, and 'digits' holds vectors of shape (64,); sequences are: digits_rows, "
        "digits_pixels, signals_steps.",
    ),
    ({"dataset": "digits_image", "cell": "tanh"}, "a recurrent net reads sequences, and 'digits_image' holds images"),
    ({"dataset": "digits_rows"}, "'digits_rows' holds sequences, and a recurrent net reads them: cell must be one of"),
    ({"dataset": "digits_rows", "cell": "gruu"}, "unknown recurrent cell 'gruu'. Did you mean 'gru'?"),
    ({"dataset": "digits_rows", "cell": "gru", "norm": "weight"}, "norm 'weight' wraps a layer; a recurrent cell"),
    ({"dataset": "digits_rows", "cell": "gru", "sites": ("last",)}, "a recurrent net has its norms inside the cells"),
    ({"dataset": "digits_rows", "cell": "gru", "dropout": 0.1}, "a recurrent net takes no dropout."),
    ({"dataset": "digits_image", "kernel": 9}, "1 convolutions with a window of 9 x 9 need images of at least 9 x 9"),
]


def errors(**changes: Any) -> list[str]:
    return list(Settings.errors_in({**FINE, **changes}))


@pytest.mark.parametrize(("setting", "sentence"), CASES, ids=str)
def test_each_error_is_one_sentence_before_anything_runs(setting, sentence):
    with pytest.raises(ConfigError) as raised:
        next(rlnorm.supervised.train(**{**FINE, **setting}))
    (found,) = raised.value.sentences
    assert found.startswith(sentence)
    assert found.endswith(".")


def test_all_errors_come_at_once():
    bad = {name: value for settings, _ in CASES for name, value in settings.items()}
    alone = {"evaluate": (), "dataset": "digits", "cell": "gru", "sites": ("last",), "hidden": (0,), "norm": "layr"}
    sentences = errors(**{**bad, **alone, "rates": [], "batch": 0, "optimizer": "sdg", "label_noise": -1.0})
    assert len(sentences) == len(set(sentences)) >= 20
    unknown_too = errors(dataset="digit", norm="layr", hidden=(0,), activation="rleu", rates=[], optimizer="sdg")
    assert len(unknown_too) == 6


@pytest.mark.parametrize("name", DATASETS)
def test_good_settings_have_no_errors(name):
    cell = "gru" if len(DATASETS[name](0).shape) == 2 else None
    per_member = (0.1, 0.5, 0.9)
    for optimizer in OPTIMIZERS:
        momentum = per_member if optimizer == "sgd" else None
        settings = {"optimizer": optimizer, "momentum": momentum, "init_scale": per_member, "clip": per_member}
        assert not errors(dataset=name, cell=cell, weight_decay=per_member, batch=None, **settings)


def test_every_norm_place_and_init_has_no_errors():
    for norm in MLP_NORMS:
        for place in PLACES:
            assert not errors(norm=norm, place=place)
    for init in INITS:
        assert not errors(init=init, dropout=0.1, alpha_dropout=(0.1, 0.2, 0.3), noise=0.5, hidden=(8,) * 50)
    assert not errors(hidden=(), dataset="digits_image")


def test_unknown_and_missing_settings_are_sentences():
    (unknown,) = errors(normm="batch")
    assert unknown.startswith("unknown setting 'normm'. Did you mean 'norm'?")
    (missing,) = Settings.errors_in({name: value for name, value in FINE.items() if name != "dataset"})
    assert missing.startswith("dataset has no default")


@pytest.mark.parametrize(
    ("settings", "batch", "updates"),
    [
        ({}, 64, 10),
        ({"batch": None}, 1438, 10),
        ({"batch": None, "train_size": 100}, 100, 10),
        ({"budget": "epochs"}, 64, 10 * (1438 // 64)),
        ({"budget": "epochs", "batch": None}, 1438, 10),
        ({"budget": "epochs", "batch": 1, "train_size": 7}, 1, 70),
    ],
)
def test_batches_and_updates_of_a_budget_of_ten(settings, batch, updates):
    own = Settings(**{**FINE, "steps": 10, **settings})
    assert (own.batch_size(), own.total_updates) == (batch, updates)


def test_settings_per_member_are_marked_in_the_documentation():
    assert Settings.__doc__
    marked = {name for names in re.findall(r"((?:\w+, )*\w+)\s+\(\*\)", Settings.__doc__) for name in names.split(", ")}
    assert marked - {"marked"} == {
        name for name, kind in get_type_hints(Settings).items() if "float | " in str(kind) and "Sequence" in str(kind)
    }
