"""Batch renormalization: identity with inference, constants in backward, the schedule, sb3-contrib's beside ours."""

from collections.abc import Sequence
from math import inf
from typing import Any

import pytest
import torch
from sb3_contrib.common.torch_layers import BatchRenorm1d as Contribs

from rlnorm.nn import CROSSQ, BatchNorm1d, BatchRenorm1d, BatchRenorm2d, set_mode

OPEN: dict[str, Any] = {"warmup": 0, "r_ramp_end": 0, "d_ramp_end": 0}


def used(norm: BatchRenorm1d, rng: torch.Generator, spread: float = 1.0) -> BatchRenorm1d:
    for _ in range(3):
        norm(spread * torch.randn(16, 4, generator=rng, dtype=torch.float64) + 1)
    return norm


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_unclipped_training_output_is_the_inference_output(spread, rng):
    norm = used(BatchRenorm1d(4, dtype=torch.float64, r_max=inf, d_max=inf, **OPEN), rng, spread)
    x = 3 * spread * torch.randn(16, 4, generator=rng, dtype=torch.float64) + 2
    expected = set_mode(norm, "eval")(x)
    torch.testing.assert_close(set_mode(norm, "train")(x), expected, rtol=1e-12, atol=1e-12)


def test_clipped_at_one_and_zero_is_batch_norm(rng):
    norm = used(BatchRenorm1d(4, dtype=torch.float64, r_max=1, d_max=0, **OPEN), rng)
    x = torch.randn(16, 4, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(norm(x), BatchNorm1d(4, dtype=torch.float64)(x))


def slopes(y: torch.Tensor, leaves: Sequence[torch.Tensor], g: torch.Tensor) -> list[torch.Tensor]:
    """First derivatives, and those of the sum of their squares."""
    first = torch.autograd.grad(y, leaves, g, create_graph=True)
    return [*first, *torch.autograd.grad(torch.cat([s.flatten() for s in first]).square().sum(), leaves[:2])]


@pytest.mark.parametrize("mode", ["train", "batch"])
@pytest.mark.parametrize(("r_max", "d_max"), [(inf, inf), (1.1, 0.2), (1.1, inf), (inf, 0.2)])
def test_r_and_d_are_constants_of_the_backward_pass(r_max, d_max, mode, rng):
    """In orders 1 and 2, of x, gamma and beta."""
    norm = BatchRenorm1d(4, dtype=torch.float64, r_max=r_max, d_max=d_max, **OPEN)
    norm = set_mode(used(norm, rng), mode)
    x = 2 * torch.randn(16, 4, generator=rng, dtype=torch.float64) + 1.1
    g = torch.randn(16, 4, generator=rng, dtype=torch.float64)
    mu, sigma = x.mean(0), (x.var(0, correction=0) + norm.eps).sqrt()
    r = (sigma / norm.running_std).clamp(1 / r_max, r_max)
    d = ((mu - norm.running_mean) / norm.running_std).clamp(-d_max, d_max)
    assert (r - 1).abs().min() > 0.01
    gamma, beta = (torch.randn(4, generator=rng, dtype=torch.float64) for _ in range(2))
    norm.load_state_dict({"weight": gamma, "bias": beta}, strict=False)
    leaves = [x.requires_grad_(), gamma.requires_grad_(), beta.requires_grad_()]
    frozen = gamma * ((x - x.mean(0)) / (x.var(0, correction=0) + norm.eps).sqrt() * r + d) + beta
    y = norm(x)
    torch.testing.assert_close(y, frozen)
    expected = slopes(frozen, leaves, g)
    torch.testing.assert_close(slopes(y, [x, *norm.parameters()], g), expected)


@pytest.mark.parametrize(
    ("updates", "r_max", "d_max"),
    [
        (0, 1, 0),
        (5_000, 1, 0),
        (15_000, 1 + 2 * 10 / 35, 2.5),
        (25_000, 1 + 2 * 20 / 35, 5),
        (40_000, 3, 5),
        (1e6, 3, 5),
    ],
)
def test_schedule_of_the_paper(updates, r_max, d_max):
    norm = BatchRenorm1d(4)
    norm.running_updates.fill_(updates)
    assert [bound.item() for bound in norm.bounds()] == pytest.approx([r_max, d_max])


@pytest.mark.parametrize(("updates", "expected"), [(99_999, [1, 0]), (100_000, [3, 5])])
def test_crossq_opens_at_once(updates, expected):
    norm = BatchRenorm1d(4, **CROSSQ)
    norm.running_updates.fill_(updates)
    assert [bound.item() for bound in norm.bounds()] == expected


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"r_max": 0.5}, "r_max must be >= 1"),
        ({"d_max": -1.0}, "d_max >= 0"),
        ({"warmup": 50_000}, "warmup <= ramp ends"),
    ],
)
def test_bad_bounds_are_refused(kwargs, said):
    with pytest.raises(ValueError, match=said):
        BatchRenorm2d(4, **kwargs)


