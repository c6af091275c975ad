"""What is asked of the scores of two arms, and what a score is."""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Literal

Asks = Literal["superior", "not better", "equivalent", "non-inferior"]


@dataclass(frozen=True)
class Metric:
    """What a score is.

    better     which direction is better
    unit       words for a reader, such as "test accuracy"
    random     the score of a random policy or of guessing
    reachable  the best score that can be had; where this or `random` is None there is no rule of floor and ceiling
    binary     each run scores 0 or 1, and the mean is a proportion: differences get Newcombe's interval
    """

    name: str
    better: Literal["higher", "lower"]
    unit: str
    random: float | None = None
    reachable: float | None = None
    binary: bool = False

    def standing(self, score: float) -> float | None:
        """The score on the scale 0 = random, 1 = reachable; None where no such scale is known."""
        if self.random is None or self.reachable is None:
            return None
        return (score - self.random) / (self.reachable - self.random)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Is the treatment better than, not better than, equivalent to, or not inferior to the reference?

    margin            the smallest difference that matters, in units of the scale; a factor > 1 for ratios
    scale             difference    mean of the treatment - mean of the reference
                      ratio         mean of the treatment / mean of the reference
                      spread        standard deviation of the treatment / that of the reference
                      standardized  benefit in the part's metric less that in its second one, each in standard
                                    deviations of the runs
    paired            whether runs of one seed are compared with each other (a difference alone): only where the seed
                      decides data, start and order alike in both arms
    negative_control  an arm known to be worse than the reference, and
    positive_control  an arm known to be better: if either cannot be told from it, "no effect" means nothing
    """

    asks: Asks
    treatment: str
    reference: str
    margin: float
    scale: Literal["difference", "ratio", "spread", "standardized"] = "difference"
    paired: bool = False
    negative_control: str | None = None
    positive_control: str | None = None

    @property
    def roles(self) -> dict[str, str]:
        """Role -> the arm that has it."""
        named = {
            "treatment": self.treatment,
            "reference": self.reference,
            "negative control": self.negative_control,
            "positive control": self.positive_control,
        }
        return {role: arm for role, arm in named.items() if arm is not None}

    @property
    def is_factor(self) -> bool:
        """Whether an effect is a factor, with 1 for none."""
        return self.scale in ("ratio", "spread")

    def margin_errors(self) -> Iterator[str]:
        """The sentence if the margin has no meaning on the question's scale."""
        margin = self.margin
        if not isinstance(margin, Real) or isinstance(margin, bool):
            yield f"margin must be a number, got {margin!r}."
        elif self.is_factor and not 1 <= margin < float("inf"):
            yield f"the margin of a {self.scale} is a factor of at least 1 (1.25: a quarter more), got {margin:g}."
        elif not self.is_factor and not 0 <= margin < float("inf"):
            yield f"the margin of a difference is at least 0, got {margin:g}."
