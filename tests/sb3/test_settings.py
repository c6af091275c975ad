"""Norms as a user writes them."""

import pytest
from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.nn import BatchNorm2d
from rlnorm.sb3.settings import NONE, Setting, setting, settings

PARTS = ("features", "pi", "qf")
NO_NAME = "norm must be a short name or the path of a norm file, got"


def test_one_value_is_for_all_parts():
    assert settings(PARTS, "batch", "after", {"eps": 0.1}) == dict.fromkeys(
        PARTS, Setting("batch", "after", {"eps": 0.1})
    )


def test_a_dict_is_by_part_and_what_it_leaves_out_has_no_norm():
    chosen = settings(PARTS, {"pi": "layer", "qf": "batch"}, {"qf": "after"}, {"qf": {"momentum": 0.01}})
    assert chosen == {
        "features": Setting(),
        "pi": Setting("layer"),
        "qf": Setting("batch", "after", {"momentum": 0.01}),
    }


@pytest.mark.parametrize("norm", [None, "none", {"pi": None, "qf": "none"}], ids=str)
def test_none_is_no_norm(norm):
    assert settings(PARTS, norm, "before", None) == dict.fromkeys(PARTS, NONE)
    assert setting(None, "before", None) == NONE


def test_none_is_the_default_of_a_part_everywhere():
    assert settings(PARTS, {"pi": "layer", "qf": None}, {"pi": None}, {"pi": None})["pi"] == Setting("layer")


@pytest.mark.parametrize(
    ("norm", "place", "kwargs", "said"),
    [
        ("bacth", "before", None, "unknown norm 'bacth'. Did you mean 'batch'?"),
        ("batch", "befor", None, "unknown place 'befor'. Did you mean 'before'?"),
        ({"fq": "batch"}, "before", None, "unknown part in norm 'fq'. Did you mean 'qf'?"),
        ({"qf": "batch"}, "before", {"eps": 0.1}, "unknown part in norm_kwargs 'eps'."),
        ({"qf": "batch"}, "before", {"qf": 0.1}, "norm_kwargs must be a dict of arguments of norm 'batch', got 0.1."),
        (
            "layer",
            "before",
            {"momentum": 0.1},
            "norm 'layer': got an unexpected keyword argument 'momentum'; it takes:",
        ),
        ("none", "before", {"eps": 0.1}, "norm_kwargs has eps, and there is no norm to take them: name one"),
        ({"pi": "layer"}, "before", {"qf": {"eps": 0.1}}, "norm_kwargs has eps, and there is no norm to take them"),
        ("batch", "before", {"qf": {"eps": 0.1}}, "norm_kwargs is by part where norm is: write norm as a dict"),
        ({"qf": "batch"}, "before", [0.1], "norm_kwargs must be a dict, got [0.1]."),
        ("batch", "before", {"dtype": "float64"}, "norm_kwargs takes no dtype: norms have the model's."),
        ("batch", "after", {"track_running_stats": False}, "norm 'batch' without running statistics"),
        (1, "before", None, "norm must be a short name or the path of a norm file, got 1. Expected one of: none, ba"),
        (nn.LayerNorm, "before", None, f"{NO_NAME} the class LayerNorm. Expected 'layer'."),
        (BatchNorm2d, "before", None, f"{NO_NAME} the class BatchNorm2d. Expected 'batch'."),
        ({"qf": nn.Dropout}, "before", None, f"{NO_NAME} the class Dropout. Expected one of: none, batch, batch_ren"),
    ],
)
def test_what_is_wrong_is_said(norm, place, kwargs, said):
    with pytest.raises(ConfigError) as error:
        settings(PARTS, norm, place, kwargs)
    assert len(error.value.sentences) == 1
    assert error.value.sentences[0].startswith(said)


def test_everything_is_said_at_once():
    with pytest.raises(ConfigError) as error:
        settings(PARTS, "bacth", "befor", None)
    assert len(error.value.sentences) == 2
