"""What the page's figures are drawn from, and what can be saved as CSV: compressed once into the page.

Curves are shown at no more than `POINTS` steps with three digits, and an arm that several parts share is kept once, so
that the whole catalogue stays small.
"""

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rlnorm.study.claim import Effect, Part
from rlnorm.study.judge.results import ArmResult, Curve, PartResult
from rlnorm.study.report import confidence_bands, wording
from rlnorm.study.report.across import Across
from rlnorm.study.report.language import t

POINTS = 40
SHOWN = ("return", "test_accuracy", "loss", "q")
"""Curves that are drawn; epsilon is the same in every arm."""


class Data:
    """Everything that the page's script is given, gathered part by part."""

    def __init__(self, colours: Mapping[str, str]):
        self._colours = colours
        self._patterns = {name: i for i, name in enumerate(colours)}
        self._kept: dict[bytes, int] = {}
        self._series: list[object] = []
        self._parts: dict[str, object] = {}

    def add(self, anchor: str, result: PartResult, part: Part | None) -> bool:
        """Keep the figures of one part -> whether it has any."""
        drawn = {name: arm for name, arm in result.arms.items() if np.isfinite(arm.scores).any()}
        if not drawn:
            return False
        where = " " + t("at the middle point") if isinstance(part, Effect) and part.points else ""
        curves = [self._curve(drawn, key, where) for key in SHOWN if any(_has(arm, key) for arm in drawn.values())]
        scores = [self._keep(_scores(arm)) for arm in drawn.values()]
        effect = part if isinstance(part, Effect) else None
        self._parts[anchor] = {
            "title": result.name,
            "arms": self._named(drawn),
            "scores": scores,
            "metric": wording.metric(result.metric),
            "strip": _strip(drawn, part),
            "curves": curves,
            "unit": wording.budget(effect.experiment) if effect else t("environment steps"),
        }
        return True

    def add_profiles(self, anchor: str, title: str, found: Across) -> None:
        """Keep the performance profiles of the same arms over several environments."""
        kept = []
        for name, line in found.profiles.items():
            lines = {"mean": line.estimate, "low": line.low, "high": line.high, "rest": []}
            shown = {"x": _short(line.taus), **{key: _short(values) for key, values in lines.items()}}
            kept.append(self._keep({**shown, "runs": [], "n": found.runs[name]}))
        self._parts[anchor] = {
            "title": title,
            "arms": self._named(found.profiles),
            "scores": None,
            "curves": [{"key": "fraction", "label": t("Fraction of runs above it"), "of": kept}],
            "unit": t("normalized return"),
        }

    def _named(self, arms: Iterable[str]) -> list[dict[str, object]]:
        return [{"name": name, "colour": self._colours[name], "pattern": self._patterns[name]} for name in arms]

    def text(self, say: Mapping[str, str]) -> str:
        """Everything, with the words that the script needs: JSON, deflated, as base64."""
        whole = {"say": say, "series": self._series, "parts": self._parts}
        written = json.dumps(whole, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        return base64.b64encode(zlib.compress(written.encode(), 9)).decode()

    def _curve(self, arms: Mapping[str, ArmResult], key: str, where: str) -> dict[str, object]:
        of = [self._keep(_drawn(arm.curves[key])) if _has(arm, key) else None for arm in arms.values()]
        return {"key": key, "label": t(wording.CURVES[key]) + where, "of": of}

    def _keep(self, series: Mapping[str, object]) -> int:
        """The number of a series, which is kept once however many parts show it."""
        text = json.dumps(series, separators=(",", ":")).encode()
        if text not in self._kept:
            self._kept[text] = len(self._series)
            self._series.append(series)
        return self._kept[text]


def _has(arm: ArmResult, key: str) -> bool:
    return key in arm.curves and bool(np.isfinite(arm.curves[key].values).any())


def _drawn(curve: Curve) -> dict[str, object]:
    """A curve at few steps: mean with its band over runs, the mean of those still going, and every run."""
    count = len(curve.steps)
    at = np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))
    values = curve.values[:, at]
    found = confidence_bands.curve(values)
    lines = {name: _short(line) for name, line in found._asdict().items()}
    return {"x": [int(step) for step in curve.steps[at]], **lines, "runs": [_short(run) for run in values]}


def _scores(arm: ArmResult) -> dict[str, object]:
    found = confidence_bands.point(arm.scores)
    return {
        "seeds": list(arm.seeds),
        "scores": _short(arm.scores, 4),
        "diverged": [int(flag) for flag in arm.diverged],
        "mean": _short([found.estimate, found.low, found.high], 4),
    }


def _strip(arms: Mapping[str, ArmResult], part: Part | None) -> list[Any] | None:
    """Reference - margin and + margin, in which a treatment's mean makes no difference that matters."""
    question = part.question if isinstance(part, Effect) else None
    if question is None or question.scale != "difference" or question.reference not in arms:
        return None
    centre = confidence_bands.point(arms[question.reference].scores).estimate
    return _short([centre - question.margin, centre + question.margin], 4)


def _short(values: Iterable[float], digits: int = 3) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
