"""How values are distributed in one agent, layer by layer: snapshots as TensorBoard's Histograms and Distributions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rlnorm.study.judge import ArmResult
from rlnorm.study.report import events

TAGS: Mapping[str, str] = {
    "before": "activations/{layer} before norm",
    "after": "activations/{layer} after norm",
    "gradient": "gradients/{layer}",
    "gamma": "gamma/{layer}",
    "beta": "beta/{layer}",
    "mean_offset": "batch against running/{layer} mean",
    "spread_offset": "batch against running/{layer} spread",
}
"""What a snapshot holds -> its tag; a norm goes by the number of its layer."""


def of(arm: ArmResult) -> Iterator[events.Event]:
    """An event for each snapshot of an arm's first agent."""
    return (events.event(step, values(snapshot)) for step, snapshot in arm.snapshots)


def values(snapshot: Mapping[str, Mapping[str, Any]]) -> Iterator[events.Value]:
    """One snapshot, as `rlnorm.probes.snapshot` gives it, as the histograms of one step."""
    for layer, own in snapshot.items():
        place = re.sub("^(norm|affine)_?", "", layer)
        for what, found in own.items():
            limits = np.linspace(found["min"], found["max"], len(found["counts"]) + 1)
            yield events.histogram(TAGS[what].format(layer=place), found["counts"], limits)
