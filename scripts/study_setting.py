"""Run plain DQN at several rates on the selection seeds; the study setting of an environment is chosen by the table.

python scripts/study_setting.py CartPole-v1 --steps 100000 --change loss=huber
python scripts/study_setting.py Acrobot-v1 --steps 50000 --change "hidden=(4, 4)" assisted=0.3
"""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any
from rlnorm.study.run import Store, complete
from rlnorm.validation.options import read, typed
from rlnorm.validation.published import setting_table, setting_unit

RATES = (1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)


def main(
    env: tyro.conf.Positional[str],
    steps: int,
    rates: tuple[float, ...] = RATES,
    change: tuple[str, ...] = (),
    out: Path = Path("runs/setting"),
) -> None:
    """Run what is missing and print one Markdown row per rate.

    Args:
        env: gymnasium's id.
        steps: Environment steps per agent.
        rates: Learning rates.
        change: Settings besides, as name=value with Python's values: "hidden=(4, 4)" loss=huber.
        out: Folder of finished runs, which are used again.
    """
    unit, store = setting_unit(env, steps, rates, changes(change)), Store(out)
    complete([unit], store, 1, Console())
    print(setting_table(unit, store))


def changes(given: Sequence[str]) -> dict[str, object]:
    """Settings from words name=value; a value that is none of Python's is text. Raises ConfigError for other words."""
    raise_if_any(f"--change takes name=value, got {word!r}." for word in given if "=" not in word)
    return {name: _value(text) for name, _, text in (word.partition("=") for word in given)}


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
