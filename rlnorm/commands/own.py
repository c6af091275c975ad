"""Commands for norms, claims and models of one's own: `new | check-norm | check-claim | doctor`."""

import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import tyro

from rlnorm.errors import raise_if_any, unknown, unwritable_file
from rlnorm.showing import console, text_width
from rlnorm.study.claim.load import by_path, claim_files, claim_id, id_errors, shipped_folder

TEMPLATES = ("claim", "norm")


def new(
    what: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="claim|norm")]], name: tyro.conf.Positional[str], /
) -> None:
    """Write a claim or a norm of your own, which works as it is, to begin with.

    Args:
        what: claim or norm.
        name: What to call it: NAME.py is written in the current folder.
    """
    stem = name.removesuffix(".py").replace("-", "_")
    target = Path(f"{stem}.py")
    raise_if_any(_new_errors(what, stem, target))
    text = (files("rlnorm.commands") / "templates" / f"{what}.py.txt").read_text("utf-8")
    title = "".join(piece[:1].upper() + piece[1:] for piece in stem.split("_"))
    with target.open("x", encoding="utf-8") as file:
        file.write(text.replace(f"my_{what}", stem).replace("MyNorm", title))
    then = {"claim": f"rlnorm run {target} --preset smoke", "norm": f"rlnorm train --norms none,{target} --steps 5000"}
    console.print(f"{target}. To go on:\n  rlnorm check-{what} {target}\n  {then[what]}", markup=False, soft_wrap=True)


def _new_errors(what: str, stem: str, target: Path) -> Iterator[str]:
    if what not in TEMPLATES:
        yield unknown("kind of file", what, TEMPLATES)
    if not re.fullmatch(r"[^\W\d]\w*", stem):
        yield f"{stem!r} cannot be the name of a module; expected letters, digits and underscores, such as my_claim."
    elif target.exists():
        yield f"{str(target)!r} is there already, and is left as it is."
    else:
        yield from unwritable_file("it", "the file", target)
    if what == "claim":
        yield from id_errors(claim_id(target))
        if claim_id(target) in map(claim_id, claim_files(shipped_folder())):
            yield f"{claim_id(target)!r} is a claim that comes with rlnorm; expected another name."


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
