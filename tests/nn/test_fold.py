"""Batch norms folded away."""

import copy
import threading
import warnings
from functools import partial

import pytest
import torch
from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.nn import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    BatchRenorm1d,
    LayerNorm,
    MeanOnlyBatchNorm1d,
    convert,
    fold,
    set_mode,
)
from rlnorm.nn.fold import Absorbed, Affine
from tests.nn.foreign import FOREIGN

CONVS = {
    1: nn.Sequential(nn.Conv1d(3, 4, 2), BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 2, 2, bias=False), BatchNorm1d(2)),
    2: nn.Sequential(nn.Conv2d(3, 4, 2), BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 2, bias=False), nn.BatchNorm2d(2)),
    3: nn.Sequential(nn.Conv3d(3, 4, 2), BatchNorm3d(4), nn.ReLU(), nn.Conv3d(4, 2, 2, bias=False), BatchNorm3d(2)),
}
LINEARS = {
    "linear": nn.Sequential(nn.Linear(3, 4), BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)),
    "without affine": nn.Sequential(nn.Linear(3, 4, bias=False), BatchNorm1d(4, affine=False)),
    "renorm": nn.Sequential(nn.Linear(3, 4), BatchRenorm1d(4)),
    "mean only": nn.Sequential(nn.Linear(3, 4), MeanOnlyBatchNorm1d(4)),
    "two in a row": nn.Sequential(nn.Linear(3, 4), BatchNorm1d(4), BatchNorm1d(4)),
    "nested": nn.Sequential(nn.Sequential(nn.Linear(3, 4), BatchNorm1d(4)), nn.ReLU()),
    "after dropout": nn.Sequential(nn.Linear(3, 4), nn.Dropout(), BatchNorm1d(4)),
}


def trained(model: nn.Module, x: torch.Tensor) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
        model.double().train()(2 * x + 1)
    return model.eval()


@pytest.mark.parametrize("name", LINEARS)
def test_folded_linear_is_equal_and_has_no_norm(name, rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(LINEARS[name], x)
    folded = fold(model, notice=pytest.fail)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    assert {type(m) for m in folded.modules()} <= {nn.Sequential, nn.Linear, nn.ReLU, Absorbed, nn.Dropout}


@pytest.mark.parametrize("ndim", CONVS)
def test_folded_conv_is_equal(ndim, rng):
    x = torch.randn(4, 3, *(4,) * ndim, generator=rng, dtype=torch.float64)
    model = trained(CONVS[ndim], x)
    folded = fold(model, notice=pytest.fail)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)


