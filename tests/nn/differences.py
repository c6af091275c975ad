"""Where we differ from torch on purpose: the one table, read by the tests that run torch's own cases.

`docs/differences.md` is made from it (`page`). Errors are of torch's class, in our own words, but for those listed.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn as torchs

import rlnorm.nn as ours

EARLIER = "a setting without a meaning is refused where it is given: by the constructor, not by the first pass"
NO_BATCH = "an empty batch is no batch: it is not counted, so that a cumulative average is not thinned by it"
COUNTED = "InstanceNorm counts its batches, and momentum=None is the cumulative average there too; torch counts none"
TOLD = "`track_running_stats` says whether statistics follow, as in torch's BatchNorm"
NO_EPS = "an eps below 0 makes NaN of every variance below it"
NO_MOMENTUM = "a weight of the new batch beyond [0, 1] is no average"
NO_CHANNELS = "an input without a channel axis is refused; torch lets it pass if it is empty"

LEFT_OUT = {"inplace": "it overwrites values that a backward pass may need, ours or a neighbour's"}
"""Parameter of torch's functions and modules -> why ours have none of that name."""

BATCH_NORMS = ("nn.BatchNorm1d", "nn.BatchNorm2d", "nn.BatchNorm3d")

MODULE_INPUTS: dict[tuple[str, str], str] = {(name, "zero_batch"): NO_BATCH for name in BATCH_NORMS}
"""(module, description of torch's case) -> why the counter differs."""

COUNTERS: dict[str, str] = {f"nn.InstanceNorm{n}d": COUNTED for n in (1, 2, 3)}
"""Module -> why its counter differs."""

MODULE_ERRORS: dict[tuple[str, str], str] = {
    (name, eps): EARLIER for name in BATCH_NORMS for eps in ("eps=-1.0", "eps=0.0")
}
"""(module, keyword arguments of torch's case) -> why it is raised elsewhere."""

FUNCTION_SAMPLES: dict[tuple[str, int], str] = {
    **{("nn.functional.batch_norm", i): NO_CHANNELS for i in (3, 4)},
    **{("nn.functional.group_norm", i): NO_EPS for i in (4, 5, 6, 7)},
    **{(f"nn.functional.{name}", 1): NO_EPS for name in ("layer_norm", "rms_norm")},
}
"""(function, number of torch's sample) -> why it is refused."""

Calls = Callable[[Any], object]
X = torch.ones(4, 3)


def told_to_track_later(nn: Any) -> torch.Tensor:
    norm = nn.InstanceNorm1d(3).eval()
    norm.track_running_stats = True
    return norm(X[..., None].expand(4, 3, 2))


def spectral_norm_under_jvp(nn: Any) -> object:
    layer = torchs.Linear(3, 3)
    norm = ours.SpectralNorm(layer) if nn is ours else torchs.utils.parametrizations.spectral_norm(layer)
    return torch.func.jvp(norm, (X,), (X,))


ERRORS: dict[str, tuple[Calls, type[Exception] | None, type[Exception] | None, str]] = {
    "BatchNorm of a negative width": (lambda nn: nn.BatchNorm1d(-1), RuntimeError, ValueError, EARLIER),
    "GroupNorm of no groups": (lambda nn: nn.GroupNorm(0, 6), ZeroDivisionError, ValueError, EARLIER),
    "momentum beyond [0, 1]": (lambda nn: nn.BatchNorm1d(3, momentum=2.0), None, ValueError, NO_MOMENTUM),
    "LayerNorm with eps -1": (lambda nn: nn.LayerNorm(3, eps=-1.0), None, ValueError, EARLIER),
    "InstanceNorm of another width without affine": (
        lambda nn: nn.InstanceNorm1d(5)(X[..., None].expand(4, 3, 2)),
        None,
        ValueError,
        "a width that the constructor was told is not silently ignored; torch warns",
    ),
    "LayerNorm of integers": (
        lambda nn: nn.LayerNorm(3)(X.long()),
        RuntimeError,
        NotImplementedError,
        "one class for integers everywhere, a RuntimeError too; torch has both",
    ),
    "RMSNorm with a weight of less precision": (
        lambda nn: nn.RMSNorm(3)(X.double()),
        None,
        RuntimeError,
        "mixed dtypes are refused everywhere alike; torch promotes in this norm alone",
    ),
    "InstanceNorm in eval mode, told to track after it was built without statistics": (
        told_to_track_later,
        RuntimeError,
        None,
        "without running statistics each mode uses the instance's own",
    ),
    "spectral norm in train mode under grad, vjp or jvp of torch.func": (
        spectral_norm_under_jvp,
        None,
        RuntimeError,
        "its vectors are state, and a derivative changes none that it is not given; set the mode 'batch' or 'eval'",
    ),
}
"""A deed with a module of norms -> torch's error, ours (None: there is none), and why."""


def not_tracking(nn: Any) -> bool:
    norm = nn.InstanceNorm1d(3, track_running_stats=True)
    norm.track_running_stats = False
    norm(X[..., None].expand(4, 3, 2) + 5)
    return bool(norm.running_mean.any())


