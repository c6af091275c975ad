"""All records of a study in tidy form: one line a number, as CSV or Parquet."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rlnorm.errors import ConfigError
from rlnorm.study.run.rows import Damaged, read

COLUMNS = ("unit", "label", "engine", "env", "norm", "seed", "rate", "step", "name", "value")
MEANINGS = (
    "unit of work and its label, engine, environment, norm, seed, learning rate, step, name of the number, number"
)


def rows(directory: Path) -> Iterator[tuple[Any, ...]]:
    """Every number of every finished unit below `directory`, by `COLUMNS`; None where it was not finite.

    Numbers that belong to no run of their own (epsilon, cases of an exact part) have no seed. A probe's name is
    its tag, norm/<layer>/<probe>; a time of a cost part is seconds/<arm>. Snapshots are distributions, and left out.
    """
    for path in sorted((directory / "units").glob("*.jsonl")):
        try:
            found = read(path)
        except Damaged as error:
            raise ConfigError(f"{str(path)!r} is damaged ({error}); `rlnorm run` does its unit again.") from error
        yield from _unit(found.header, found.records)


def _unit(head: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    settings, seeds, rates = head["settings"], head["seeds"], head["lrs"]
    first = (head["unit"], head["label"], head["engine"], settings.get("env"), settings.get("norm"))
    for record in records:
        for name, value in _numbers(record):
            if isinstance(value, list):
                for seed, rate, each in zip(seeds, rates, value):
                    yield (*first, seed, rate, record["step"], name, _number(each))
            else:
                yield (*first, None, None, record["step"], name, _number(value))


def _number(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def _numbers(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name == "snapshot":
            continue
        tag = "norm" if not before and name == "probes" else f"{before}{name}"
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{tag}/")
        elif tag != "step":
            yield tag, value


def to_csv(directory: Path, target: Path) -> int:
    """Write all records as CSV -> how many lines."""
    count = 0
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in rows(directory):
            table.writerow(row)
            count += 1
    partial.replace(target)
    return count


def to_parquet(directory: Path, target: Path) -> int:
    """Write all records as Parquet -> how many lines. ConfigError where pyarrow is not installed."""
    try:  # by name: type checkers see it only where it is installed
        pyarrow, parquet = (import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError:
        raise ConfigError(
            "--parquet needs pyarrow, which is not installed: `pip install pyarrow`, or take --csv."
        ) from None
    columns = list(zip(*rows(directory))) or [()] * len(COLUMNS)
    kinds = [pyarrow.string()] * 5 + [
        pyarrow.int64(),
        pyarrow.float64(),
        pyarrow.int64(),
        pyarrow.string(),
        pyarrow.float64(),
    ]
    arrays = [pyarrow.array(column, kind, from_pandas=True) for column, kind in zip(columns, kinds)]
    table = pyarrow.table(dict(zip(COLUMNS, arrays)))
    parquet.write_table(table, target)
    return table.num_rows
