"""What comes of one use of one module: the same values as torch.nn, something else, or a refusal."""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["as torch.nn", "otherwise", "refused", "nothing to do"]
Make = Callable[[], nn.Module]
Tensors = Sequence[Tensor]
LONGEST = 240
ENDS = r"(?<=[a-z)])\. (?=[A-Z])|\s*:?\s(?:File \"|Graph diff:|graph\(|Defined at:)"
"""Where the first sentence of a message ends: before the next one, a place in a file, or a graph."""


@dataclass(frozen=True)
class Outcome:
    """What came of a use; `how` is one sentence, empty where there is nothing to add."""

    kind: Kind
    how: str = ""


@dataclass(frozen=True)
class Subject:
    """A module to be used, and torch's module for the same thing.

    name         its row in the tables
    make         makes the module; each call gives the same state
    inputs       what it is called with; axis 0 is the batch
    twin         makes torch.nn's module with the same state; None where torch has none
    other_names  the twin holds its state under other names, so that values are compared with `make`'s, used plainly
    """

    name: str
    make: Make
    inputs: tuple[Tensor, ...]
    twin: Make | None = None
    other_names: bool = False

    @property
    def swapped(self) -> "Subject":
        """The twin as the module and the module as its twin; itself where there is no twin."""
        return self if self.twin is None else replace(self, make=self.twin, twin=self.make)


@dataclass(frozen=True)
class Use:
    """Something that people do with modules.

    name       its column in the tables
    what       one sentence: what is done, and which values are compared
    do         uses a subject's module -> the values that come of it; raises `Otherwise` or `NothingToDo`
    plain      the same values from the module used plainly
    instead    one sentence: what to do where the outcome is not that of torch.nn
    packages   packages beyond rlnorm's own that it needs
    tolerance  largest difference that counts as none, relative to 1 + the largest value
    processes  1, or 2 where `do` needs a process group
    """

    name: str
    what: str
    do: Callable[[Subject], Tensors]
    plain: Callable[[Subject], Tensors]
    instead: str = ""
    packages: tuple[str, ...] = ()
    tolerance: float = 1e-5
    processes: int = 1


class Otherwise(Exception):
    """The use goes through, and does something else than with torch's module; says how."""


class NothingToDo(Exception):
    """The use has no meaning for this module."""


def outcome(use: Use, subject: Subject) -> Outcome:
    """Do it, and compare the values with those of torch's twin, or of the module itself where there is no twin."""
    found = _done(use, subject, subject if subject.other_names else subject.swapped)
    if found.kind == "refused" and subject.twin is not None:
        theirs = _done(use, subject.swapped, subject.swapped)
        if theirs.kind == "refused":
            return Outcome("as torch.nn", f"torch.nn refuses too, with {theirs.how}")
    return found


def _done(use: Use, subject: Subject, plainly: Subject) -> Outcome:
    """What comes of `subject`, held against `plainly` used plainly."""
    try:
        got = quietly(use.do, subject)
    except NothingToDo:
        return Outcome("nothing to do")
    except Otherwise as how:
        return Outcome("otherwise", str(how))
    except Exception as error:
        return Outcome("refused", sentence(error))
    differs = difference(got, quietly(use.plain, plainly), use.tolerance)
    return Outcome("otherwise", differs) if differs else Outcome("as torch.nn")


def quietly(do: Callable[[Subject], Tensors], subject: Subject) -> Tensors:
    """Do it with random numbers of its own, and without warnings."""
    with torch.random.fork_rng(devices=()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return do(subject)


def difference(got: Tensors, expected: Tensors, tolerance: float) -> str:
    """How `got` differs from `expected`, in words; empty where it does not by more than `tolerance`."""
    if len(got) != len(expected):
        return f"{len(got)} tensors come of it instead of {len(expected)}"
    for mine, right in zip(got, expected):
        if mine.shape != right.shape:
            return f"a shape is {tuple(mine.shape)} instead of {tuple(right.shape)}"
        if not mine.numel():
            continue
        error = (mine.detach().double() - right.detach().double()).abs().max().item()
        if not error <= tolerance * (1 + right.detach().double().abs().max().item()):
            return f"values are off by {error:.1g}"
    return ""


def sentence(error: Exception) -> str:
    """The first sentence of an error's message, without what changes: addresses, folders, lines, the module's class."""
    text, *_ = re.split(ENDS, " ".join(str(error).split()))
    text = re.sub(r"^[A-Z]\w+: (?=[a-z])", "", text)
    text = re.sub(r"0x[0-9a-f]{6,}|/\S*/", "…", text).rstrip(".").replace("`", "'")
    short = text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"
    return f"`{type(error).__name__}: {short}`" if short else f"`{type(error).__name__}`"
