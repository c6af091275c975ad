"""Precision: float32 is near float64, and half precision takes statistics in float32."""

import torch
from torch import nn

from rlnorm.nn.laws.case import Case, call, close, law, state_of
from rlnorm.nn.modes import set_mode


@law
def single_precision_is_near_double(case: Case) -> None:
    """float32 against float64 on the same numbers: within 8 roundings of the largest input, measured in its std.

    Inputs: mean 0 and 1e4 std at std 1, both at std 1e-6, and two constants of std 0, for which it is measured in 1.
    """
    for mode, module, _ in case.functions():
        for std, ratio in ((1.0, 0.0), (1.0, 1e4), (1e-6, 0.0), (1e-6, 1e4), (0.0, 12345.678), (0.0, 5e4 + 0.123)):
            x = (std * (case.input() + ratio) if std else torch.full_like(case.input(), ratio)).float()
            half = set_mode(case.module(torch.float32), mode)
            for pair in zip(half.modules(), module.modules(), strict=True):
                if getattr(pair[0], "eps", 0) is None:
                    for m in pair:
                        m.__dict__["eps"] = torch.finfo(torch.float32).eps
            exact = tuple({k: b.double() if b.is_floating_point() else b for k, b in s.items()} for s in state_of(half))
            y = call(module, (exact[0], exact[1]), x.double())
            bound = 8 * torch.finfo(torch.float32).eps * (1 + ratio)
            close(call(half, state_of(half), x), y, bound, f"mode {mode}, std {std}, mean {ratio} std")


@law
def half_precision_takes_statistics_in_single(case: Case) -> None:
    """float16 and bfloat16 in give the same type out, within rounding of the input's own precision."""
    for dtype in (torch.float16, torch.bfloat16):
        for mode in case.modes():
            half = set_mode(case.module().to(dtype), mode)
            single = set_mode(copy_as(half, case.module(torch.float32)), mode)
            x = case.input().to(dtype)
            y = half(x)
            assert y.dtype == dtype, f"{dtype} in, {y.dtype} out"
            close(y.detach().float(), single(x.float()).detach(), 4 * torch.finfo(dtype).eps, f"{dtype}, mode {mode}")


def copy_as(source: nn.Module, target: nn.Module) -> nn.Module:
    """`target` with the values of `source`, in target's precision."""
    target.load_state_dict(source.state_dict())
    return target
