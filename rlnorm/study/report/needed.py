"""How many runs the parts of a claim need, as a table."""

from collections.abc import Iterator, Mapping

from rlnorm.study.claim import Claim, Effect, Question
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.judge import Sample
from rlnorm.study.judge.power import MOST, runs_needed, spread
from rlnorm.study.plan.request import seeds_at

WANTED = 0.8


def assumed(question: Question) -> float:
    """The benefit that a question expects: twice the margin where it asks for one, else none."""
    if question.asks == "superior":
        return question.margin**2 if question.is_factor else 2 * question.margin
    return 1.0 if question.is_factor else 0.0


def table(claim: Claim, samples: Mapping[str, Mapping[str, Sample]], effect: float | None = None) -> Iterator[str]:
    """A line a trained part: the benefit assumed, the runs an arm that decide it in 80 % of studies, those declared.

    samples  part -> arm -> runs that are known already; parts without are left out
    effect   the benefit assumed of all parts; None: what each question expects
    """
    yield f"{'runs an arm for a chance of 80 %':<48} {'benefit':>8} {'needed':>9} {'declared':>9}"
    for name, part in claim.parts.items():
        if not isinstance(part, Effect) or name not in samples or part.second_metric:
            continue
        expected = assumed(part.question) if effect is None else effect
        known = spread(part.question, samples[name], metric_of(part, part.metric, part.experiment.steps["full"]))
        runs = runs_needed(part.question, known, expected, WANTED)
        needed = f"> {MOST}" if runs is None else str(runs)
        yield f"{name:<48.48} {expected:>8g} {needed:>9} {seeds_at(part, 'full'):>9}"