def uncounted(nn: Any) -> bool:
    norm = nn.InstanceNorm1d(3, momentum=None, track_running_stats=True)
    norm(X[..., None].expand(4, 3, 2) + 5)
    return bool(norm.running_mean.any())


VALUES: dict[str, tuple[Calls, object, object, str]] = {
    "InstanceNorm told not to track after it was built: its running mean moves": (not_tracking, True, False, TOLD),
    "InstanceNorm with momentum=None: its running mean moves": (uncounted, False, True, COUNTED),
}
"""A question to a module of norms -> torch's answer, ours, and why."""


def with_batch_norm() -> torchs.Sequential:
    return torchs.Sequential(torchs.Conv2d(3, 3, 1), ours.BatchNorm2d(3)).eval()


def passes_by(tool: Callable[[torchs.Module], object]) -> Callable[[], bool]:
    """Whether a tool leaves a model with one of our norms as it was."""

    def check() -> bool:
        model = with_batch_norm()
        before = copy.deepcopy(model)
        tool(model)
        same = [torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.state_dict().values())]
        return all(same) and vars(model[1])["track_running_stats"] and type(model[1]) is ours.BatchNorm2d

    return check


def refuses(tool: Callable[[torchs.Module], object]) -> Callable[[], bool]:
    """Whether a tool raises an error for a model with one of our norms."""

    def check() -> bool:
        try:
            tool(with_batch_norm())
        except Exception:
            return True
        return False

    return check


def fuse(model: torchs.Module) -> object:
    from torch.fx.experimental.optimization import fuse

    return fuse(model)


PASSES_BY, REFUSES = "passes by in silence", "raises an error"
TOOLS: dict[str, tuple[Callable[[], bool], str, str]] = {
    "torch.optim.swa_utils.update_bn": (
        passes_by(lambda model: torch.optim.swa_utils.update_bn([torch.randn(4, 3, 2, 2)], model)),
        PASSES_BY,
        "`rlnorm.nn.update_bn`, which knows both",
    ),
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm": (
        passes_by(torchs.SyncBatchNorm.convert_sync_batchnorm),
        PASSES_BY,
        '`rlnorm.nn.convert(model, {"batch": "torch.batch"})` first',
    ),
    "torch.func.replace_all_batch_norm_modules_": (
        passes_by(torch.func.replace_all_batch_norm_modules_),
        PASSES_BY,
        '`rlnorm.nn.set_mode(model, "batch")`, which uses batch statistics and updates none',
    ),
    "isinstance(m, torch.nn.modules.batchnorm._BatchNorm), to freeze statistics": (
        lambda: not isinstance(ours.BatchNorm2d(3), torchs.modules.batchnorm._BatchNorm),
        "is False",
        '`isinstance(m, rlnorm.nn.RunningNorm)`, or `rlnorm.nn.set_mode(model, "eval")`',
    ),
    "isinstance(m, torch.nn.LayerNorm), to spare it from weight decay": (
        lambda: not isinstance(ours.LayerNorm(3), torchs.LayerNorm),
        "is False",
        "`rlnorm.nn.no_decay_parameters(model)`",
    ),
    "torch.fx.experimental.optimization.fuse": (refuses(fuse), REFUSES, "`rlnorm.nn.fold`"),
    "torch.ao.quantization.fuse_modules": (
        refuses(lambda model: torch.ao.quantization.fuse_modules(model, [["0", "1"]])),
        REFUSES,
        "`rlnorm.nn.fold`",
    ),
    "torch.fx.symbolic_trace": (
        refuses(torch.fx.symbolic_trace),
        REFUSES,
        "`torch.export.export`, or `make_fx`",
    ),
    "torch.jit.script": (refuses(torch.jit.script), REFUSES, "`torch.jit.trace`, in eval mode"),
}
"""A tool that knows norms by torch's class -> whether it does that with ours, in words, and the call to use instead."""


def rows() -> Iterator[tuple[str, str, str, str]]:
    """The table of differences: case, torch's, ours, why."""
    for name, why in LEFT_OUT.items():
        yield f"`{name}=` of functions and modules", "taken", "not taken", why
    yield f"{', '.join(BATCH_NORMS)} of an empty batch", "counts it", "does not", NO_BATCH
    yield ", ".join(COUNTERS), "count no batches", "count them", COUNTED
    yield "BatchNorm with eps of 0 or below", "refused by the first pass", "refused by the constructor", EARLIER
    yield "batch_norm of an empty input without channels", "passes", "refused", NO_CHANNELS
    yield "group_norm, layer_norm, rms_norm with an eps below 0", "passes", "refused", NO_EPS
    for what, (_, theirs, own, why) in ERRORS.items():
        names = [error.__name__ if error else "passes" for error in (theirs, own)]
        yield what, names[0], names[1], why
    for what, (_, theirs, own, why) in VALUES.items():
        yield what, "yes" if theirs else "no", "yes" if own else "no", why


def page() -> str:
    """The tables of docs/differences.md."""
    lines = ["| case | torch | ours | why |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows()]
    lines += ["", "## Tools that know norms by torch's class", ""]
    lines += ["| tool | with our norms it | call instead |", "|---|---|---|"]
    lines += [f"| `{tool}` | {does} | {instead} |" for tool, (_, does, instead) in TOOLS.items()]
    return "\n".join(lines)
