"""Times of our norms beside torch.nn's, in one process, repetitions interleaved.

    python scripts/bench_layers.py [--json PATH] [--threads 1 2] [--repeats 30]

One row per case: ours and peer in milliseconds (peak memory: in MiB), and their ratio (below 1: ours is better).
"""

import argparse
import ctypes
import gc
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import rlnorm.nn as ours
from rlnorm.nn.group import groups_for

MLP = ((32, 64), (128, 64), (128, 256), (1024, 64), (1024, 256), (4096, 256))
CONV = ((32, 16, 10, 10), (32, 32, 20, 20), (32, 64, 42, 42), (32, 64, 84, 84))
LAYERS: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]]] = {
    "BatchNorm1d": (ours.BatchNorm1d, nn.BatchNorm1d),
    "LayerNorm": (ours.LayerNorm, nn.LayerNorm),
    "RMSNorm": (ours.RMSNorm, nn.RMSNorm),
    "BatchNorm2d": (ours.BatchNorm2d, nn.BatchNorm2d),
    "GroupNorm": (ours.GroupNorm.of_width, lambda width: nn.GroupNorm(groups_for(width), width)),
    "InstanceNorm2d": (ours.InstanceNorm2d, nn.InstanceNorm2d),
}
FLAT = ("BatchNorm1d", "LayerNorm", "RMSNorm")


@dataclass(frozen=True)
class Row:
    """One case: a time in milliseconds (or memory in MiB) of ours and of the peer, and ours / peer."""

    case: str
    ours: float
    peer: float
    ratio: float


def interleaved(
    a: Callable[[], object], b: Callable[[], object], repeats: int, seconds: float = 0.01
) -> tuple[float, float]:
    """Median milliseconds of one call of each; blocks of about `seconds`, in turn."""
    blocks = []
    for function in (a, b):
        for _ in range(3):
            function()
        start = time.perf_counter()
        function()
        blocks.append(max(1, int(seconds / (time.perf_counter() - start + 1e-9))))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, block, seen in zip((a, b), blocks, times, strict=True):
            start = time.perf_counter()
            for _ in range(block):
                function()
            seen.append((time.perf_counter() - start) / block * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def passes(module: nn.Module, x: Tensor, g: Tensor) -> dict[str, Callable[[], object]]:
    """What is timed of one layer, by name."""
    leaf = x.clone().requires_grad_()
    inputs = [leaf, *module.parameters()]
    y = module.train()(leaf)

    def forward() -> object:
        return module(leaf)

    def backward() -> object:
        return torch.autograd.grad(y, inputs, g, retain_graph=True)

    def both() -> object:
        return torch.autograd.grad(module(leaf), inputs, g)

    def evaluate() -> object:
        with torch.no_grad():
            return module(x)

    return {"forward": forward, "backward": backward, "both": both, "eval": evaluate}


def layer_rows(name: str, shape: tuple[int, ...], repeats: int) -> Iterator[Row]:
    """Forward, backward, both and eval of one layer, eager."""
    rng = torch.Generator().manual_seed(0)
    x, g = torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)
    modules = [make(shape[1]) for make in LAYERS[name]]
    timed = [passes(module, x, g) for module in modules]
    for what in timed[0]:
        for module in modules:
            module.train(what != "eval")
        yield row(f"{name} {'x'.join(map(str, shape))} {what}", *interleaved(timed[0][what], timed[1][what], repeats))


def network(make: Callable[[int], nn.Module], width: int) -> nn.Sequential:
    """Three Linear layers, each with its norm and a ReLU, and one output."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(width, width), make(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


def network_row(name: str, batch: int, width: int, repeats: int, compiled: bool) -> Row:
    """Forward and backward of a three-layer network."""
    x = torch.randn(batch, width, generator=torch.Generator().manual_seed(0))
    steps: list[Callable[[], object]] = []
    for make in LAYERS[name]:
        net = network(make, width)
        function = torch.compile(net, fullgraph=True, dynamic=False) if compiled else net
        steps.append(step_of(net, function, x))
    torch._dynamo.reset()
    kind = "compiled" if compiled else "eager"
    return row(f"network {name} {batch}x{width} {kind}", *interleaved(steps[0], steps[1], repeats))


def step_of(net: nn.Module, function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """One forward and backward pass, warmed up."""
    parameters = list(net.parameters())

    def step() -> object:
        return torch.autograd.grad(function(x).square().mean(), parameters)

    step()
    return step


def peak(function: Callable[[], object]) -> float:
    """MiB that one call adds to the resident set at its highest (Linux, glibc: the kernel's high-water mark)."""
    function()
    gc.collect()
    # What earlier passes freed must go back first, or it is used again and not seen.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    function()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def memory_row(name: str, shape: tuple[int, ...]) -> Row:
    """Peak memory of one forward and backward pass."""
    rng = torch.Generator().manual_seed(0)
    x, g = torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)
    functions = [passes(make(shape[1]), x, g)["both"] for make in LAYERS[name]]
    peaks = [statistics.median(peak(function) for _ in range(5)) for function in functions]
    return row(f"{name} {'x'.join(map(str, shape))} peak memory", peaks[0], peaks[1])


def row(case: str, ours: float, peer: float) -> Row:
    """A row with its ratio; NaN where the peer's figure is zero."""
    return Row(f"{case} ({torch.get_num_threads()} threads)", ours, peer, ours / peer if peer else math.nan)


def rows(threads: int, repeats: int) -> Iterator[Row]:
    """All cases at one number of threads."""
    torch.set_num_threads(threads)
    for name in LAYERS:
        for shape in MLP if name in FLAT else CONV:
            yield from layer_rows(name, shape, repeats)
        yield memory_row(name, (MLP if name in FLAT else CONV)[-1])
    for name in FLAT:
        for batch, width in MLP:
            for compiled in (False, True):
                yield network_row(name, batch, width, repeats, compiled)


def show(rows: Iterator[Row]) -> list[Row]:
    """Print rows as they come; returns them."""
    print(f"{'case':<58}{'ours':>10}{'peer':>10}{'ratio':>8}")
    seen = []
    for r in rows:
        print(f"{r.case:<58}{r.ours:>10.4f}{r.peer:>10.4f}{r.ratio:>8.2f}", flush=True)
        seen.append(r)
    return seen


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    seen = [r for threads in args.threads for r in show(rows(threads, args.repeats))]
    if args.json:
        args.json.write_text(json.dumps([asdict(r) for r in seen], indent=1) + "\n")


if __name__ == "__main__":
    main()
