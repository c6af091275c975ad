"""The verdicts of exact claims as a page for the terminal: each statement, its numbers, its smallest counterexample."""

from collections.abc import Iterable, Mapping
from textwrap import fill, indent

from rlnorm.study.claim import Claim
from rlnorm.study.claim.exact import ROUNDING, WHY_ROUNDING
from rlnorm.study.judge.verdict import ExactDetails, Verdict
from rlnorm.study.report import wording

HOW_TO_READ = (
    "Each formula of the notes is computed in float64 on random cases, and so is what it should be, by another way: "
    "derivatives by a complex step through the forward pass, the rest by torch or by the definition. Sizes run from 2 "
    "to 512, scales from 1e-6 to 1e6, eps from 0 to 1. An error is a fraction of the terms that were added up. "
    f"Unless another is named, the largest error may be {ROUNDING:.0e}: {WHY_ROUNDING}. dname means dL/dname, <a> the "
    "mean of a over the batch; parts marked (beside) do not count for the overall verdict."
)


def page(claims: Mapping[str, Claim], verdicts: Iterable[Verdict]) -> str:
    """The verdicts on exact claims in 80 columns."""
    rows = list(verdicts)
    sections = [fill(HOW_TO_READ, 80)]
    for claim_id, claim in claims.items():
        own = [row for row in rows if row.claim == claim_id]
        overall = next(row for row in own if row.part == "overall")
        head = f"{claim_id}: {overall.outcome.upper()}"
        lines = [head, "=" * len(head), fill(claim.statement, 80)]
        if wording.groups(overall) and len(wording.groups(overall)) < len(own) - 1:
            lines.append(fill(overall.judgement.reason, 80))
        lines.append(fill(f"Said by {', '.join(claim.notes) or 'no note'}. Source: {claim.source}.", 80))
        lines += [render_part(row, wording.beside(claim, row.part)) for row in own if row.part != "overall"]
        sections.append("\n".join(lines))
    return "\n\n\n".join(sections) + "\n"


def render_part(row: Verdict, beside: str) -> str:
    """One part of the page: its name and verdict, the statement, the reason."""
    lines, details = [f"\n* {row.part}: {row.outcome}{beside}"], row.judgement.details
    if isinstance(details, ExactDetails):
        lines.append(_wrapped(details.statement))
    lines.append(_wrapped(row.judgement.reason))
    if isinstance(details, ExactDetails):
        if details.rationale != WHY_ROUNDING:
            lines.append(_wrapped(f"Tolerance {row.margin:.0e}: {details.rationale}."))
        numbers = wording.counterexample(row)
        lines += ["  Smallest counterexample:"] if numbers else []
        lines += [_wrapped(f"{name} = {number}", "    ") for name, number in numbers]
    return "\n".join(lines)


def _wrapped(text: str, margin: str = "  ") -> str:
    """`text` in lines of at most 80 columns behind a margin."""
    return indent(fill(text, 80 - len(margin)), margin)
