"""A question of one's own without a claim's file: norms compared on one environment, as a claim like any other."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rlnorm.errors import raise_if_any, too_few
from rlnorm.study.claim.declare import PRESETS, Claim, Effect, Experiment, dqn_experiment
from rlnorm.study.claim.dqn_setting import COMPARISON_STEPS, DQN_STUDY, FIRST_FRESH
from rlnorm.study.claim.load import ClaimFile
from rlnorm.study.claim.question import Question
from rlnorm.study.claim.validate import setting_errors
from rlnorm.tasks.environments import SCALES


def compare(
    env: str,
    norms: Sequence[str | None],
    seeds: int,
    steps: int,
    lr: float | None = None,
    environments: str | None = None,
) -> ClaimFile:
    """The comparison of every norm with the first one, as a claim without a file.

    A norm is a short name, or the path of a user's norm. Where the environment has constants (`SCALES`) the score is
    the normalized area under the training-return curve and the margin 0.05 of it; elsewhere it is the area in plain
    returns and the margin is 0. Raises ConfigError with every error at once.
    """
    norms = absolute(norms)
    raise_if_any(errors(env, norms, seeds, steps, lr, environments))
    first, *others = [_short(norm) for norm in norms]
    arms = {_short(norm): {"norm": norm} for norm in norms}
    known = env in SCALES
    claim = Claim(
        title=f"Norms compared on {env}",
        statement=f"On {env}, DQN with {_listed(others)} scores better than with norm {first!r}.",
        source="a question of one's own",
        kind="effect",
        parts={
            f"{other} against {first}": Effect(
                experiment=_experiment(env, steps, lr, environments),
                arms={name: arms[name] for name in (first, other)},
                metric="return_auc" if known else "plain_return_auc",
                question=Question(asks="superior", treatment=other, reference=first, margin=0.05 if known else 0.0),
                judged_from=FIRST_FRESH,
            )
            for other in others
        },
    )
    return ClaimFile(f"train-{env}-{'-'.join(arms)}".lower().replace("/", "-"), claim, None)


def absolute(norms: Sequence[str | None]) -> list[str]:
    """Norms by name, None as "none", and by the absolute path of their file, which is found again from elsewhere."""
    names = ["none" if norm is None else norm for norm in norms]
    return [str(Path(name).absolute()) if name.endswith(".py") else name for name in names]


def errors(
    env: str,
    norms: Sequence[str | None],
    seeds: int,
    steps: int,
    lr: float | None,
    environments: str | None = None,
) -> Iterator[str]:
    """One sentence for everything that is wrong with such a comparison."""
    norms = absolute(norms)
    names = [_short(norm) for norm in norms]
    if len(names) < 2 or len(set(names)) < len(names):
        yield f"--norms needs at least two different norms to compare, got {','.join(names) or 'none'!r}."
    yield from too_few({"--seeds": seeds, "--steps": steps})
    yield from setting_errors(
        _experiment(env, steps, lr, environments),
        {name: {"norm": norm} for name, norm in zip(names, norms)},
        steps if steps > 0 else COMPARISON_STEPS,
    )


def _short(norm: str) -> str:
    return Path(norm).stem if norm.endswith(".py") else norm


def _listed(norms: Sequence[str]) -> str:
    return " or ".join(f"norm {norm!r}" for norm in norms)


def _experiment(env: str, steps: int, lr: float | None, environments: str | None) -> Experiment:
    given = {"lr": lr, "environments": environments}
    settings = {**DQN_STUDY, **{name: value for name, value in given.items() if value is not None}}
    return dqn_experiment(env=env, steps=dict.fromkeys(PRESETS, steps), **settings)
