"""What the laws' shapes do not reach: overwriting against recording, a sample alone, gamma stacked beside more axes."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import hessian, jacfwd, vmap

from rlnorm import nn
from rlnorm.nn import _standardize as textbook
from rlnorm.nn import _standardize_fast as fast
from rlnorm.nn import functional
from rlnorm.nn._autograd import Kernel, join
from rlnorm.nn._standardize_fast import SHORT

CASES = {
    "layer": ((5, 6), lambda x, w, b: functional.layer_norm(x, (6,), w, b)),
    "layer of a sequence": ((5, 3, 6), lambda x, w, b: functional.layer_norm(x, (6,), w, b)),
    "layer of one sample": ((6,), lambda x, w, b: functional.layer_norm(x, (6,), w, b)),
    "layer of a batch of one": ((1, 6), lambda x, w, b: functional.layer_norm(x, (6,), w, b)),
    "batch": ((5, 6), lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True)),
    "batch of maps": ((5, 6, 2, 3), lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True)),
    "group": ((5, 6), lambda x, w, b: functional.group_norm(x, 3, w, b)),
    "group of maps": ((5, 6, 2, 3), lambda x, w, b: functional.group_norm(x, 3, w, b)),
    "instance": ((5, 6, 4), lambda x, w, b: functional.instance_norm(x, None, None, w, b)),
    "instance of one sample": ((1, 6, 4), lambda x, w, b: functional.instance_norm(x, None, None, w, b)),
}


def drawn(shape, rng):
    tensors = torch.randn(shape, generator=rng), 1 + torch.rand(6, generator=rng), torch.randn(6, generator=rng)
    return [t.double().requires_grad_() for t in tensors]


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_the_same_whether_recorded_or_not(name, rng):
    shape, function = CASES[name]
    leaves = drawn(shape, rng)
    y = function(*leaves)
    g = torch.randn(shape, generator=rng).double()
    plain = torch.autograd.grad(y, leaves, g, retain_graph=True)
    recorded = torch.autograd.grad(y, leaves, g, create_graph=True)
    for a, b in zip(plain, recorded, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_what_the_compiler_traces_gives_the_same(name, rng):
    shape, function = CASES[name]
    leaves = drawn(shape, rng)
    torch._dynamo.reset()
    traced = torch.compile(function, backend="aot_eager", fullgraph=True)(*leaves)
    y = function(*leaves)
    torch.testing.assert_close(traced, y, rtol=1e-12, atol=1e-12)
    g = torch.randn(shape, generator=rng).double()
    for a, b in zip(torch.autograd.grad(traced, leaves, g), torch.autograd.grad(y, leaves, g), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", [jacfwd, hessian])
@pytest.mark.parametrize("name", CASES)
def test_transforms_in_forward_mode_can_be_compiled(name, transform, rng):
    shape, function = CASES[name]
    x, w, b = (t.detach() for t in drawn(shape, rng))

    def derivative(x, w, b):
        return transform(lambda x: function(x, w, b).pow(3).sum())(x)

    torch._dynamo.reset()
    traced = torch.compile(derivative, backend="aot_eager", fullgraph=True)(x, w, b)
    torch.testing.assert_close(traced, derivative(x, w, b), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_is_nobody_elses(name, rng):
    """Autograd keeps what backward returns as `.grad`, and adds the next one in place."""
    shape, function = CASES[name]
    for run in (function, torch.compile(function, backend="aot_eager", fullgraph=True)):
        torch._dynamo.reset()
        leaves = drawn(shape, rng)
        g = torch.randn(shape, generator=rng).double()
        found = [*torch.autograd.grad(run(*leaves), leaves, g), g]
        assert len({t.untyped_storage().data_ptr() for t in found}) == len(found)


@pytest.mark.parametrize("name", CASES)
def test_gradients_can_be_taken_as_a_batch(name, rng):
    shape, function = CASES[name]
    leaves = drawn(shape, rng)
    g = torch.randn(3, *shape, generator=rng).double()
    together = torch.autograd.grad(function(*leaves), leaves, g, is_grads_batched=True)
    alone = [torch.autograd.grad(function(*leaves), leaves, each) for each in g]
    for a, b in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(a, torch.stack(b), rtol=1e-12, atol=1e-12)


def test_a_batch_that_may_change_is_compiled_once_whatever_its_size(rng):
    for norm in (nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.BatchNorm1d(8)):
        x = torch.randn(8, 8, generator=rng)
        torch._dynamo.reset()
        torch._dynamo.mark_dynamic(x, 0)  # an error, if anything compares it
        compiled = torch.compile(norm, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), norm(x))


def test_an_eps_of_numpy_can_be_compiled(rng):
    x = torch.randn(5, 8, generator=rng)
    for norm in (nn.LayerNorm(8, np.float64(1e-3)), nn.BatchNorm1d(8, np.float64(1e-3)), nn.RMSNorm(8, np.float64(1))):
        torch._dynamo.reset()
        torch.testing.assert_close(torch.compile(norm, backend="aot_eager")(x), norm(x))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("length", [6, SHORT, 100 * SHORT])
def test_without_gradient_long_rows_keep_their_digits(length, transposed, rng):
    x = 3 + torch.randn(3, length, generator=rng)
    x = x.T.contiguous().T if transposed else x
    with torch.no_grad():
        y = functional.layer_norm(x, (length,), torch.ones(length), torch.zeros(length))
    exact = functional.layer_norm(x.double(), (length,))
    torch.testing.assert_close(y.double(), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_passes_overwrite_nothing_of_the_callers(name, rng):
    shape, function = CASES[name]
    leaves = drawn(shape, rng)
    g = torch.randn(shape, generator=rng).double()
    before = [t.detach().clone() for t in (*leaves, g)]
    y = function(*leaves)
    kept = y.detach().clone()
    first = torch.autograd.grad(y, leaves, g, retain_graph=True)
    values = [t.clone() for t in first]
    torch.autograd.grad(y, leaves, g)
    with torch.no_grad():
        torch.testing.assert_close(function(*leaves), kept)
    for now, then in zip((*leaves, g, y, *first), (*before, kept, *values), strict=True):
        assert torch.equal(now.detach(), then)


@pytest.mark.parametrize("members", [1, 5])
def test_a_stacked_gamma_stays_with_its_members(members, rng):
    """Five members of five rows: as many as would broadcast, wrongly, with the rows."""
    x = torch.randn(members, 5, 3, 6, generator=rng).double().requires_grad_()
    w, b = (torch.randn(members, 6, generator=rng).double().requires_grad_() for _ in range(2))
    function = CASES["layer of a sequence"][1]
    together = torch.autograd.grad(vmap(function)(x, w, b).square().sum(), (x, w, b))
    losses = [function(*p).square().sum() for p in zip(x, w, b, strict=True)]
    alone = torch.autograd.grad(losses, (x, w, b))
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b)


WITHOUT_GAMMA = {
    "layer": lambda x: functional.layer_norm(x, (6,)),
    "rms": lambda x: functional.rms_norm(x, (6,)),
    "batch": lambda x: functional.batch_norm(x, None, None, training=True),
    "batch with running statistics": lambda x: functional.batch_norm(x, torch.zeros(6), torch.ones(6)),
    "group": lambda x: functional.group_norm(x, 3),
    "instance": lambda x: functional.instance_norm(x.reshape(5, 2, 3)).flatten(1),
}


@pytest.mark.parametrize("name", WITHOUT_GAMMA)
def test_outputs_without_gamma_may_be_overwritten(name, rng):
    x = torch.randn(5, 6, generator=rng, requires_grad=True)
    slopes = [torch.autograd.grad(relu(WITHOUT_GAMMA[name](x * 1)).square().sum(), x)[0] for relu in RELUS]
    torch.testing.assert_close(*slopes)


RELUS = (torch.relu, torch.relu_)
AXES = {
    "layer": ((5, 6), (-1,), (6,)),
    "layer over two axes": ((5, 2, 6), (-2, -1), (2, 6)),
    "layer of one sample": ((1, 6), (-1,), (6,)),
    "batch": ((5, 6), (-2,), (6,)),
    "batch of maps": ((5, 6, 2, 3), (-4, -2, -1), (6, 1, 1)),
    "group": ((5, 3, 2), (-1,), (3, 2)),
    "group of maps": ((5, 3, 2, 4), (-2, -1), (3, 2, 1)),
    "instance": ((5, 6, 4), (-1,), (6, 1)),
}
PLAIN = [join(Kernel(form.forward, form.backward)) for form in (textbook, fast)]
AFFINE = [join(Kernel(form.affine_forward, form.affine_backward)) for form in (textbook, fast)]


def assert_near(got: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float = 1e-12):
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", AXES)
def test_the_fast_form_is_the_textbook_form(name, compiled, affine, rng):
    """Values, statistics, and first and second derivatives: of x alone where there is no gamma."""
    shape, axes, gamma = AXES[name]
    x, g, w, b = (torch.randn(size, generator=rng).double() for size in (shape, shape, gamma, gamma))
    leaves = (x, w, b) if affine else (x,)
    slow, quick = AFFINE if affine else PLAIN

    def first(function, *leaves):
        return torch.func.vjp(lambda *inputs: function(*inputs, axes, 1e-3)[0], *leaves)[1](g)

    def second(function, *leaves):
        loss = lambda *inputs: sum(slope.pow(3).sum() for slope in first(function, *inputs))  # noqa: E731
        return torch.func.grad(loss, tuple(range(len(leaves))))(*leaves)

    def passes(function, *leaves):
        return *function(*leaves, axes, 1e-3), *first(function, *leaves), *second(function, *leaves)

    torch.compiler.reset()
    run = torch.compile(passes, backend="aot_eager", fullgraph=True) if compiled else passes
    with torch.no_grad():
        assert_near(quick(*leaves, axes, 1e-3), slow(*leaves, axes, 1e-3))
    assert_near(run(quick, *leaves), passes(slow, *leaves), 1e-10)
    recorded = [leaf.clone().requires_grad_() for leaf in leaves]
    slopes = [torch.autograd.grad(function(*recorded, axes, 1e-3)[0], recorded, g) for function in (quick, slow)]
    assert_near(slopes[0], slopes[1])


@pytest.mark.parametrize("name", AXES)
def test_a_law_of_forms_can_fail(name, rng):
    shape, axes, _ = AXES[name]
    x = torch.randn(shape, generator=rng).double()
    with pytest.raises(AssertionError):
        assert_near(fast.standardize(1.001 * x, axes, 1e-3), textbook.forward(x, axes, 1e-3))
