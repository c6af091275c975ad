"""torch.compile where the machine can, the same code eager where it cannot."""

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

import torch
import torch._dynamo
import torch._inductor.config
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

P = ParamSpec("P")
R = TypeVar("R")


@cache
def available() -> bool:
    """Whether there is a C++ compiler for torch's Inductor."""
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` compiled whole, or an error: no silent fall-back to slow pieces.

    Calls to `torch.autograd.grad` inside it are compiled too. Shapes are fixed at the first call.
    """
    fast = torch.compile(function, fullgraph=True, dynamic=False)
    traced = False

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal traced
        if traced:
            return fast(*args, **kwargs)
        # Patched for the tracing call alone: a patch costs 0.2 ms. One process per core is how studies use a machine,
        # so Inductor's own pool of workers would only stand in the way.
        with torch._dynamo.config.patch(trace_autograd_ops=True), torch._inductor.config.patch(compile_threads=1):
            result = fast(*args, **kwargs)
        traced = True
        return result

    return call
