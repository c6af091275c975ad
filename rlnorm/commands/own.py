"""Commands for norms, claims and models of one's own: `check-norm | check-claim | doctor`."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from rlnorm.errors import raise_if_any
from rlnorm.showing import console, text_width
from rlnorm.study.claim.load import by_path


def check_norm(norm: tyro.conf.Positional[Path], /) -> None:
    """Hold your own norm to the laws that rlnorm's norms obey.

    Args:
        norm: Its file, which ends in NORM = Norm(...).
    """
    from rlnorm.nn import check

    report = check.check_norm(norm)
    console.print(str(report), markup=False)
    if not report.holds:
        sys.exit(1)


def check_claim(claim: tyro.conf.Positional[Path], /) -> None:
    """Hold your own claim to the rules that rlnorm's claims obey; nothing is run.

    Args:
        claim: Its file, which ends in CLAIM = Claim(...).
    """
    from rlnorm.study.claim.validate import errors

    found = by_path(claim)
    raise_if_any(errors(found.claim))
    parts = len(found.claim.parts)
    console.print(
        f"{found.id}: {found.claim.title}. {parts} {'part' if parts == 1 else 'parts'}, no errors.", markup=False
    )


def doctor(
    model: tyro.conf.Positional[Path],
    /,
    *,
    trust: bool = False,
    algo: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
    env: Annotated[str | None, tyro.conf.arg(metavar="ID")] = None,
) -> None:
    """Find what goes wrong with normalization in a saved model.

    Exit code: 0 healthy, 1 a fault, 2 bad input, 3 it could not be examined.

    Args:
        model: A zip that a stable-baselines3 model's save() wrote, or a module that torch.save wrote.
        trust: Load it: loading runs code that the file contains.
        algo: Algorithm that saved it, such as dqn; told by its settings where not given.
        env: A gymnasium environment to act in, by id, for data to hold the running statistics against.
    """
    from rlnorm.doctor.command import examine_file

    text, code = examine_file(model, trust, algo, env, text_width())
    console.print(text, markup=False, soft_wrap=True)
    if code:
        sys.exit(code)
