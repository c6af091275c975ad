"""What a study found, as data: all that the table, the report and TensorBoard are made from.

Nothing here computes. Arrays carry one row or entry per seed; NaN says "not available" (the run is missing, diverged,
or had nothing to say at that step).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlnorm.study.claim import Claim
from rlnorm.study.judge.verdict import Verdict


@dataclass(frozen=True)
class Curve:
    """One quantity over training: steps (T,), increasing; values (n, T), one row per seed."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class ArmResult:
    """What one arm of a part came to.

    settings  everything the engine was given, resolved        seeds     n judged seeds
    rate      the learning rate judged (None: not one)         scores    (n,) the judged score of each run
    diverged  (n,) bool                                        final     (n,) final greedy return, or None
    second    (n,) the score by the part's second metric, or None
    found     (n,) 1 where an episode met the goal, else 0; None where that is not known or nothing was looked for
    first_success  (n,) environment steps until then, the whole budget where none did; None where `found` is
    curves    "return", "loss", "q", "epsilon" from DQN; "loss", "test_accuracy" from supervised
    snapshots  step, and the `rlnorm.probes.snapshot` of the first member of the first population
    """

    name: str
    settings: Mapping[str, object]
    seeds: tuple[int, ...]
    rate: float | None
    scores: np.ndarray
    diverged: np.ndarray
    final: np.ndarray | None
    curves: Mapping[str, Curve]
    probes: Mapping[str, Curve] = field(default_factory=dict)
    second: np.ndarray | None = None
    found: np.ndarray | None = None
    first_success: np.ndarray | None = None
    snapshots: Sequence[tuple[int, Mapping[str, Any]]] = ()


@dataclass(frozen=True)
class PartResult:
    """One part of a claim with its verdict; `arms` is empty for exact parts.

    units    ids of what it was made from
    commits  of the checkouts that computed the rows, each once; empty where unknown
    seconds  that its units took, the choice of rates included; None where none is finished
    """

    name: str
    kind: str
    verdict: Verdict
    metric: str
    arms: Mapping[str, ArmResult]
    units: tuple[str, ...]
    commits: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class ClaimResult:
    """A claim, its parts, the verdict that its own rule makes of them, and the command that runs it again."""

    id: str
    claim: Claim
    parts: tuple[PartResult, ...]
    overall: Verdict
    command: str = ""


@dataclass(frozen=True)
class StudyResult:
    """A whole study. `command` is what was typed; `hardware` one line about the machine, empty where unknown."""

    claims: tuple[ClaimResult, ...]
    preset: str
    created: str
    commit: str | None
    versions: Mapping[str, str]
    command: str
    seconds: float | None
    hardware: str = ""
