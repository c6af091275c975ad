"""Is our DQN stable-baselines3's? Update by update to rounding, and over whole runs within the margin of all claims.

Updates are compared by `rlnorm.validation.updates`. `CLAIM` compares whole runs: its "sb3" arms go through
stable-baselines3 itself, the others through our engine with the recipe `sb3`, which does as its loop does. Settings are
CleanRL's, with the Huber loss and the clip that stable-baselines3 has. With that loss agents hardly learn from them in
1e5 steps, where nothing could be told apart; so the settings of `sb3_table` are compared too, where they learn. The
number of seeds is fixed to `SEEDS`.
"""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill

import numpy as np
import torch
from matplotlib.figure import Figure

from rlnorm.study.claim import PRESETS, Claim, Effect, Question, dqn_experiment
from rlnorm.study.judge import ArmResult, ClaimResult, PartResult
from rlnorm.study.judge.verdict import Outcome
from rlnorm.study.report import wording
from rlnorm.study.report.html import figures, style
from rlnorm.study.report.markdown import WIDTH, table
from rlnorm.validation import sb3_table
from rlnorm.validation.updates import Distance, Ours, Setting, compare, parted_from_itself

SEEDS = 24
CLEANRL = {
    "hidden": (120, 84),
    "lr": 2.5e-4,
    "batch": 128,
    "buffer": 10_000,
    "starts": 10_000,
    "train_every": 10,
    "target_every": 500,
    "epsilon": (1.0, 0.05, 0.5),
    "loss": "huber",
    "clip": 10.0,
    "recipe": "sb3",
}
TEN = {**sb3_table.SETTINGS, "lr": 2.3e-3, "recipe": "sb3"}
ARMS = {"sb3": {"engine": "sb3"}, "ours": {}, "negative control": {"train_every": 50}}
NAMES = {"sb3": "stable-baselines3", "ours": "ours", "negative control": "negative control: a fifth of the updates"}
OUTCOMES: Mapping[Outcome, str] = {
    "supported": "equivalent within 0.05",
    "refuted": "not equivalent",
    "inconclusive": "open",
    "insufficient": "not to be told",
}
CLAIM = Claim(
    title="Our DQN learns as stable-baselines3's does",
    statement="Agents of our DQN engine learn as stable-baselines3's do: under the same settings the normalized areas "
    "under their training-return curves are equivalent within 0.05.",
    source="stable-baselines3: Raffin et al. 2021, JMLR 22:268",
    kind="effect",
    parts={
        f"{env}, {name}": Effect(
            experiment=dqn_experiment(env=env, steps=dict.fromkeys(PRESETS, steps), **settings),
            arms=ARMS,
            metric="return_auc",
            question=Question(
                asks="equivalent", treatment="ours", reference="sb3", margin=0.05, negative_control="negative control"
            ),
        )
        for name, steps, settings in (("CleanRL's settings", 100_000, CLEANRL), ("ten environments", 50_000, TEN))
        for env in ("CartPole-v1", "Acrobot-v1")
    },
)


Exactly = Sequence[tuple[Setting, str, Sequence[Distance]]]
"""What was compared update by update: the setting, with whom stable-baselines3 was, and the distances."""

PRECISIONS = {torch.float32: "float32", torch.float64: "float64"}
EXACT = tuple(
    Setting(norm, clip, dtype)
    for norm, clip in (("none", 10.0), ("layer", 10.0), ("layer", 1.0))
    for dtype in PRECISIONS
)
"""What is compared exactly; LayerNorm's gradients seldom reach a clip of 10."""
ITSELF, RUNS = Setting("layer", 10.0), 6
SHOWN = (100, 500, 1000)
"""Updates after which the page shows how far the weights are apart."""
ROUNDING = 1e-9
"""Share of the way weights have come that, in float64, rounding stays below and no difference in an algorithm does."""


def exact() -> Exactly:
    """Every comparison of updates."""
    ours = [(setting, "ours", list(compare(setting, Ours(setting)))) for setting in EXACT]
    return [*ours, (ITSELF, f"itself, farthest of {RUNS}", parted_from_itself(ITSELF, RUNS))]


