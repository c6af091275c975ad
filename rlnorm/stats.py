r"""Means, differences and ratios of means over runs, each with an interval that was seen to cover.

A *run* is one seed's score, or one seed's whole curve. Runs are the first axis, (n, ...), and are resampled whole, so
points of one curve are never torn apart. Arms are independent; runs that are paired are one arm,
of differences.

Studentized bootstrap (Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, sec. 12.5). With theta the estimate,
se its standard error and * a resample of whole runs, within each arm:

    t* = (theta* - theta) / se*,       interval  [theta - q_high(t*) se,  theta - q_low(t*) se]

    mean        theta = m              se² = s²/n                        s² the unbiased variance
    difference  theta = m1 - m2        se² = s1²/n1 + s2²/n2
    ratio       theta = log m1/m2      se² = s1²/(n1 m1²) + s2²/(n2 m2²)  (delta method), then exp

Two guards, because RL runs often end in two groups (failed, succeeded):

    - a resample without one failed run has se* near 0 and t* near infinity: se* counts as at least `FLOOR` se;
    - where failures are rare, t* is nearly discrete and too narrow on one side: each end is at least as far out as
      Welch's t with Satterthwaite's degrees of freedom (Welch 1947, Biometrika 34:28).

`docs/statistics.md` shows how often these intervals hold the truth at n = 8, 16, 24, against percentile, BCa and plain
Welch, and where they fall short of their level.

Resampling works on counts: C (B, n) says how often run i is drawn in resample b, so m* = C x / n and v* = C x²/n - m*²
for all columns at once by matrix products; x is centred on its mean first, so nothing cancels.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

METHOD = "studentized+welch"
RESAMPLES = 10_000
FLOOR = 1 / 3

Array = np.ndarray


class Band(NamedTuple):
    """Mean over runs with its interval, each (T,)."""

    mean: Array
    low: Array
    high: Array


class Interval(NamedTuple):
    """A point estimate and the two ends of its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """An estimate with its resamples; ask it for any number of intervals.

    theta      (...)     the estimate on its own scale: log for a ratio
    se         (...)     its standard error
    df         (...)     Satterthwaite's degrees of freedom; 1 where se is 0
    deviation  (B, ...)  theta* - theta
    se_star    (B, ...)  the standard error within each resample
    log        True for a ratio: `value` and intervals are exp of theta's
    defined    False where an arm has a single run: intervals are then NaN
    """

    theta: Array
    se: Array
    df: Array
    deviation: Array
    se_star: Array
    log: bool = False
    defined: bool = True

    @property
    def value(self) -> Array:
        """The estimate, (...)."""
        return np.exp(self.theta) if self.log else self.theta

    def studentized(self, level: float) -> tuple[Array, Array]:
        """(below, above): how many se the studentized ends lie from theta, each (...)."""
        floor = np.where(self.se > 0, FLOOR * self.se, 1.0)
        t_star = self.deviation / np.maximum(self.se_star, floor)
        low, high = np.quantile(t_star, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return high, -low

    def welch(self, level: float) -> Array:
        """How many se Welch's ends lie from theta, (...)."""
        return special.stdtrit(self.df, (1 + level) / 2)

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """(low, high), each (...); a point where no arm varies, NaN where an arm has one run."""
        if not self.defined:
            nothing = np.full_like(self.theta, np.nan)
            return nothing, nothing
        welch = self.welch(level)
        below, above = (np.maximum(end, welch) for end in self.studentized(level))
        low, high = self.theta - below * self.se, self.theta + above * self.se
        return (np.exp(low), np.exp(high)) if self.log else (low, high)


def mean(x: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Estimate:
    """Mean over runs, x (n, ...) -> (...). ValueError where x holds no run or a non-finite score."""
    return _combine(_arm(_checked(x), rng, resamples))


def difference(x: Array, y: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Estimate:
    """Mean of x (n, ...) minus mean of y (m, ...), independent arms. ValueError as for `mean`."""
    return _combine(_arm(_checked(x), rng, resamples), _arm(_checked(y), rng, resamples))


def ratio(x: Array, y: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Estimate:
    """Mean of x (n, ...) over mean of y (m, ...), independent arms, worked out on the log scale.

    ValueError as for `mean`, and where any score is not positive: times and costs are, and with a sum near zero in
    reach of a resample a ratio has no finite interval. Compare such scores by their difference.
    """
    x, y = _checked(x), _checked(y)
    least = min(x.min(), y.min())
    if least <= 0:
        raise ValueError(f"a ratio of means needs positive scores, got {least:g}; compare by difference instead")
    return _combine(_arm(x, rng, resamples, log=True), _arm(y, rng, resamples, log=True), log=True)


def spread_ratio(x: Array, y: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Estimate:
    """Standard deviation of x (n,) over that of y (m,), independent arms, worked out on the log scale.

    With c = x - mean, v = mean c² and k = mean c⁴, log sqrt(v) has the standard error sqrt((k/v² - 1) / (n-1)) / 2
    (delta method). ValueError as for `mean`, and where an arm does not vary.
    """
    x, y = _checked(x), _checked(y)
    if not min(np.ptp(x), np.ptp(y)) > 0:
        raise ValueError("a ratio of spreads needs scores that vary in both arms")
    return _combine(_spread(x, rng, resamples), _spread(y, rng, resamples), log=True)


def effect_difference(x: Array, y: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Estimate:
    """Standardized effect of the first score less that of the second: runs x (n, 2) against runs y (m, 2).

    An effect is the difference of the arms' means in pooled standard deviations (Cohen's d). Its standard error is the
    jackknife's over runs, which carry both scores along. ValueError as for `mean`, and where a score does not vary.
    """
    x, y = _checked(x), _checked(y)

    def value(wx: Array, wy: Array) -> Array:
        means, variances = [], []
        for weights, scores in ((wx, x), (wy, y)):
            mean = weights @ scores
            means.append(mean)
            variances.append(np.maximum(weights @ scores**2 - mean**2, 0))
        d = (means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / 2)
        return d[:, 0] - d[:, 1]

    x, y = x - y.mean(0), y - y.mean(0)
    n, m = len(x), len(y)
    if not (np.ptp(np.concatenate([x, y]), axis=0) > 0).all():
        raise ValueError("a standardized effect needs scores that vary")
    even = [np.full((1, size), 1 / size) for size in (n, m)]
    theta = value(*even)[0]
    left_out = [(1 - np.eye(size)) / (size - 1) for size in (n, m)]
    without = value(left_out[0], np.repeat(even[1], n, 0)), value(np.repeat(even[0], m, 0), left_out[1])
    arms = [((each - each.mean()) ** 2).sum() * (size - 1) / size for each, size in zip(without, (n, m))]
    variance = np.asarray(sum(arms))
    df = variance**2 / sum(each**2 / (size - 1) for each, size in zip(arms, (n, m)))
    with np.errstate(invalid="ignore", divide="ignore"):
        star = value(_counts(n, resamples, rng) / n, _counts(m, resamples, rng) / m)
    # A resample of equal runs has no standard deviation.
    deviation = np.where(np.isfinite(star), star - theta, 0.0)
    se = np.sqrt(variance)
    return Estimate(np.asarray(theta), se, np.asarray(df), deviation, np.full(resamples, se))


def band(curves: Array, rng: np.random.Generator, level: float = 0.95, resamples: int = 1000) -> Band:
    """Mean of whole runs at each point of time, with pointwise intervals: curves (n, T) -> three times (T,).

    A point at which some run has no finite value gives NaN three times (a mean over fewer runs would be another
    quantity); with one run low and high are NaN. ValueError where there is no run.
    """
    curves = np.asarray(curves, dtype=float)
    whole = np.isfinite(curves).all(axis=0)
    found = mean(np.where(whole, curves, 0.0), rng, resamples)
    low, high = found.interval(level)
    return Band(*(np.where(whole, part, np.nan) for part in (found.value, low, high)))


def iqm(x: Array) -> float:
    """Interquartile mean of scores (n,): a quarter of the runs cut off at each end. For display, as bad runs drop out.

    Agarwal et al. 2021, arXiv:2108.13264. ValueError as for `mean`.
    """
    return float(interquartile_mean(_checked(x)))


def interquartile_mean(x: Array) -> Array:
    """The same along the last axis, (..., n) -> (...)."""
    n = x.shape[-1]
    cut = n // 4
    return np.partition(x, (cut, n - cut - 1))[..., cut : n - cut].mean(-1)


def wilson(count: int, n: int, level: float = 0.95) -> Interval:
    """Proportion count/n with Wilson's score interval (1927, JASA 22:209), q = 1 - p:

        (2 n p + z² -+ z sqrt(4 n p q + z²)) / (2 (n + z²))

    ValueError unless 0 <= count <= n and n > 0.
    """
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"a proportion needs 0 <= count <= n and n > 0, got count {count}, n {n}")
    p, z = count / n, _z(level)
    twice = 2 * (n + z**2)
    centre, half = (2 * n * p + z**2) / twice, z / twice * float(np.sqrt(4 * n * p * (1 - p) + z**2))
    # At the ends the formula gives 0 and 1 but for rounding.
    return Interval(p, 0.0 if count == 0 else centre - half, 1.0 if count == n else centre + half)


def proportion_difference(count_x: int, n_x: int, count_y: int, n_y: int, level: float = 0.95) -> Interval:
    """count_x/n_x - count_y/n_y, independent arms, with Newcombe's hybrid score interval.

    Newcombe 1998, Stat. Med. 17:873, method 10. Made for small counts, 0 and n included: none of 8 against none of 8
    gives +-0.32, not a point. ValueError as for `wilson`.
    """
    x, y = wilson(count_x, n_x, level), wilson(count_y, n_y, level)
    estimate = x.estimate - y.estimate
    low = estimate - float(np.hypot(x.estimate - x.low, y.high - y.estimate))
    high = estimate + float(np.hypot(x.high - x.estimate, y.estimate - y.low))
    return Interval(estimate, low, high)


def probability_of_improvement(x: Array, y: Array, level: float = 0.95) -> Interval:
    """P(X > Y) + P(X = Y)/2 for a random run of each arm, x (n,), y (m,), with Newcombe's score interval.

    Newcombe 2006, Stat. Med. 25:559, method 5: theta solves, with N = (n + m)/2,

        (theta - estimate)² = z² theta (1-theta) [1 + (N-1) ((1-theta)/(2-theta) + theta/(1+theta))] / (n m)

    ValueError as for `mean`.
    """
    x, y = _checked(x), _checked(y)
    estimate = float((np.sign(x[:, None] - y[None, :]).mean() + 1) / 2)
    runs, pairs, z = (len(x) + len(y)) / 2, len(x) * len(y), _z(level)

    def excess(theta: float) -> float:
        spread = 1 + (runs - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (theta - estimate) ** 2 - z * z * theta * (1 - theta) * spread / pairs

    # 0 and 1 solve the equation too where they are the estimate: the root sought lies inside
    edge = 1e-12
    below, above = (0.0, min(estimate, 1 - edge)), (max(estimate, edge), 1.0)
    low = 0.0 if estimate == 0 else optimize.root_scalar(excess, bracket=below, method="brentq").root
    high = 1.0 if estimate == 1 else optimize.root_scalar(excess, bracket=above, method="brentq").root
    return Interval(estimate, float(low), float(high))


def forward_filled(values: Array) -> Array:
    """NaNs replaced by the last value before them along the last axis; those before the first value stay. (..., T)."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(values.shape[-1]), -1), axis=-1)
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), axis=-1), np.nan)


def equivalent(at90: Interval, least: float, most: float) -> bool:
    """Whether a 90 % interval lies inside (least, most): two one-sided tests at 5 % (Schuirmann 1987, JPB 15:657)."""
    return bool(least < at90.low and at90.high < most)


def non_inferior(at90: Interval, least: float) -> bool:
    """Whether a 90 % interval of a benefit (more is better) lies above `least`: a one-sided test at 5 %."""
    return bool(at90.low > least)


class _Arm(NamedTuple):
    theta: Array
    variance: Array
    deviation: Array
    variance_star: Array
    n: int


def _arm(x: Array, rng: np.random.Generator, resamples: int, log: bool = False) -> _Arm:
    """One arm's mean (or its log), the variance of that mean, and both within every resample."""
    n, free = len(x), max(len(x) - 1, 1)
    mu = x.mean(axis=0)
    # a constant column must give exactly 0, whatever the mean's rounding
    centred = np.where(np.ptp(x, axis=0) > 0, x - mu, 0.0)
    counts = _counts(n, resamples, rng)
    shift = _weighted(counts, centred)
    spread = np.maximum(_weighted(counts, centred**2) - shift**2, 0)
    variance, variance_star = (centred**2).mean(axis=0) / free, spread / free
    if not log:
        return _Arm(mu, variance, shift, variance_star, n)
    return _Arm(np.log(mu), variance / mu**2, np.log1p(shift / mu), variance_star / (mu + shift) ** 2, n)


def _spread(x: Array, rng: np.random.Generator, resamples: int) -> _Arm:
    """The logarithm of one arm's standard deviation, the variance of that, and both within every resample."""
    n, counts, c = len(x), _counts(len(x), resamples, rng), x - x.mean()

    def log_variance(m1: Array, m2: Array, m3: Array, m4: Array) -> tuple[Array, Array]:
        least = 1e-9 * (c**2).mean()
        v = np.maximum(m2 - m1**2, least)
        fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
        # Where nothing varies the fourth moment is rounding alone, and more than v².
        return np.log(v), np.where(v > least, np.maximum(fourth / v**2 - 1, 0), 0) / (4 * (n - 1))

    of_all, variance = log_variance(*((c**power).mean() for power in (1, 2, 3, 4)))
    star, variance_star = log_variance(*(_weighted(counts, c**power) for power in (1, 2, 3, 4)))
    unbiased = 0.5 * np.log(n / (n - 1))
    return _Arm(0.5 * of_all + unbiased, variance, 0.5 * (star - of_all), variance_star, n)


def _combine(plus: _Arm, minus: _Arm | None = None, log: bool = False) -> Estimate:
    arms = (plus,) if minus is None else (plus, minus)
    variance = np.asarray(sum(arm.variance for arm in arms))
    weights = sum(arm.variance**2 / max(arm.n - 1, 1) for arm in arms)
    df = np.divide(variance**2, weights, out=np.ones_like(variance), where=np.asarray(weights) > 0)
    return Estimate(
        theta=np.asarray(plus.theta if minus is None else plus.theta - minus.theta),
        se=np.sqrt(variance),
        df=df,
        deviation=plus.deviation if minus is None else plus.deviation - minus.deviation,
        se_star=np.sqrt(sum(arm.variance_star for arm in arms)),
        log=log,
        defined=all(arm.n > 1 for arm in arms),
    )


def _counts(n: int, resamples: int, rng: np.random.Generator) -> Array:
    """How often each of n runs is drawn in each resample, (resamples, n), read-only."""
    counts, rng.bit_generator.state = _drawn(n, resamples, pickle.dumps(rng))
    return counts


@lru_cache(8)  # a judge begins every question with the same seed, and most arms have as many runs
def _drawn(n: int, resamples: int, pickled: bytes) -> tuple[Array, Mapping[str, Any]]:
    """The counts that a generator gives next, and its state after that."""
    rng: np.random.Generator = pickle.loads(pickled)
    drawn = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)
    counts.flags.writeable = False
    return counts, rng.bit_generator.state


def _weighted(counts: Array, x: Array) -> Array:
    """Means of the resamples: counts (B, n), x (n, ...) -> (B, ...)."""
    return np.tensordot(counts, x, axes=1) / len(x)


def _checked(x: Array) -> Array:
    x = np.asarray(x, dtype=float)
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"scores need a first axis of at least one run, got shape {x.shape}")
    bad = int((~np.isfinite(x)).sum())
    if bad:
        raise ValueError(f"scores must be finite, got {bad} of {x.size} that are not; score a diverged run 0 (random)")
    return x


def _z(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))
