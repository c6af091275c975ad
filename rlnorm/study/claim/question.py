"""What is asked of the scores of two arms, and what a score is."""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Literal


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

    margin            the smallest difference that matters, in units of the score, or as a factor > 1 (ratio)
    negative_control  an arm known to be worse: if it cannot be told from the reference, "no effect" means nothing
    """

    asks: Literal["superior", "not better", "equivalent", "non-inferior"]
    treatment: str
    reference: str
    margin: float
    scale: Literal["difference", "ratio"] = "difference"
    negative_control: str | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm that the question names."""
        named = (self.treatment, self.reference)
        return named if self.negative_control is None else (*named, self.negative_control)

    def margin_errors(self) -> Iterator[str]:
        """The sentence if the margin has no meaning on the question's scale."""
        margin = self.margin
        if not isinstance(margin, Real) or isinstance(margin, bool):
            yield f"margin must be a number, got {margin!r}."
        elif self.scale == "ratio" and not 1 <= margin < float("inf"):
            yield f"the margin of a ratio is a factor of at least 1 (1.25: a quarter more), got {margin:g}."
        elif self.scale == "difference" and not 0 <= margin < float("inf"):
            yield f"the margin of a difference is at least 0, got {margin:g}."
