"""Running observation normalization."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd
from torch.func import functional_call, stack_module_state, vmap

from rlnorm.nn import ObservationNorm, set_mode


def test_statistics_are_those_of_all_observations(rng):
    norm, seen = ObservationNorm(3).double(), []
    for n in (1, 7, 20):
        seen.append(torch.randn(n, 3, generator=rng, dtype=torch.float64) * 5 + 100)
        norm(seen[-1])
    # the start counts as 1e-4 observations of mean 0
    torch.testing.assert_close(norm.running_mean, torch.cat(seen).mean(0), rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.running_var, torch.cat(seen).var(0, correction=0), rtol=2e-2, atol=0)


def test_equals_stable_baselines3s(rng):
    norm, theirs = ObservationNorm((2, 3)).double(), RunningMeanStd(shape=(2, 3))
    for _ in range(5):
        x = torch.randn(8, 2, 3, generator=rng, dtype=torch.float64) * 3 + 1
        y = norm(x)
        theirs.update(x.numpy())
        expected = np.clip((x.numpy() - theirs.mean) / np.sqrt(theirs.var + norm.eps), -10, 10)
        torch.testing.assert_close(y, torch.from_numpy(expected))


def test_clips():
    norm = ObservationNorm(1, clip=2.0).eval()
    assert norm(torch.tensor([[-100.0], [1.0], [100.0]])).flatten().tolist() == pytest.approx([-2, 1, 2])


@pytest.mark.parametrize(("mode", "moves"), [("train", True), ("track", True), ("batch", False), ("eval", False)])
def test_modes(mode, moves, rng):
    norm = set_mode(ObservationNorm(3), mode)
    norm(torch.randn(4, 3, generator=rng))
    assert bool(norm.running_mean.any()) == moves


def test_members_stacked_and_compiled(rng):
    norms = [ObservationNorm(3) for _ in range(2)]
    parameters, buffers = stack_module_state(list(norms))
    template = ObservationNorm(3).to("meta")
    torch._dynamo.reset()
    step = torch.compile(
        lambda b, x: vmap(lambda p, b, x: functional_call(template, (p, b), (x,)))(parameters, b, x),
        backend="aot_eager",
        fullgraph=True,
    )
    for _ in range(2):
        x = torch.randn(2, 4, 3, generator=rng)
        y = step(buffers, x)
        for i, norm in enumerate(norms):
            torch.testing.assert_close(y[i], norm(x[i]))
            torch.testing.assert_close(buffers["running_count"][i], norm.running_count)
            torch.testing.assert_close(buffers["running_var"][i], norm.running_var)


def test_statistics_reach_a_target_network():
    assert all(name.startswith("running_") and b.is_floating_point() for name, b in ObservationNorm(3).named_buffers())


def test_bad_input(rng):
    with pytest.raises(RuntimeError, match=r"expected input of shape \(\*, 3,\), but got \(4, 2\)"):
        ObservationNorm(3)(torch.randn(4, 2, generator=rng))
    with pytest.raises(ValueError, match="clip must be > 0"):
        ObservationNorm(3, clip=0)


def test_gradients_are_those_of_constants_and_end_at_the_clip(rng):
    norm = ObservationNorm(3, clip=1.0).double()
    norm(torch.randn(50, 3, generator=rng).double())
    norm.eval()
    x = torch.randn(6, 3, generator=rng).double().requires_grad_()
    assert torch.autograd.gradcheck(norm, x)
    (dx,) = torch.autograd.grad(norm(x).sum(), x)
    inside = norm(x).abs() < 1
    assert 0 < inside.sum() < inside.numel()
    torch.testing.assert_close(dx, inside * (norm.running_var + norm.eps).rsqrt())


def test_many_single_updates_keep_their_digits(rng):
    """Increments below the rounding of a float32: the mean of 3000 and 3002, and a variance of 1 + 1."""
    norm = ObservationNorm(1)
    centres = torch.tensor([3000.0, 3002.0]).repeat_interleave(5_000)
    x = torch.randn(10_000, 1, 1, generator=rng) + centres[:, None, None]
    for each in x:
        norm(each)
    exact = x.double()
    torch.testing.assert_close(norm.running_mean, exact.mean((0, 1)), rtol=2e-8, atol=0)
    # The start counts as 1e-4 observations of 0, which adds 1e-4 / 10 000 times 3001^2.
    torch.testing.assert_close(norm.running_var, exact.var((0, 1), correction=0), rtol=0, atol=0.1)


def test_counts_on_beyond_2_to_the_24(rng):
    norm = ObservationNorm(3)
    norm.running_count.fill_(2.0**24)
    norm(torch.randn(1, 3, generator=rng))
    assert norm.running_count == 2**24 + 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_statistics_are_double_whatever_the_inputs_are(dtype, rng):
    norm = ObservationNorm(3).to(dtype)
    assert norm(torch.randn(4, 3, generator=rng).to(dtype)).dtype == dtype
    assert {buffer.dtype for buffer in norm.buffers()} == {torch.float64}
    assert {buffer.device.type for buffer in norm.to("meta").buffers()} == {"meta"}
