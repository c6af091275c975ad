"""One's own question without a claim: norms compared on an environment, by the same engine, rules and outputs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rlnorm.errors import raise_if_any, too_few
from rlnorm.study.assess import Asked, setting_errors
from rlnorm.study.claim import DQN, PRESETS, Arm, Claim, Effect, Experiment
from rlnorm.study.discover import Found
from rlnorm.study.judge import Question
from rlnorm.study.settings import DQN_STUDY
from rlnorm.tasks.environments import SCALES

DEFAULT_STEPS = 100_000


def compare(env: str, norms: Sequence[str], seeds: int, steps: int, lr: float | None = None) -> Asked:
    """The comparison of every norm with the first one, as something to run and judge.

    A norm is a short name, or the path of a file with a norm of one's own. Where the environment has constants
    (`SCALES`) the score is the normalized area under the training-return curve and the margin 0.05 of it; elsewhere it
    is the area in plain returns and the margin is 0. Raises ConfigError with every error at once.
    """
    norms = [str(Path(norm).absolute()) if norm.endswith(".py") else norm for norm in norms]
    raise_if_any(errors(env, norms, seeds, steps, lr))
    first, *others = [_short(norm) for norm in norms]
    arms = {_short(norm): Arm(norm=norm) for norm in norms}
    known = env in SCALES
    claim = Claim(
        statement=f"On {env}, DQN with {_listed(others)} scores better than with norm {first!r}.",
        source="a question of one's own",
        notes=(),
        parts={
            f"{other} against {first}": Effect(
                experiment=_experiment(env, steps, lr),
                arms={name: arms[name] for name in (first, other)},
                metric="return_auc" if known else "plain_return_auc",
                question=Question("superior", treatment=other, reference=first, margin=0.05 if known else 0.0),
            )
            for other in others
        },
    )
    name = f"train-{env}-{'-'.join(arms)}".lower().replace("/", "-")
    recipe = {"env": env, "norms": list(norms), "seeds": seeds, "steps": steps, "lr": lr}
    return Asked(Found(name, claim, None), "full", seeds=seeds, recipe=recipe)


def _short(norm: str) -> str:
    return Path(norm).stem if norm.endswith(".py") else norm


def _listed(norms: Sequence[str]) -> str:
    return " or ".join(f"norm {norm!r}" for norm in norms)


def errors(env: str, norms: Sequence[str], seeds: int, steps: int, lr: float | None) -> Iterator[str]:
    """One sentence for everything that is wrong with such a question."""
    names = [_short(norm) for norm in norms]
    if len(names) < 2 or len(set(names)) < len(names):
        yield f"--norms needs at least two different norms to compare, got {','.join(names) or 'none'!r}."
    yield from too_few({"--seeds": seeds, "--steps": steps})
    yield from setting_errors(
        _experiment(env, steps, lr),
        {name: Arm(norm=norm) for name, norm in zip(names, norms)},
        steps if steps > 0 else DEFAULT_STEPS,
    )


def _experiment(env: str, steps: int, lr: float | None) -> Experiment:
    settings = {**DQN_STUDY, **({} if lr is None else {"lr": lr})}
    return DQN(env=env, steps=dict.fromkeys(PRESETS, steps), **settings)


def again(recipe: Mapping[str, object]) -> Asked:
    """The comparison that `Asked.recipe` describes."""
    return compare(**recipe)  # pyright: ignore[reportArgumentType]
