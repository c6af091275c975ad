"""Budgets of claims whose runs are as long at quick as at full, so that the verdict counts at quick."""

from collections.abc import Mapping

from rlnorm.study.claim import Preset


def quick_is_full(steps: int) -> Mapping[Preset, int]:
    """So many updates, or epochs, and a tenth of them at smoke."""
    return {"smoke": max(steps // 10, 2), "quick": steps, "full": steps}
