"""Random shapes, dtypes, settings, layouts and modes: ours against torch's, or the definition where torch has none.

Five norms times 110 cases by default, times 2 200 under the marker `nightly`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from rlnorm.nn import MODES, NORMS, Mode, Moded, set_mode
from rlnorm.nn.laws import close

DEFAULT, NIGHTLY = 110, 2_200
NAMES = ("batch", "layer", "group", "instance", "rms")
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True)
class Draw:
    """One random case."""

    ndim: int
    batch: int
    width: int
    pixels: tuple[int, ...]
    dtype: torch.dtype
    eps: float
    momentum: float | None
    affine: bool
    track: bool
    mode: Mode
    layout: str
    scale: float
    seed: int

    def input(self, seed: int) -> Tensor:
        """x in the drawn layout."""
        rng = torch.Generator().manual_seed(self.seed + seed)
        shape = (self.batch, self.width, *self.pixels)
        x = (self.scale * torch.randn(shape, generator=rng, dtype=torch.float64) + self.scale).to(self.dtype)
        if self.layout == "strided":
            return torch.stack([x, x], -1)[..., 0]
        if self.layout == "transposed":
            return x.transpose(0, 1).contiguous().transpose(0, 1)
        if self.layout == "channels_last" and self.ndim == 2:
            return x.contiguous(memory_format=torch.channels_last)
        return x


@st.composite
def draws(draw: st.DrawFn, name: str) -> Draw:
    ndim = draw(st.sampled_from(sorted(NORMS[name].modules)))
    smallest = 2 if name == "instance" else 1
    return Draw(
        ndim=ndim,
        batch=draw(st.integers(2, 6)),
        width=draw(st.integers(2, 40)),
        pixels=tuple(draw(st.integers(smallest, 4)) for _ in range(ndim)),
        dtype=draw(st.sampled_from(list(TOLERANCE))),
        eps=draw(st.floats(1e-6, 1e-1)),
        momentum=draw(st.none() | st.floats(0, 1)),
        affine=draw(st.booleans()),
        track=draw(st.booleans()),
        mode=draw(st.sampled_from(MODES)),
        layout=draw(st.sampled_from(["contiguous", "strided", "transposed", "channels_last"])),
        scale=draw(st.sampled_from([0.1, 1.0, 30.0])),
        seed=draw(st.integers(0, 2**16)),
    )


def pair(name: str, case: Draw) -> tuple[nn.Module, nn.Module]:
    """Our module and torch's, with the same settings."""
    kwargs: dict[str, Any] = {"eps": case.eps}
    kwargs["elementwise_affine" if name in ("layer", "rms") and case.ndim == 0 else "affine"] = case.affine
    if name in ("batch", "instance"):
        kwargs |= {"momentum": case.momentum, "track_running_stats": case.track}
    ours = NORMS[name].make(case.width, case.ndim, **kwargs)
    theirs = reference(name, case, ours, kwargs)
    rng = torch.Generator().manual_seed(case.seed)
    for module in (ours, theirs):
        rng.manual_seed(case.seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(1 + 0.3 * torch.randn(parameter.shape, generator=rng))
    # Torch's in float64, on the same rounded numbers: its half precision is off by 0.2 where two values nearly meet.
    return ours.to(case.dtype), theirs.to(case.dtype).to(torch.float64)


class ByHand(nn.Module):
    """RMS normalization of a map, for which torch has no module."""

    def __init__(self, width: int, eps: float, affine: bool):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        y = x * (x.square().mean(tuple(range(1, x.ndim)), keepdim=True) + self.eps).rsqrt()
        return y if self.weight is None else y * self.weight.reshape(-1, *(1,) * (x.ndim - 2))


def reference(name: str, case: Draw, ours: nn.Module, kwargs: dict[str, Any]) -> nn.Module:
    if name == "rms" and case.ndim:
        return ByHand(case.width, case.eps, case.affine)
    if name == "group" or (name == "layer" and case.ndim):
        return nn.GroupNorm(ours.__dict__["num_groups"], case.width, case.eps, case.affine)
    make: Callable[..., nn.Module] = NORMS[name].reference[case.ndim]
    return make(case.width, **kwargs)


def check(name: str, case: Draw) -> None:
    ours, theirs = pair(name, case)
    tolerance = TOLERANCE[case.dtype]
    cumulative_instance = name == "instance" and case.momentum is None and case.track
    for step in range(2):
        own = set_mode(ours, case.mode)
        x = case.input(step).requires_grad_()
        leaf = case.input(step).to(torch.float64).requires_grad_()
        y = own(x)
        if not isinstance(ours, Moded) or case.mode in ("train", "eval"):
            expected = theirs.train(case.mode == "train")(leaf)
        else:
            expected = by_mode(theirs, leaf, case.mode)
        close(y.detach(), expected.detach(), tolerance, "output")
        assert y.dtype == case.dtype
        g = torch.ones_like(y) * torch.linspace(-1, 1, case.width, dtype=case.dtype).reshape(-1, *(1,) * case.ndim)
        got, truth = torch.autograd.grad(y, x, g)[0], torch.autograd.grad(expected, leaf, g.double())[0]
        # It may be as large as 1/sqrt(eps) and cancel to nothing, as it does with two values to a statistic.
        close(got, truth, 3 * tolerance * (1 + case.scale) * case.eps**-0.5, "gradient")
        if cumulative_instance:
            # torch's has no cumulative average: it keeps the first values
            return
        for key, buffer in theirs.named_buffers():
            if buffer.is_floating_point():
                close(dict(ours.named_buffers())[key], buffer, tolerance, key)


def by_mode(theirs: nn.Module, x: Tensor, mode: Mode) -> Tensor:
    """The other two modes out of torch's two, on copies of the statistics; `track` updates them in a second pass."""
    copies = {k: b.clone() for k, b in theirs.named_buffers()}
    y = functional_call(theirs.train(mode == "batch"), copies, (x,))
    if mode == "track":
        with torch.no_grad():
            theirs.train()(x)
    return y


@pytest.mark.parametrize("name", NAMES)
def test_random_cases(name):
    @settings(max_examples=DEFAULT, deadline=None, derandomize=True, database=None)
    @given(draws(name))
    def run(case: Draw) -> None:
        check(name, case)

    run()


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_many_random_cases(name):
    @settings(max_examples=NIGHTLY, deadline=None, database=None)
    @given(draws(name))
    def run(case: Draw) -> None:
        check(name, case)

    run()


def test_there_are_as_many_cases_as_promised():
    assert len(NAMES) * DEFAULT >= 500
    assert len(NAMES) * NIGHTLY >= 10_000
