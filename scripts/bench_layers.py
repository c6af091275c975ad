"""Times of our norms beside torch.nn's, in one process, repetitions in turn.

python scripts/bench_layers.py --only compiled --threads 1 --rows rows.json

All cases take about eight minutes; `--rows` keeps the rows of cases that are measured in pieces.
`--only '^$' --rows rows.json --table PAGE` writes the page without measuring anything.

A row is one case. It has the medians of ours and of torch's in milliseconds (peak memory: in MiB), and the median of
the ratios ours / torch's over the repetitions with its 95 % interval. The interval is made of ranks and assumes no
distribution. Below 1 ours is better.
"""

import ctypes
import gc
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from bench_dqn import status
from scipy.stats import binom
from torch import Tensor, nn

import rlnorm.nn as ours
from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, too_few, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.nn.group import groups_for
from rlnorm.validation.options import read, typed

MLP = ((32, 64), (128, 64), (128, 256), (1024, 64), (1024, 256), (4096, 256))
CONV = ((32, 16, 10, 10), (32, 32, 20, 20), (32, 64, 42, 42), (32, 64, 84, 84))
Pair = tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]]
FLAT: dict[str, Pair] = {
    "BatchNorm1d": (ours.BatchNorm1d, nn.BatchNorm1d),
    "LayerNorm": (ours.LayerNorm, nn.LayerNorm),
    "RMSNorm": (ours.RMSNorm, nn.RMSNorm),
}
MAPS: dict[str, Pair] = {
    "BatchNorm2d": (ours.BatchNorm2d, nn.BatchNorm2d),
    "GroupNorm": (ours.GroupNorm.of_width, lambda width: nn.GroupNorm(groups_for(width), width)),
    "InstanceNorm2d": (
        lambda width: ours.InstanceNorm2d(width, affine=True),
        lambda width: nn.InstanceNorm2d(width, affine=True),
    ),
}
PASSES = ("forward", "backward", "both", "eval", "no gradient")
KINDS = ("eager", "compiled")
FEWEST, MOST, SECONDS = 9, 40, 0.4
"""Repetitions of a case, and about how long they take together."""
COMMAND = "python scripts/bench_layers.py --rows rows.json --table docs/results/layers.md"


@dataclass(frozen=True)
class Row:
    """One case: ours and torch's in milliseconds (or MiB), and ours / torch's with its interval."""

    case: str
    threads: int
    ours: float
    peer: float
    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Case:
    """A case to measure: its name, and a function that gives (ours, torch's) for each repetition."""

    name: str
    measure: Callable[[], list[tuple[float, float]]]


Rows = dict[tuple[str, int], Row]


@dataclass(frozen=True)
class Pieces:
    """Options of a benchmark that can be measured in pieces.

    Args:
        only: A regular expression. Only cases in whose name it is found are measured.
        rows: Add the rows to this file (JSON). A case replaces its earlier row.
        table: Write all rows, also those of earlier runs, as a page to this file (Markdown).
    """

    only: str = ""
    rows: Path | None = None
    table: Path | None = None

    def errors(self) -> Iterator[str]:
        """A sentence for everything that is wrong with the options."""
        try:
            re.compile(self.only)
        except re.error as error:
            yield f"--only {self.only!r} is no regular expression: {error}."
        if self.rows:
            yield from unwritable_file("the rows", "--rows", self.rows)
        if self.table:
            yield from unwritable_file("the page", "--table", self.table)

    def earlier(self) -> Rows:
        """(case, threads) -> the row of an earlier run."""
        known = json.loads(self.rows.read_text("utf-8")) if self.rows and self.rows.exists() else []
        return {(each["case"], each["threads"]): Row(**each) for each in known}

    def add(self, row: Row, rows: Rows) -> None:
        """Add a row to `rows`, and write them all where asked for."""
        rows[row.case, row.threads] = row
        if self.rows:
            write_atomically(self.rows, json.dumps([asdict(each) for each in rows.values()], indent=1) + "\n")


def in_turn(a: Callable[[], object], b: Callable[[], object]) -> list[tuple[float, float]]:
    """Milliseconds of one call of a and of b. Blocks of both alternate, and so does the one that goes first."""
    once = [_fastest(function) for function in (a, b)]
    repeats = min(MOST, max(FEWEST, int(SECONDS / sum(once))))
    block = max(1, int(SECONDS / repeats / sum(once)))
    seen: list[tuple[float, float]] = []
    for repeat in range(repeats):
        first, second = (a, b) if repeat % 2 else (b, a)
        times = {function: _block(function, block) for function in (first, second)}
        seen.append((times[a], times[b]))
    return seen


