"""Speed of the supervised engine beside a plain PyTorch loop over the same members, in one run, and its bound.

    python scripts/bench_supervised.py --rounds 5

32 members of 64-100-100-100-10 on batches of 60, one thread, plain SGD. Ours trains them as one population, compiled
unless --eager; the loop trains one torch.nn module after the other with torch.optim. Both get the same batches from
memory. Rounds of ours, the loop and the matrix products alternate; medians of a round's time per update of all members
are shown. The products alone (forward, and backward for weights and inputs) are what no engine can go below.
"""

import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from json import dumps
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rlnorm.cli import guarded
from rlnorm.files import write_atomically
from rlnorm.networks import mlp
from rlnorm.supervised.learners import Learners
from rlnorm.validation.options import read, typed

MEMBERS, SIZES, BATCH, RATE = 32, (64, 100, 100, 100, 10), 60, 0.01
NORMS: dict[str, Callable[[int], nn.Module]] = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
Batch = tuple[Tensor, Tensor]


def batch() -> Batch:
    """Inputs (N, B, 64) and labels (N, B)."""
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(MEMBERS, BATCH, SIZES[0], generator=rng)
    return inputs, torch.randint(SIZES[-1], (MEMBERS, BATCH), generator=rng)


def ours(norm: str, given: Batch, compile: bool) -> Callable[[], object]:
    """One update of the population."""
    learners = Learners(
        lambda: mlp(SIZES[0], SIZES[-1], hidden=SIZES[1:-1], norm=norm),
        range(MEMBERS),
        [RATE] * MEMBERS,
        momentum=0.0,
        compile=compile,
    )
    return lambda: learners.update(*given)


def plain(norm: str) -> nn.Sequential:
    """The same network of torch's own modules."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inputs, outputs) in enumerate(pairwise(SIZES[:-1]), 1):
        layers |= {f"linear{i}": nn.Linear(inputs, outputs), f"relu{i}": nn.ReLU()}
        if norm != "none":
            layers[f"norm{i}"] = NORMS[norm](outputs)
            layers.move_to_end(f"relu{i}")
    return nn.Sequential(OrderedDict([*layers.items(), ("output", nn.Linear(*SIZES[-2:]))]))


def loop(norm: str, given: Batch) -> Callable[[], object]:
    """One update of every member, one after the other."""
    networks = [plain(norm) for _ in range(MEMBERS)]
    rules = [torch.optim.SGD(network.parameters(), RATE) for network in networks]

    def update() -> None:
        for network, rule, inputs, labels in zip(networks, rules, *given):
            rule.zero_grad()
            cross_entropy(network(inputs), labels).backward()
            rule.step()

    return update


def products(sizes: Sequence[int] = SIZES) -> Callable[[], object]:
    """Nothing but an update's matrix products, as engines form them; the first layer's inputs need no gradient."""
    rng = torch.Generator().manual_seed(0)
    shapes = [((MEMBERS, BATCH, i), (MEMBERS, o, i), (MEMBERS, BATCH, o)) for i, o in pairwise(sizes)]
    layers = [tuple(torch.randn(shape, generator=rng) for shape in each) for each in shapes]

    def multiply() -> None:
        for depth, (x, w, g) in enumerate(layers):
            torch.bmm(x, w.mT)
            torch.bmm(g.mT, x)
            if depth:
                torch.bmm(g, w)

    return multiply


def milliseconds(function: Callable[[], object], seconds: float) -> float:
    """Median time of a call, of as many as fit."""
    times, stop = list[float](), time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < stop:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def compare(seconds: float, rounds: int, compile: bool) -> list[dict[str, object]]:
    """A row per norm: milliseconds of ours, of the loop and of the products alone, and their ratios."""
    given, rows = batch(), []
    for norm in NORMS:
        sides = {"ours": ours(norm, given, compile), "loop": loop(norm, given), "products": products()}
        for function in sides.values():
            for _ in range(3):
                function()
        times = [{side: milliseconds(function, seconds) for side, function in sides.items()} for _ in range(rounds)]
        middle = {side: statistics.median(each[side] for each in times) for side in sides}
        row = {"norm": norm, **{side: round(value, 2) for side, value in middle.items()}}
        row["loop / ours"] = round(middle["loop"] / middle["ours"], 2)
        rows.append({**row, "bound: loop / products": round(middle["loop"] / middle["products"], 2)})
    return rows


def main(seconds: float = 1.0, rounds: int = 5, eager: bool = False, json: Path | None = None) -> None:
    """Measure, print, and keep where asked.

    Args:
        seconds: Seconds per side and round.
        rounds: How often the sides take turns.
        eager: Do not compile.
        json: Write the rows to this file.
    """
    torch.set_num_threads(1)
    rows = compare(seconds, rounds, not eager)
    table = Table(*rows[0], title="ms per update of all members")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)
    if json:
        write_atomically(json, dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