def gap(norm: torch.nn.Module, x: torch.Tensor) -> float:
    """Largest difference between training and inference output, same statistics."""
    inference = norm.eval()(x)
    return (norm.train()(x) - inference).abs().max().item()


def both(scale: float, rng: torch.Generator) -> tuple[float, float]:
    ours = BatchRenorm1d(4, eps=1e-3, momentum=0.01, r_max=inf, d_max=inf, **OPEN)
    contribs = Contribs(4, warmup_steps=-1)
    contribs.rmax = contribs.dmax = inf
    for _ in range(300):
        x = scale * torch.randn(256, 4, generator=rng)
        ours(x)
        contribs(x)
    x = 2 * scale * torch.randn(256, 4, generator=rng) + scale
    return gap(ours, x), gap(contribs, x)


def test_contribs_adds_eps_twice_and_so_misses_inference_at_small_variances(rng):
    """They hand mean and variance for x and add eps to the variance once more; beside variance 1 that is nothing."""
    at_one, contribs_at_one = both(1.0, rng)
    at_small, contribs_at_small = both(1e-3**0.5, rng)
    assert at_one < 1e-5
    assert at_small < 1e-5
    assert contribs_at_one < 5e-3
    assert contribs_at_small > 0.05


def test_contribs_is_what_the_docstring_says(rng):
    """Unbiased variance, eps again beside r, bounds that jump; and no `running_*` that would reach a target."""
    contribs = Contribs(4, warmup_steps=1)
    state = dict(contribs.named_buffers())
    assert [(k, b.dtype) for k, b in state.items()] == [
        ("ra_mean", torch.float32),
        ("ra_var", torch.float32),
        ("steps", torch.long),
    ]
    with pytest.raises(RuntimeError, match="can't be cast"):
        state["steps"].mul_(0.5)
    for r_max, d_max in ((1, 0), (1, 0), (3, 5)):
        x = 0.02 * torch.randn(8, 4, generator=rng) + 0.1
        mu, var = x.mean(0), x.var(0)
        running_mean, running_var = state["ra_mean"].clone(), state["ra_var"].clone()
        running_std = (running_var + contribs.eps).sqrt()
        r = ((var + contribs.eps).sqrt() / running_std).clamp(1 / r_max, r_max)
        d = ((mu - running_mean) / running_std).clamp(-d_max, d_max)
        expected = (r * (x - mu) + d * var.sqrt()) / (var + r.square() * contribs.eps).sqrt()
        torch.testing.assert_close(contribs(x).detach(), expected)
        torch.testing.assert_close(state["ra_var"], 0.99 * running_var + 0.01 * var)
    with pytest.raises(RuntimeError):
        contribs(torch.zeros(8, 4, 5))


def test_agrees_with_contribs_where_eps_and_n_minus_1_do_not_matter(rng):
    ours = BatchRenorm1d(4, eps=1e-3, momentum=0.1, **OPEN)
    contribs = Contribs(4, momentum=0.1, warmup_steps=-1)
    for _ in range(200):
        x = 3 * torch.randn(4096, 4, generator=rng) + 1
        ours(x)
        contribs(x)
    # Theirs averages the unbiased variance and ours the biased standard deviation; both are near 3 here.
    x = 3 * torch.randn(4096, 4, generator=rng) + 1
    torch.testing.assert_close(ours(x), contribs(x), rtol=0, atol=0.01)
