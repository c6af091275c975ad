"""Run plain DQN at several rates on the selection seeds; the study setting of an environment is chosen by the table.

python scripts/study_setting.py CartPole-v1 --steps 100000 --loss huber
"""

import sys
from pathlib import Path

import tyro
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study.claim.dqn_setting import DQN_STUDY
from rlnorm.study.run import Store, complete
from rlnorm.validation.options import read, typed
from rlnorm.validation.published import setting_table, setting_unit

RATES = (1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)


def main(
    env: tyro.conf.Positional[str],
    steps: int,
    rates: tuple[float, ...] = RATES,
    loss: str = str(DQN_STUDY["loss"]),
    out: Path = Path("runs/setting"),
) -> None:
    """Run what is missing and print one Markdown row per rate.

    Args:
        env: gymnasium's id.
        steps: Environment steps per agent.
        rates: Learning rates.
        loss: squared or huber.
        out: Folder of finished runs, which are used again.
    """
    unit, store = setting_unit(env, steps, rates, {"loss": loss}), Store(out)
    complete([unit], store, 1, Console())
    print(setting_table(unit, store))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
