"""PyTorch's own cases, every one of them, against ours: modules (`module_db`) and functions (`op_db`)."""

import inspect
import itertools
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rlnorm.nn
from rlnorm.nn import functional
from rlnorm.nn.laws import close
from tests.nn.differences import (
    COUNTERS,
    ERRORS,
    FUNCTION_SAMPLES,
    LEFT_OUT,
    MODULE_ERRORS,
    MODULE_INPUTS,
    TOOLS,
    VALUES,
    page,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

NAMES = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "RMSNorm", "GroupNorm",
         "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")  # fmt: skip
FUNCTIONS = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm")
DTYPES = (torch.float64, torch.float32)
MODULE_INFOS = {info.name: info for info in module_db if info.name in {f"nn.{name}" for name in NAMES}}
OP_INFOS = {info.name: info for info in op_db if info.name in {f"nn.functional.{name}" for name in FUNCTIONS}}


def module_inputs(name: str, dtype: torch.dtype, training: bool):
    info = MODULE_INFOS[name]
    return info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)


MODULE_CASES = [
    pytest.param(name, dtype, training, i, id=f"{name}-{dtype}-{'train' if training else 'eval'}-{case.desc or i}")
    for name, dtype, training in itertools.product(MODULE_INFOS, DTYPES, (True, False))
    for i, case in enumerate(module_inputs(name, dtype, training))
]
SAMPLES = [
    pytest.param(name, dtype, i, id=f"{name}-{dtype}-{i}")
    for name, dtype in itertools.product(OP_INFOS, DTYPES)
    for i, _ in enumerate(OP_INFOS[name].sample_inputs("cpu", dtype))
]


BOTH = [(getattr(rlnorm.nn, name), getattr(nn, name)) for name in (*NAMES, "Dropout", "AlphaDropout", "SELU")] + [
    (getattr(functional, name), getattr(nn.functional, name)) for name in functional.__all__
]


@pytest.mark.parametrize(("ours", "theirs"), BOTH, ids=lambda function: function.__name__)
def test_signatures_are_torchs(ours, theirs):
    """The same names, defaults and order; what is beyond is given by keyword."""
    own, expected = (list(inspect.signature(function).parameters.values()) for function in (ours, theirs))
    expected = [p for p in expected if p.name not in LEFT_OUT]
    assert [(p.name, p.default, p.kind) for p in own[: len(expected)]] == [
        (p.name, p.default, p.kind) for p in expected
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in own[len(expected) :])


FORWARDS = [pair for pair in BOTH if inspect.isclass(pair[0])]


@pytest.mark.parametrize(("ours", "theirs"), FORWARDS, ids=lambda kind: kind.__name__)
def test_inputs_are_named_as_torchs_are(ours, theirs):
    """So that both can be called with the input by keyword."""
    assert list(inspect.signature(ours.forward).parameters) == list(inspect.signature(theirs.forward).parameters)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_instance_norm_takes_an_eps_of_0(n, rng):
    x = torch.randn(2, 4, *(3,) * n, generator=rng)
    ours, theirs = (getattr(lib, f"InstanceNorm{n}d")(4, eps=0) for lib in (rlnorm.nn, nn))
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(functional.instance_norm(x, eps=0), theirs(x))


def error_inputs(name: str):
    info = MODULE_INFOS[name]
    if info.module_error_inputs_func is None:
        return []
    return info.module_error_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=True)


def arguments(case) -> str:
    return ", ".join(f"{k}={v}" for k, v in case.module_error_input.constructor_input.kwargs.items())


def test_no_module_and_no_function_is_missing():
    assert set(MODULE_INFOS) == {f"nn.{name}" for name in NAMES}
    assert set(OP_INFOS) == {f"nn.functional.{name}" for name in FUNCTIONS}


def test_every_difference_listed_is_a_case_of_torchs():
    inputs = {(name, case.desc) for name in MODULE_INFOS for case in module_inputs(name, torch.float64, True)}
    assert set(MODULE_INPUTS) <= inputs
    assert set(MODULE_ERRORS) <= {(name, arguments(case)) for name in MODULE_INFOS for case in error_inputs(name)}
    assert set(FUNCTION_SAMPLES) <= {tuple(case.values[::2]) for case in SAMPLES}


def assert_near(got: list[Tensor], expected: list[Tensor]) -> None:
    """The output first, tightly; gradients less so: with two values to a statistic they cancel to nothing."""
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.dtype == b.dtype
        tolerance = {torch.float64: (1e-12, 1e-9), torch.float32: (1e-5, 1e-3)}.get(a.dtype, (0, 0))
        close(a, b, tolerance[i > 0], f"result {i}")