class Free(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = BatchNorm1d(3), nn.Linear(3, 3)

    def forward(self, x):
        return self.linear(self.norm(x))


def test_what_cannot_be_absorbed_is_said_and_left_as_a_multiply_add(rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(nn.Sequential(BatchNorm1d(3), nn.Linear(3, 3), nn.ReLU(), BatchNorm1d(3), Free()), x)
    said: list[str] = []
    folded = fold(model, said.append)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    assert said == [
        "0 (BatchNorm1d) is left as a multiply-add: no Linear or Conv stands right before it",
        "3 (BatchNorm1d) is left as a multiply-add: no Linear or Conv stands right before it",
        "4.norm (BatchNorm1d) is left as a multiply-add: it does not stand in a Sequential",
    ]


def test_a_norm_alone_is_a_multiply_add(rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    norm = trained(BatchNorm1d(3), x)
    with pytest.warns(UserWarning, match=r"the model \(BatchNorm1d\) is left as a multiply-add: it does not stand"):
        folded = fold(norm)
    assert isinstance(folded, Affine)
    torch.testing.assert_close(folded(x), norm(x))


def test_the_model_itself_and_other_norms_stay(rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(nn.Sequential(nn.Linear(3, 3), LayerNorm(3), BatchNorm1d(3)), x)
    before = model(x)
    with pytest.warns(UserWarning, match=r"2 \(BatchNorm1d\) is left as a multiply-add: no Linear"):
        folded = fold(model)
    assert isinstance(folded.get_submodule("1"), LayerNorm)
    torch.testing.assert_close(model(x), before)


def test_is_not_folded_through_dropout_that_drops(rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(nn.Sequential(nn.Linear(3, 3), nn.Dropout(), BatchNorm1d(3)), x)
    set_mode(model.train(), "eval")
    said: list[str] = []
    folded = fold(model, said.append)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = model(x)
        torch.manual_seed(0)
        torch.testing.assert_close(folded(x), expected, rtol=1e-12, atol=1e-12)
    assert said == ["2 (BatchNorm1d) is left as a multiply-add: no Linear or Conv stands right before it"]


class Doubling(nn.Identity):
    def forward(self, input):
        return 2 * input


@pytest.mark.parametrize("hooked", [True, False])
def test_is_not_folded_through_an_identity_that_is_more(hooked, rng):
    x, between = torch.randn(8, 3, generator=rng, dtype=torch.float64), nn.Identity() if hooked else Doubling()
    if hooked:
        between.register_forward_hook(lambda *args: 2 * args[-1])
    model = trained(nn.Sequential(nn.Linear(3, 3), between, BatchNorm1d(3)), x)
    said: list[str] = []
    torch.testing.assert_close(fold(model, said.append)(x), model(x), rtol=1e-12, atol=1e-12)
    assert len(said) == 1


class Doubled(BatchNorm1d):
    def forward(self, input):
        return 2 * super().forward(input)


class DoubledTorchs(nn.BatchNorm1d):
    def forward(self, input):
        return 2 * super().forward(input)


class Named(nn.BatchNorm1d):
    """Torch's in all but its name."""


def hooked_before() -> nn.Module:
    norm = BatchNorm1d(3)
    norm.register_forward_pre_hook(lambda _, args: (2 * args[0],))
    return norm


def hooked_after() -> nn.Module:
    norm = nn.BatchNorm1d(3)
    norm.register_forward_hook(lambda *args: 2 * args[-1])
    return norm


def patched() -> nn.Module:
    norm = BatchNorm1d(3)
    norm.forward = lambda input: input.square()
    return norm


LEFT = {
    "has a forward of its own": [Doubled(3), DoubledTorchs(3), patched()],
    "has hooks": [hooked_before(), hooked_after()],
}


@pytest.mark.parametrize(("why", "norm"), [(why, norm) for why, norms in LEFT.items() for norm in norms])
@pytest.mark.parametrize("alone", [True, False])
def test_a_norm_that_is_more_than_one_is_left_and_said(why, norm, alone, rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(norm if alone else nn.Sequential(nn.Linear(3, 3), norm, BatchNorm1d(3)), x)
    said: list[str] = []
    torch.testing.assert_close(fold(model, said.append)(x), model(x), rtol=1e-12, atol=1e-12)
    assert said[0] == f"{'the model' if alone else '1'} ({type(norm).__name__}) is left as it is: it {why}"
    assert len(said) == 2 - alone


def test_a_subclass_with_torchs_forward_is_folded(rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(nn.Sequential(nn.Linear(3, 3), Named(3)), x)
    torch.testing.assert_close(fold(model, notice=pytest.fail)(x), model(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["train", "batch", "track"])
def test_refuses_any_mode_but_eval(mode):
    with pytest.raises(ValueError, match=rf"cannot fold 1 \(BatchNorm1d\): it is in mode '{mode}', expected 'eval'"):
        fold(set_mode(nn.Sequential(nn.Linear(3, 3), BatchNorm1d(3)), mode))


def test_refuses_norms_without_statistics():
    model = nn.Sequential(nn.Linear(3, 3), BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(ValueError, match="has no running statistics"):
        fold(model)


def shared_linear() -> nn.Module:
    linear = nn.Linear(3, 3)
    return nn.Sequential(linear, BatchNorm1d(3), nn.ReLU(), linear)


def hooked() -> nn.Module:
    linear = nn.Linear(3, 3)
    linear.register_forward_hook(lambda _, args, y: y + args[0])
    return nn.Sequential(linear, BatchNorm1d(3))


NOT_ABSORBED = {
    "used more than once": shared_linear,
    "parametrized": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), BatchNorm1d(3)),
    "hooked": hooked,
}


@pytest.mark.parametrize("why", NOT_ABSORBED)
def test_a_layer_that_is_more_than_its_weights_is_left_alone(why, rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(NOT_ABSORBED[why](), x)
    said: list[str] = []
    folded = fold(model, said.append)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    assert len(said) == 1
    assert why in said[0]


def test_a_norm_in_two_places_is_folded_in_both(rng):
    x, norm = torch.randn(8, 3, generator=rng, dtype=torch.float64), BatchNorm1d(3)
    model = trained(nn.Sequential(nn.Linear(3, 3), norm, nn.ReLU(), nn.Linear(3, 3), norm), x)
    folded = fold(model, notice=pytest.fail)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    assert not any(isinstance(m, BatchNorm1d) for m in folded.modules())


@pytest.mark.parametrize("length", [2, 3])
def test_a_linear_that_took_up_a_norm_refuses_sequences(length, rng):
    model = trained(nn.Sequential(nn.Linear(3, 3), BatchNorm1d(3)), torch.randn(8, 3, generator=rng).double())
    with pytest.raises(RuntimeError, match="right for 2-D outputs only"):
        fold(model)(torch.randn(4, length, 3, generator=rng).double())


HALF = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("stands", ["alone", "behind a layer", "behind nothing"])
def test_the_result_has_the_layers_dtype_beside_a_norm_in_float32(dtype, stands, rng):
    layers = {"alone": [], "behind a layer": [nn.Linear(3, 3).to(dtype)], "behind nothing": [nn.ReLU()]}[stands]
    norm = BatchNorm1d(3) if stands == "alone" else nn.BatchNorm1d(3)
    norm(2 * torch.randn(64, 3, generator=rng) + 1)
    model = nn.Sequential(*layers, norm).eval() if layers else norm.eval()
    x = torch.randn(8, 3, generator=rng).to(dtype)
    folded = fold(model, notice=lambda _: None)
    assert folded(x).dtype == dtype
    torch.testing.assert_close(folded(x), model(x), rtol=0.05, atol=0.05)


class HeldInAList(nn.Module):
    """Runs its layers through a list, which the tree of modules does not show."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 3), BatchNorm1d(3), nn.ReLU())
        self.steps = {"first": list(self.net)}

    def forward(self, x):
        for step in self.steps["first"]:
            x = step(x)
        return x


def test_what_a_list_holds_too_still_computes_the_same(rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    model = trained(HeldInAList(), x)
    said: list[str] = []
    folded = fold(model, said.append)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(folded.get_submodule("net")(x), model(x), rtol=1e-12, atol=1e-12)
    assert said == ["net.1 (BatchNorm1d) is left as a multiply-add: something outside of the module tree holds it too"]


@pytest.mark.parametrize("name", [name for name in LINEARS if name != "without affine"])
def test_frozen_parameters_stay_frozen_and_others_learn(name, rng):
    x = torch.randn(8, 3, generator=rng, dtype=torch.float64)
    for frozen in (True, False):
        model = trained(copy.deepcopy(LINEARS[name]), x).requires_grad_(not frozen)
        assert {p.requires_grad for p in fold(model, notice=pytest.fail).parameters()} == {not frozen}


def test_an_affine_learns_as_its_norm_did():
    for norm, learns in ((BatchNorm1d(3), True), (BatchNorm1d(3).requires_grad_(False), False)):
        folded = fold(norm.eval(), notice=lambda _: None)
        assert {p.requires_grad for p in folded.parameters()} == {learns}
    alone = fold(BatchNorm1d(3, affine=False).eval(), notice=lambda _: None)
    assert not any(p.requires_grad for p in alone.parameters())


def test_a_bias_that_nothing_learned_is_not_learned_afterwards():
    folded = fold(LINEARS["without affine"].eval(), notice=pytest.fail)
    assert {name: p.requires_grad for name, p in folded.named_parameters()} == {"0.weight": True, "0.bias": False}


class KeepsAnActivation(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 3), BatchNorm1d(3))
        self.kept: list[torch.Tensor] = []

    def forward(self, x):
        self.last = self.net(x)
        self.kept.append(self.last)
        return self.last


def with_old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 3)), BatchNorm1d(3))


each_tool = pytest.mark.parametrize(
    "tool", [partial(fold, notice=lambda _: None), partial(convert, swaps={"rms": None})]
)


@pytest.mark.parametrize("make", [KeepsAnActivation, with_old_weight_norm])
@each_tool
def test_models_that_hold_tensors_of_a_graph_are_copied(make, tool, rng):
    model = make()
    model(torch.randn(8, 3, generator=rng))
    copied = tool(model.eval())
    x = torch.randn(8, 3, generator=rng)
    assert copied(x).shape == (8, 3)
    assert copied is not model


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Locked, r"^Locked cannot be copied: TypeError: cannot pickle '_thread.lock' object\.$"),
        (
            lambda: nn.Sequential(nn.LazyBatchNorm1d()),
            r"^Sequential cannot be copied: LazyBatchNorm1d has no statistics before its first pass\.$",
        ),
    ],
)
@each_tool
def test_models_that_cannot_be_copied_are_refused_in_one_sentence(make, said, tool):
    with pytest.raises(ConfigError, match=said):
        tool(make().eval())


@pytest.mark.parametrize(("make", "library"), FOREIGN)
def test_a_norm_of_another_library_is_named_as_left_alone(make, library, rng):
    x = torch.randn(8, 3, generator=rng)
    model = nn.Sequential(nn.Linear(3, 3), make(3), nn.Linear(3, 3), BatchNorm1d(3)).eval()
    said: list[str] = []
    folded = fold(model, said.append)
    assert said == [f"1 ({make.__name__}) of {library} is left as it is: fold does not know it"]
    torch.testing.assert_close(folded(x), model(x))
    with pytest.warns(UserWarning, match="is left as it is: fold does not know it"):
        fold(model)


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")
def test_norms_whose_class_a_script_hides_are_named_as_left_alone():
    said: list[str] = []
    fold(torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()), said.append)
    assert said == ["1 (RecursiveScriptModule) of torch is left as it is: fold does not know it"]
