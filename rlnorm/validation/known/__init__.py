"""Published results as known answers of the whole pipeline: claims like any other, whose answer the literature gives.

Each file states a published result as a claim, so that "supported" is the direction that was published. The direction
is the test: a part that asks for "better" has a margin of no effect (0, or a factor of 1), and the interval has to lie
on the published side of it. Files that begin with an underscore are helpers.
"""

from rlnorm.validation.known._page import OTHERWISE, keep, known, page, requests

__all__ = ["OTHERWISE", "keep", "known", "page", "requests"]