def draw(result: ClaimResult) -> str:
    """Training-return curves with their bands as an SVG file: every part, every arm."""
    chosen = style.colours(NAMES)

    def panels(figure: Figure) -> None:
        every = np.ravel(figure.subplots(-(-len(result.parts) // 2), 2, squeeze=False))
        for axes, part in zip(every, result.parts):
            for name, arm in part.arms.items():
                if "return" in arm.curves:
                    figures.band(axes, arm.curves["return"], chosen[name], f"{NAMES[name]} (n = {len(arm.seeds)})")
            figures.over_steps(axes, "environment steps")
            axes.set(title=part.name, ylabel="training return")
        figure.legend(
            *every[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(NAMES), frameon=False
        )

    return figures.picture(panels, (9, 6.4))


def page(exactly: Exactly, result: ClaimResult, commit: str | None, figure: str) -> str:
    """A Markdown page of both comparisons: how far weights part, the verdicts, curves, and every run's scores.

    `figure` is where what `draw` makes lies beside the page.
    """
    commits = [each for part in result.parts for each in part.commits]
    made = f"Command: `python scripts/fidelity.py`; {wording.commits(commits, commit)}; updates compared at the latter."
    lines = [
        "# Is our DQN stable-baselines3's?",
        "",
        fill(f"**{_overall(exactly, result)}**", WIDTH),
        "",
        fill(made, WIDTH),
        "",
        *_updates(exactly),
        "",
        "## Whole runs",
        "",
        fill(
            f"{CLAIM.statement} {SEEDS} seeds an arm, fixed beforehand, none rerun. For an equivalence to count, the "
            "negative control, which updates a fifth as often, has to be told apart, and the reference has to stand "
            "between 0.25 and 0.9 of what is reachable. An interval wider than the margin shows neither a difference "
            "nor equivalence; so the loops are compared without chance, too: on the random numbers that a run of "
            "stable-baselines3 drew, ours stores the same transitions and makes the same updates to the same weights "
            "(`tests/dqn/test_lockstep.py`).",
            WIDTH,
        ),
        "",
        *table(("part", "verdict", "ours - sb3", "90 % interval", "why"), map(_verdict, result.parts)),
        "",
        f"![Training return over environment steps in every part, for each arm]({figure})",
        "",
        "Training return of whole runs: mean over seeds with its 95 % band; dashed where some have diverged.",
        "",
        "Mean and standard deviation over seeds:",
        "",
        *table(
            ("part", "arm", "AUC", "greedy return", "diverged", "AUC / greedy return of every seed"),
            ((part.name, *_arm(arm)) for part in result.parts for arm in part.arms.values()),
        ),
    ]
    return "\n".join(lines) + "\n"


def _verdict(part: PartResult) -> Iterator[str]:
    found = part.verdict.judgement
    yield from (part.name, found.outcome, f"{found.estimate:+.3f}", f"{found.low:+.3f} to {found.high:+.3f}")
    yield found.reason


def _arm(arm: ArmResult) -> Iterator[object]:
    final = np.zeros(0) if arm.final is None else arm.final
    yield arm.name
    yield from (f"{x.mean():.{n}f} ± {x.std(ddof=1):.{n}f}" for x, n in ((arm.scores, 3), (final, 0)))
    yield int(arm.diverged.sum())
    yield " ".join(f"{score:.3f}/{greedy:.0f}" for score, greedy in zip(arm.scores, final, strict=True))


def _overall(exactly: Exactly, result: ClaimResult) -> str:
    """The verdict in two sentences: on the update, and on whole runs."""
    last = [distances[-1] for setting, _, distances in exactly if setting.dtype == torch.float64]
    same = all(each.apart < ROUNDING * each.moved for each in last)
    farthest = max(each.apart for each in last)
    found = "computes the same as theirs but for rounding" if same else "differs from theirs"
    update = f"Our update {found}: in float64 no weight is more than {farthest:.1e} apart after {SHOWN[-1]:,}."
    whole = list[str]()
    for outcome, said in OUTCOMES.items():
        names = [part.name for part in result.parts if part.verdict.outcome == outcome]
        if names or outcome == "supported":
            whole.append(
                f"{said} in {len(names)} of {len(result.parts)} parts" + f" ({'; '.join(names)})" * bool(names)
            )
    return f"{update} Whole runs: {', '.join(whole)}."


def _updates(exactly: Exactly) -> Iterator[str]:
    yield "## Update by update"
    yield ""
    yield fill(
        "The same weights, then the same batches through stable-baselines3's `DQN.train` and through our "
        "`Agents.update`: 64-64, batch 64, Huber loss, clip, Adam at 1e-3, targets copied every 100 updates. "
        "Shown is the largest difference of a weight after that many updates, and the largest way that a "
        "weight has come (moved).",
        WIDTH,
    )
    yield ""
    yield fill(
        "With LayerNorm rounding in float32 can grow to any size, because the last bit decides on which side of an "
        "edge (ReLU, the greatest Q) a value lies. stable-baselines3 parts from itself likewise when one weight begins "
        f"one unit in the last place off: the last row, of {RUNS} weights the one that led farthest.",
        WIDTH,
    )
    yield ""
    heads = "norm", "clip", "precision", "beside", "updates clipped", *(f"after {n}" for n in SHOWN), "moved"
    yield from table(heads, (_compared(*each) for each in exactly))


def _compared(setting: Setting, beside: str, distances: Sequence[Distance]) -> Iterator[str]:
    last = distances[-1]
    yield from (setting.norm, f"{setting.clip:g}", PRECISIONS[setting.dtype], beside, f"{last.clipped:.0%}")
    yield from (f"{each.apart:.1e}" for each in distances if each.updates in SHOWN)
    yield f"{last.moved:.2f}"