def _fastest(function: Callable[[], object]) -> float:
    return min(_block(function, 1) for _ in range(4)) / 1e3


def _block(function: Callable[[], object], block: int) -> float:
    start = time.perf_counter()
    for _ in range(block):
        function()
    return (time.perf_counter() - start) / block * 1e3


def row(case: str, pairs: Sequence[tuple[float, float]]) -> Row:
    """Medians, and the interval of the median ratio. Ratio: None where a figure of torch's is zero."""
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    threads = torch.get_num_threads()
    if not all(peer for _, peer in pairs):
        return Row(case, threads, a, b, None, None, None)
    ratios = sorted(ours / peer for ours, peer in pairs)
    rank = int(binom.ppf(0.025, len(ratios), 0.5))
    return Row(case, threads, a, b, statistics.median(ratios), ratios[max(0, rank - 1)], ratios[-max(1, rank)])


def passes(module: nn.Module, x: Tensor, g: Tensor) -> dict[str, Callable[[], object]]:
    """Name -> the function to time. The module is put into training mode; the caller sets it for "eval"."""
    leaf = x.clone().requires_grad_()
    inputs = [leaf, *module.parameters()]
    y = module.train()(leaf)

    def forward() -> object:
        return module(leaf)

    def backward() -> object:
        return torch.autograd.grad(y, inputs, g, retain_graph=True)

    def both() -> object:
        return torch.autograd.grad(module(leaf), inputs, g)

    def without_gradient() -> object:
        with torch.no_grad():
            return module(x)

    return dict(zip(PASSES, (forward, backward, both, without_gradient, without_gradient), strict=True))


def drawn(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """An input and a gradient."""
    rng = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)


def layer_cases(name: str, pair: Pair, shape: tuple[int, ...]) -> Iterator[Case]:
    """The passes of one layer, eager. "no gradient" is left out for a layer without buffers: it would equal "eval"."""
    keeps_statistics = any(True for _ in pair[0](1).buffers())

    def measure(what: str) -> list[tuple[float, float]]:
        modules = [make(shape[1]) for make in pair]
        timed = [passes(module, *drawn(shape))[what] for module in modules]
        for module in modules:
            module.train(what != "eval")
        return in_turn(timed[0], timed[1])

    for what in PASSES if keeps_statistics else PASSES[:-1]:
        yield Case(f"{name} {sized(shape)} {what}", lambda what=what: measure(what))


def network(make: Callable[[int], nn.Module], width: int) -> nn.Sequential:
    """Three Linear layers, each with its norm and a ReLU, and one output."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(width, width), make(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


def network_case(name: str, pair: Pair, shape: tuple[int, ...], kind: str) -> Case:
    """Forward and backward pass of a three-layer network."""

    def step(make: Callable[[int], nn.Module], x: Tensor) -> Callable[[], object]:
        net = network(make, shape[1])
        return step_of(net, torch.compile(net, fullgraph=True, dynamic=False) if kind == "compiled" else net, x)

    def measure() -> list[tuple[float, float]]:
        x, _ = drawn(shape)
        torch._dynamo.reset()
        first = [step(make, x) for make in pair]
        times = in_turn(first[0], first[1])
        if kind == "eager":
            return times
        # The network that is compiled first runs 1-3 % slower, so each is compiled first once.
        torch._dynamo.reset()
        second = [step(make, x) for make in pair[::-1]]
        return times + in_turn(second[1], second[0])

    return Case(f"network {name} {sized(shape)} {kind}", measure)


def step_of(net: nn.Module, function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """One forward and backward pass, warmed up."""
    parameters = list(net.parameters())

    def step() -> object:
        return torch.autograd.grad(function(x).square().mean(), parameters)

    step()
    return step


def memory_case(name: str, pair: Pair, shape: tuple[int, ...]) -> Case:
    """Peak memory of one forward and backward pass."""

    def measure() -> list[tuple[float, float]]:
        both = [passes(make(shape[1]), *drawn(shape))["both"] for make in pair]
        return [(peak(both[0]), peak(both[1])) for _ in range(FEWEST)]

    return Case(f"{name} {sized(shape)} memory", measure)


def peak(function: Callable[[], object]) -> float:
    """MiB that one call adds to the peak of the resident set: the kernel's high-water mark (Linux, glibc)."""
    function()
    gc.collect()
    # Memory that earlier passes freed goes back first: a call that uses it again would not raise the mark.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    function()
    return (status("VmHWM") - before) / 1024


