"""Plain DQN at several rates on the selection seeds: what the study setting of an environment is chosen by.

python scripts/study_setting.py CartPole-v1 --steps 100000 --out runs/setting
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from rlnorm.study.metrics import METRICS, diverged_at
from rlnorm.study.plan import SELECTION, training_unit
from rlnorm.study.run import Bars, run
from rlnorm.study.settings import DQN_STUDY
from rlnorm.study.store import Store


def main() -> int:
    """Run what is missing and print one Markdown row per rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3])
    parser.add_argument("--loss", default=DQN_STUDY["loss"])
    parser.add_argument("--out", type=Path, default=Path("runs/setting"))
    asked = parser.parse_args()
    settings = {**DQN_STUDY, "env": asked.env, "loss": asked.loss}
    settings.pop("lr")
    seeds, rates = SELECTION * len(asked.rates), [rate for rate in asked.rates for _ in SELECTION]
    unit, store = training_unit("dqn", settings, seeds, rates, asked.steps, asked.env), Store(asked.out)
    with Bars(Console(), 1) as bars:
        if run([unit], store, 1, bars):
            return 1
    records = store.read(unit).records
    print("| learning rate | score | final greedy return | diverged |\n|---|---|---|---|")
    for first, rate in zip(range(0, len(seeds), len(SELECTION)), asked.rates):
        runs = range(first, first + len(SELECTION))
        score, final = (
            np.array([METRICS[name].score(records, unit.settings, i) for i in runs])
            for name in ("return_auc", "final_return")
        )
        diverged = sum(diverged_at(records, i) < len(records) for i in runs)
        print(f"| {rate:g} | {score.mean():.3f} ± {score.std(ddof=1):.3f} | {final.mean():.0f} | {diverged} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
