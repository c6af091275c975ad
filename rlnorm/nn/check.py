"""Holds a norm of one's own to the laws of the library; `rlnorm check-norm path/to/norm.py` runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rlnorm.nn.laws import LAWS, Case
from rlnorm.nn.norm import Norm, load_norm


@dataclass(frozen=True)
class Result:
    """One law over one case; `message` says how it was broken, empty where it holds."""

    law: str
    case: Case
    message: str

    @property
    def holds(self) -> bool:
        """Whether the norm obeys the law."""
        return not self.message


@dataclass(frozen=True)
class Report:
    """All results for one norm. `str` of it is a table to print."""

    norm: Norm
    results: tuple[Result, ...]

    @property
    def holds(self) -> bool:
        """Whether the norm obeys every law."""
        return all(result.holds for result in self.results)

    def __str__(self) -> str:
        broken = [result for result in self.results if not result.holds]
        lines = [f"{self.norm.name}: {len(self.results) - len(broken)} of {len(self.results)} laws hold"]
        for r in broken:
            where = f"{r.case.norm.name} at {r.case.ndim} spatial dimensions"
            lines.append(f"  broken by {where}: {r.law.replace('_', ' ')}: {r.message}")
        return "\n".join(lines)


def cases_of(norm: Norm) -> tuple[Case, ...]:
    """One case for each number of spatial dimensions that the norm, or a regime of it, has a form for."""
    return tuple(Case(each, ndim) for each in (norm, *norm.regimes) for ndim in (each.modules or range(3)))


def results_of(norm: Norm) -> Iterator[Result]:
    """Run every law over `norm`; yields results as they come (the compiled ones take a second each)."""
    for case in cases_of(norm):
        for name, law in LAWS.items():
            message = ""
            try:
                law(case)
            except Exception as error:
                message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            yield Result(name, case, message)


def check_norm(path: str | Path) -> Report:
    """Run every law over the norm that a file defines.

    Raises ConfigError where the file defines none. Whatever else goes wrong is a broken law in the report.
    """
    norm = load_norm(path)
    return Report(norm, tuple(results_of(norm)))
