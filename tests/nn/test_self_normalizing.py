"""SELU, its initialization, dropout and alpha dropout."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from rlnorm.nn import SELU, AlphaDropout, Dropout, functional
from rlnorm.nn.selu import lecun_normal_

DROPS = [Dropout, AlphaDropout]


def test_selu_equals_torchs(rng):
    x = torch.cat([torch.zeros(1), 5 * torch.randn(100, generator=rng)]).double().requires_grad_()
    y, expected = SELU()(x), nn.functional.selu(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x), torch.autograd.grad(expected.sum(), x))


def test_selu_derivatives(rng):
    x = torch.randn(10, generator=rng, dtype=torch.float64, requires_grad=True)
    assert gradcheck(functional.selu, (x,), check_forward_ad=True)
    assert gradgradcheck(functional.selu, (x,), check_fwd_over_rev=True)


def test_selu_of_large_negatives_has_no_nan():
    x = torch.tensor([-1e4, 1e4], requires_grad=True)
    functional.selu(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_mean_0_and_variance_1_hold_through_50_layers(rng):
    x = torch.randn(512, 256, generator=rng)
    for _ in range(50):
        x = functional.selu(x @ lecun_normal_(torch.empty(256, 256), rng).T)
    assert abs(x.mean().item()) < 0.1
    assert abs(x.var().item() - 1) < 0.2


def test_lecun_normal_has_variance_1_over_fan_in(rng):
    assert lecun_normal_(torch.empty(64, 8, 5, 5), rng).var().item() == pytest.approx(1 / 200, rel=0.05)
    with pytest.raises(ValueError, match="at least 2 axes"):
        lecun_normal_(torch.empty(3))


def test_dropout_drops_a_share_p_and_keeps_the_mean(rng):
    y = functional.dropout(torch.ones(100_000), 0.3, generator=rng)
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_alpha_dropout_keeps_mean_and_variance(rng):
    y = functional.alpha_dropout(torch.randn(200_000, generator=rng), 0.3, True, generator=rng)
    assert y.mean().item() == pytest.approx(0, abs=0.02)
    assert y.var().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("make", DROPS)
def test_eval_and_p_0_are_the_identity(make, rng):
    x = torch.randn(10, generator=rng)
    assert make(0.5).eval()(x) is x
    assert make(0.0)(x) is x


@pytest.mark.parametrize("make", DROPS)
def test_p_1_drops_everything(make, rng):
    y = make(1.0, generator=rng)(torch.randn(10, generator=rng))
    assert not y.any()


@pytest.mark.parametrize("make", DROPS)
def test_same_generator_same_mask(make):
    x = torch.ones(50)
    first, second = (make(0.5, generator=torch.Generator().manual_seed(3))(x) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("make", DROPS)
def test_gradient_is_the_mask(make):
    x = torch.linspace(1, 2, 50, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor) -> Tensor:
        return make(0.5, generator=torch.Generator().manual_seed(3))(x)

    assert gradcheck(function, (x,))


@pytest.mark.parametrize("make", DROPS)
@pytest.mark.parametrize("own", [True, False])
def test_members_draw_their_own_masks_under_vmap(make, own, rng):
    drop = make(0.5, generator=rng if own else None)
    x = torch.ones(3, 100)
    with torch.random.fork_rng(devices=()):
        different = torch.vmap(drop, randomness="different")(x)
        same = torch.vmap(drop, randomness="same")(x)
    assert not torch.equal(different[0], different[1])
    assert torch.equal(same[0], same[1])


@pytest.mark.parametrize("make", DROPS)
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_is_a_probability(make, p):
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\]"):
        make(p)


@pytest.mark.parametrize("function", [functional.dropout, functional.alpha_dropout, functional.selu])
def test_integers_are_refused(function):
    with pytest.raises(RuntimeError, match=r"torch\.int64"):
        function(torch.ones(3, dtype=torch.long))