def sized(shape: tuple[int, ...]) -> str:
    """(32, 64) -> 32x64."""
    return "x".join(map(str, shape))


def cases() -> Iterator[Case]:
    """Every case of the benchmark."""
    for pairs, shapes in ((FLAT, MLP), (MAPS, CONV)):
        for name, pair in pairs.items():
            for shape in shapes:
                yield from layer_cases(name, pair, shape)
            yield memory_case(name, pair, shapes[-1])
    for kind in KINDS:
        for name, pair in FLAT.items():
            for shape in MLP:
                yield network_case(name, pair, shape, kind)


def show(chosen: Iterable[Case]) -> Iterator[Row]:
    """Measure and print row after row."""
    print(f"{'case':<44}{'threads':>8}{'ours':>10}{'torch':>10}{'ratio':>8}  interval")
    for case in chosen:
        r = row(case.name, case.measure())
        print(f"{r.case:<44}{r.threads:>8}{r.ours:>10.4f}{r.peer:>10.4f}  {spread(r)}", flush=True)
        yield r


def spread(r: Row) -> str:
    """The ratio and its interval."""
    return "-" if r.ratio is None else f"{r.ratio:.2f} ({r.low:.2f}-{r.high:.2f})"


def page(rows: Sequence[Row], command: str, note: str = "") -> str:
    """All rows as a page of tables."""
    found = {(r.case, r.threads): r for r in rows}
    threads = sorted({r.threads for r in rows})
    measured = {r.case.split()[0] for r in rows}
    missing = [name for name in (*FLAT, *MAPS) if name not in measured]

    def cell(case: str, style: Callable[[Row], str]) -> str:
        return " / ".join(style(found[case, n]) if (case, n) in found else "-" for n in threads)

    def short(r: Row) -> str:
        return "-" if r.ratio is None else f"{r.ratio:.2f}"

    lines = [
        "# Layers: time and memory beside torch.nn's",
        "",
        f"Made by `{command}`.",
        "Ours divided by torch.nn's of the same run, repetitions in turn; below 1 ours is better.",
        "Measured in pieces (`--only`), nothing else at work.",
        f"Float32, CPU, torch {torch.__version__.partition('+')[0]}; threads: {' / '.join(map(str, threads))}.",
        "",
        *([note, ""] if note else []),
        *([f"Not measured yet: {', '.join(missing)}.", ""] if missing else []),
        "## One layer, eager",
        "",
        "Forward records a graph. `eval` (with running statistics where there are any) and `no gradient` (in training",
        "mode) do not.",
        "",
        f"| layer | input | {' | '.join(PASSES)} | peak memory |",
        f"|---|---|{'---|' * (len(PASSES) + 1)}",
    ]
    for pairs, shapes in ((FLAT, MLP), (MAPS, CONV)):
        for name in (name for name in pairs if name in measured):
            for shape in map(sized, shapes):
                cells = [cell(f"{name} {shape} {what}", short) for what in (*PASSES, "memory")]
                lines.append(f"| {name} | {shape} | {' | '.join(cells)} |")
    lines += [
        "",
        "## Three-layer network, forward and backward",
        "",
        "Linear, norm and ReLU three times and one output; the median ratio and its 95 % interval.",
        "",
        "| norm | input | eager | compiled |",
        "|---|---|---|---|",
    ]
    for name in FLAT:
        for shape in map(sized, MLP):
            cells = [cell(f"network {name} {shape} {kind}", spread) for kind in KINDS]
            lines.append(f"| {name} | {shape} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(pieces: Annotated[Pieces, tyro.conf.arg(name="")], threads: tuple[int, ...] = (1, 2), note: str = "") -> None:
    """Measure, print, and write the rows and the page where asked for.

    Args:
        threads: Numbers of torch's threads; every case is measured with each.
        note: A sentence for the page, for example which rows are of which commit.
    """
    raise_if_any([*pieces.errors(), *too_few({"--threads": min(threads, default=0)})])
    rows, chosen = pieces.earlier(), [case for case in cases() if re.search(pieces.only, case.name)]
    for number in threads:
        torch.set_num_threads(number)
        for row in show(chosen):
            pieces.add(row, rows)
    if pieces.table:
        write_atomically(pieces.table, page(list(rows.values()), COMMAND, note))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
