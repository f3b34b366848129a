"""The statistics of table and figures: t intervals, paired differences, Holm's correction, and the
figures of a depth profile.
"""

import math

import numpy as np
from scipy import special


def t_quantile(level, df):
    """Half width, in standard errors, of a two-sided interval of this level."""
    return float(special.stdtrit(df, 0.5 + level / 2))


def interval(values, level=0.95):
    """(mean, half width of the Student-t interval); half width NaN for fewer than two values."""
    x = np.asarray(values, dtype=float)
    if len(x) == 0:
        return math.nan, math.nan
    if len(x) == 1:
        return float(x[0]), math.nan
    half = t_quantile(level, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return float(x.mean()), float(half)


def t_test(differences):
    """Two-sided p of a mean of 0; NaN for fewer than two or when every difference is the same."""
    x = np.asarray(differences, dtype=float)
    if len(x) < 2 or np.ptp(x) == 0:
        return math.nan
    t = x.mean() / (x.std(ddof=1) / math.sqrt(len(x)))
    return float(2 * special.stdtr(len(x) - 1, -abs(t)))


def paired(values, baseline, level=0.95):
    """values, baseline: {seed: number}. (mean difference, half width, two-sided p, n pairs) over
    seeds both have; p is NaN for fewer than two pairs or when every difference is the same.
    """
    seeds = [s for s in values if s in baseline]
    difference = [values[s] - baseline[s] for s in seeds]
    return *interval(difference, level), t_test(difference), len(seeds)


def holm(p_values):
    """Holm's step-down adjustment, in the order given; NaN stays NaN and is not a test."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), math.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = running
    return adjusted.tolist()


def benjamini_hochberg(p_values):
    """q values in the order given; NaN stays NaN and is not a test."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), math.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    running = 1.0
    for rank in range(len(order), 0, -1):
        i = order[rank - 1]
        running = min(running, p[i] * len(order) / rank)
        adjusted[i] = running
    return adjusted.tolist()


def clopper_pearson(k, n, level=0.95):
    """Exact interval of a probability of which k of n were seen; NaN without any trial."""
    if n == 0:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(special.betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(special.betaincinv(k + 1, n - k, 1 - tail))
    return low, high


def power(n, effect, alpha):
    """Of a two-sided paired t test of n differences whose mean is `effect` of their standard
    deviations away from 0.
    """
    t = special.stdtrit(n - 1, 1 - alpha / 2)
    found = 1 - special.nctdtr(n - 1, effect * math.sqrt(n), t)
    return 1.0 if math.isnan(found) else float(found)  # far above what the function can do


MOST_MORE_SEEDS = 200


def seeds_needed(effect, alpha, have=0, least=0.8):
    """Fewest further differences, beside those that one has, that find `effect`, in their standard
    deviations, with power `least`; MOST_MORE_SEEDS + 1 where more would be needed.
    """
    if not effect > 0:
        return MOST_MORE_SEEDS + 1
    low, high = max(1, have), have + MOST_MORE_SEEDS + 1  # too few, enough (or not looked for)
    while high - low > 1:
        n = (low + high) // 2
        low, high = (low, n) if power(n, effect, alpha) >= least else (n, high)
    return high - have


def smallest_effect(n, alpha, least=0.8):
    """Smallest |mean| / sd of n paired differences that a two-sided t test at `alpha` finds with
    this power; at most 20.
    """
    low, high = 0.0, 20.0
    for _ in range(60):
        d = (low + high) / 2
        low, high = (d, high) if power(n, d, alpha) < least else (low, d)
    return high


def sd_limit(sd, n, level=0.8):
    """Upper limit of the standard deviation of which n normal values have the sample's `sd`."""
    return sd * math.sqrt((n - 1) / (2 * special.gammaincinv((n - 1) / 2, 1 - level)))


def pooled_half(arms, level=0.95):
    """Half width of the interval of a difference of two arms' means in randomised blocks: arms,
    (arms, seeds), all as noisy as each other. NaN for fewer than two arms or seeds.
    """
    x = np.asarray(arms, dtype=float)
    if x.ndim != 2 or min(x.shape) < 2:
        return math.nan
    k, n = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0, keepdims=True) + x.mean()
    df = (k - 1) * (n - 1)
    return t_quantile(level, df) * math.sqrt(2 * float((rest**2).sum()) / df / n)


def log_slope(profile):
    """Least-squares slope of ln(profile) against depth, per sublayer: 0 when nothing decays."""
    x = np.asarray(profile, dtype=float)
    if len(x) < 2 or not np.isfinite(x).all() or (x <= 0).any():
        return math.nan
    return float(np.polyfit(np.arange(len(x)), np.log(x), 1)[0])


def band(arrays, log=False):
    """Arrays of one shape, one a seed, None for none -> (middle, low, high, n): the mean and the
    ends of its 95 % t interval, or with `log`, of positive numbers, both taken of the logarithm
    (the geometric mean, and ends above 0). None without any array; ends are NaN for one seed.
    """
    stack = np.array([a for a in arrays if a is not None])
    n = len(stack)
    if not n:
        return None
    stack = np.log(stack) if log else stack
    back = np.exp if log else np.asarray
    mean = stack.mean(axis=0)
    if n == 1:
        return back(mean), np.full_like(mean, math.nan), np.full_like(mean, math.nan), 1
    half = t_quantile(0.95, n - 1) * stack.std(axis=0, ddof=1) / math.sqrt(n)
    return back(mean), back(mean - half), back(mean + half), n


def variation(profile):
    """Coefficient of variation: standard deviation (over the L values, not a sample's) / mean."""
    x = np.asarray(profile, dtype=float)
    return float(x.std() / x.mean()) if len(x) and x.mean() > 0 else math.nan