@pytest.fixture(autouse=True)
def seeded():
    """Torch's cases draw from the global generator."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        yield


def pass_of(module: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.detach().clone().requires_grad_()
    y = module(x)
    grads = torch.autograd.grad(y.pow(3).sum(), [x, *module.parameters()])
    return [y.detach(), *grads]


@pytest.mark.parametrize(("name", "dtype", "training", "i"), MODULE_CASES)
def test_module_case(name, dtype, training, i):
    case = module_inputs(name, dtype, training)[i]
    args, kwargs = case.constructor_input.args, case.constructor_input.kwargs
    kind = name.removeprefix("nn.")
    theirs = getattr(nn, kind)(*args, **kwargs).to(dtype).train(training)
    ours = getattr(rlnorm.nn, kind)(*args, **kwargs).to(dtype).train(training)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    ours.load_state_dict(theirs.state_dict())
    for _ in range(2):
        x = case.forward_input.args[0]
        assert_near(pass_of(ours, x), pass_of(theirs, x))
        for key, buffer in theirs.named_buffers():
            counts = key == "num_batches_tracked"
            if not (counts and (name in COUNTERS or (name, case.desc) in MODULE_INPUTS)):
                assert_near([dict(ours.named_buffers())[key]], [buffer])
    theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("name", MODULE_INFOS)
def test_module_errors(name):
    for case in error_inputs(name):
        given = case.module_error_input
        differs = (name, arguments(case)) in MODULE_ERRORS
        kind = getattr(rlnorm.nn, name.removeprefix("nn."))
        at_construction = case.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR or differs
        if at_construction:
            with pytest.raises(case.error_type):
                kind(*given.constructor_input.args, **given.constructor_input.kwargs)
        else:
            module = kind(*given.constructor_input.args, **given.constructor_input.kwargs)
            with pytest.raises(case.error_type):
                module(*given.forward_input.args)


def op_errors(name: str):
    info = OP_INFOS[name]
    return list(info.error_inputs("cpu")) if info.error_inputs_func is not None else []


def call(function, sample) -> list[Tensor]:
    copies = [
        [a.detach().clone().requires_grad_(a.requires_grad) if isinstance(a, Tensor) else a for a in group]
        for group in ((sample.input, *sample.args), sample.kwargs.values())
    ]
    kwargs = dict(zip(sample.kwargs, copies[1], strict=True))
    y = function(*copies[0], **kwargs)
    tensors = [a for a in (*copies[0], *copies[1]) if isinstance(a, Tensor)]
    leaves = [a for a in tensors if a.requires_grad]
    grads = torch.autograd.grad(y.pow(3).sum(), leaves, allow_unused=True) if leaves and y.requires_grad else ()
    statistics = [a for a in tensors if not a.requires_grad]
    return [y.detach(), *(torch.zeros(()) if g is None else g for g in grads), *statistics]


@pytest.mark.parametrize(("name", "dtype", "i"), SAMPLES)
def test_function_sample(name, dtype, i):
    kind = name.removeprefix("nn.functional.")
    sample = next(itertools.islice(OP_INFOS[name].sample_inputs("cpu", dtype, requires_grad=True), i, None))
    if (name, i) in FUNCTION_SAMPLES:
        with pytest.raises((RuntimeError, ValueError), match=r"expected input of shape|eps must be"):
            call(getattr(functional, kind), sample)
        return
    ours, theirs = (call(getattr(module, kind), sample) for module in (functional, nn.functional))
    assert_near(ours, theirs)


@pytest.mark.filterwarnings("ignore:.*num_features", "ignore:Mismatch dtype")
@pytest.mark.parametrize("what", ERRORS)
def test_other_errors(what):
    act, theirs, ours, _ = ERRORS[what]
    for lib, error, other in ((nn, theirs, ours), (rlnorm.nn, ours, theirs)):
        if error is None:
            act(lib)
            continue
        with pytest.raises(error) as found:
            act(lib)
        assert found.type is not other


@pytest.mark.parametrize("what", VALUES)
def test_other_answers(what):
    ask, theirs, ours, _ = VALUES[what]
    assert (ask(nn), ask(rlnorm.nn)) == (theirs, ours)
    assert theirs != ours


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("tool", TOOLS)
def test_tools_that_know_norms_by_torchs_class_do_as_listed(tool):
    does, _, _ = TOOLS[tool]
    assert does()


def test_documentation_is_made_from_the_table_of_differences():
    assert page() in (Path(__file__).parents[2] / "docs" / "differences.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OP_INFOS)
def test_function_errors(name):
    kind = name.removeprefix("nn.functional.")
    for case in op_errors(name):
        sample = case.sample_input
        with pytest.raises(case.error_type):
            getattr(functional, kind)(sample.input, *sample.args, **sample.kwargs)
