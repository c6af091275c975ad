"""torch.compile where the machine can, the same code eager where it cannot.

torch's compiler is imported when it is first used: that takes seconds, which whoever does not compile need not wait.
"""

import os
import sysconfig
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@cache
def available() -> bool:
    """Whether there is what torch's Inductor compiles with: a C++ compiler, Python's headers, a folder to write to."""
    if not _has_cache():
        return False
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def _has_cache() -> bool:
    """Whether Inductor can keep what it compiled; where its usual folder cannot be written, in a new one."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    with suppress(OSError):
        if os.access(cache_dir(), os.W_OK | os.X_OK):
            return True
    with suppress(OSError):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="rlnorm-compiler-")
        return True
    return False


def get_cpp_compiler() -> str:
    """The C++ compiler that Inductor finds. Raises InvalidCxxCompiler where there is none."""
    from torch._inductor import cpp_builder

    return cpp_builder.get_cpp_compiler()


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` compiled whole, or an error: no silent fall-back to slow pieces.

    Calls to `torch.autograd.grad` inside it are compiled too. The first call fixes shapes (another one
    is an AssertionError), dtypes, the gradient mode, and every attribute that is no tensor. Checking these anew at each
    call would take a third of the time of acting, and more where caches are cold.
    """
    import torch._dynamo
    import torch._inductor.config

    def own(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    # Dynamo files what it compiled under the code object. Without guards nothing else keeps two functions apart.
    own.__code__ = own.__code__.replace()
    unguarded: Any = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    fast = torch.compile(own, fullgraph=True, dynamic=False, options=unguarded)
    traced = False

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal traced
        if traced:
            return fast(*args, **kwargs)
        # Patched for the tracing call alone: a patch costs 0.2 ms. One process per core is how studies use a machine,
        # so Inductor's own pool of workers would only stand in the way. A short sum written out is taken into the loops
        # of its readers, who repeat it: a first layer of 4 inputs would be computed anew for each unit of the second.
        inductor = torch._inductor.config.patch(compile_threads=1, unroll_reductions_threshold=1)
        with torch._dynamo.config.patch(trace_autograd_ops=True), inductor:
            result = fast(*args, **kwargs)
        traced = True
        return result

    return call
