"""How many runs the parts of a claim need, as a table."""

from collections.abc import Iterator, Mapping

from rlnorm.study.claim import Claim, Cost, Effect, Question
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.judge import Sample
from rlnorm.study.judge.power import MOST, expected, runs_needed, spread
from rlnorm.study.plan.request import seeds_at
from rlnorm.study.report import wording

WANTED = 0.8


def assumed(question: Question) -> float:
    """The benefit that a question expects: twice the margin where it asks for one, else none."""
    if question.asks == "superior":
        return question.margin**2 if question.is_factor else 2 * question.margin
    return 1.0 if question.is_factor else 0.0


def table(claim: Claim, samples: Mapping[str, Mapping[str, Sample]], effect: float | None = None) -> Iterator[str]:
    """A line a trained part: the benefit assumed, the runs an arm that decide it in 80 % of studies, those declared.

    Between these stand the runs with which it decides the claim alone, after Holm's correction (rule 8), where it can.

    samples  part -> arm -> runs that are known already; parts without are left out
    effect   the benefit assumed of all parts; None: what each question expects
    """
    fair = [name for name, may in zip(claim.decisive, claim.fair(claim.decisive)) if may]
    deciding = [name for name in fair if isinstance(claim.parts[name], Effect | Cost)]
    enough = "refuted" if claim.overall == "all" else "supported"
    yield f"{'runs an arm for a chance of 80 %':<48} {'benefit':>8} {'needed':>9} {'alone':>9} {'declared':>9}"
    for name, part in claim.parts.items():
        if not isinstance(part, Effect) or name not in samples or part.second_metric:
            continue
        benefit = assumed(part.question) if effect is None else effect
        known = spread(part.question, samples[name], metric_of(part, part.metric, part.experiment.steps["full"]))
        runs = _shown(runs_needed(part.question, known, benefit, WANTED))
        alone = wording.NOTHING
        if name in deciding and expected(part.question, benefit) == enough:
            alone = _shown(runs_needed(part.question, known, benefit, WANTED, len(deciding)))
        yield f"{name:<48.48} {benefit:>8g} {runs:>9} {alone:>9} {seeds_at(part, 'full'):>9}"
    yield f"alone: those with which the claim is {enough} by this part, one of {len(deciding)} that could (Holm)."


def _shown(runs: int | None) -> str:
    return f"> {MOST}" if runs is None else str(runs)
