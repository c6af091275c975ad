"""Plain DQN at several rates on the selection seeds: what the study setting of an environment is chosen by.

python scripts/study_setting.py CartPole-v1 --steps 100000 --loss huber
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from rlnorm.study.reference import setting_table, setting_unit
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
    unit = setting_unit(asked.env, asked.steps, asked.rates, {"loss": asked.loss})
    with Bars(Console(), 1) as bars:
        if run([unit], Store(asked.out), 1, bars):
            return 1
    print(setting_table(unit, Store(asked.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
