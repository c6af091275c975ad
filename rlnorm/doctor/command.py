"""The `rlnorm doctor` command: from its arguments to the text and the exit code.

Exit codes: 0 healthy; 1 a fault was found; 2 bad input, which raises ConfigError; 3 the model could not be examined.
"""

from pathlib import Path

import gymnasium as gym

from rlnorm.doctor.examine import check
from rlnorm.doctor.findings import said
from rlnorm.doctor.load import importing_from_here, load, load_errors
from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.tasks.environments import id_errors

HEALTHY, FAULT, UNEXAMINED = 0, 1, 3


def examine_file(
    model: Path, trust: bool = False, algo: str | None = None, env: str | None = None, width: int = 80
) -> tuple[str, int]:
    """Examine a saved model -> the text to print, at most `width` columns where lines can be broken, and the exit code.

    model  a zip that a stable-baselines3 model's `save` wrote, or a module that `torch.save` wrote
    trust  whether code that the file contains may run
    algo   algorithm that saved a zip, where its settings do not tell
    env    id of an environment to act in; without one, the stored observations are used

    Raises ConfigError for bad input.
    """
    try:
        with importing_from_here():
            raise_if_any([*load_errors(model, trust, algo), *([] if env is None else id_errors(env))])
            report = check(load(model, trust, algo), None if env is None else gym.make(env))
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        # Exit code 1 means a fault; a crash, or an exit in code that the file contains, is none.
        return f"{str(model)!r} could not be examined: {said(error)}.", UNEXAMINED
    code = FAULT if not report.healthy else HEALTHY if report.examined else UNEXAMINED
    return report.text(width), code
