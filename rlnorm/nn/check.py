"""Holds a norm of one's own to the laws of the library; `rlnorm check-norm path/to/norm.py` runs it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from rlnorm.errors import raise_if_any, unknown
from rlnorm.nn.laws import LAWS, Case
from rlnorm.nn.laws.facts import INVARIANCES
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


def declaration_errors(norm: Norm) -> Iterator[str]:
    """One sentence for each fact of a norm that is not of its kind, found before any law is run."""
    if not isinstance(norm.modules, Mapping):
        yield f"modules maps numbers of spatial dimensions to classes, such as {{0: MyNorm}}, got {norm.modules!r}."
        return
    for ndim, make in norm.modules.items():
        if isinstance(make, nn.Module) or not callable(make):
            yield f"modules[{ndim!r}] must be a class that takes the width, got {type(make).__name__} {make!r}."
    words = [norm.invariant_to] if isinstance(norm.invariant_to, str) else norm.invariant_to
    if isinstance(norm.invariant_to, str):
        yield f"invariant_to is a set of words, such as frozenset({{{norm.invariant_to!r}}}), got a string."
    for word in words:
        if word not in (*INVARIANCES, "weight scale"):
            yield unknown("invariance", word, (*INVARIANCES, "weight scale"))


def check_norm(path: str | Path) -> Report:
    """Run every law over the norm that a file defines.

    Raises ConfigError where the file defines no norm, or facts of another kind. Anything else that goes wrong is a
    broken law in the report.
    """
    norm = load_norm(path)
    raise_if_any(declaration_errors(norm))
    return Report(norm, tuple(results_of(norm)))
