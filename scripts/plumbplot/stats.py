"""The statistics of table and figures: t intervals, paired differences, Holm's correction, and the
figures of a depth profile.
"""

import math

import numpy as np
from scipy import stats as scipy_stats


def interval(values, level=0.95):
    """(mean, half width of the Student-t interval); half width NaN for fewer than two values."""
    x = np.asarray(values, dtype=float)
    if len(x) == 0:
        return math.nan, math.nan
    if len(x) == 1:
        return float(x[0]), math.nan
    half = scipy_stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return float(x.mean()), float(half)


def paired(values, baseline):
    """values, baseline: {seed: number}. (mean difference, half width, two-sided p, n pairs) over
    seeds both have; p is NaN for fewer than two pairs or when every difference is the same.
    """
    seeds = sorted(set(values) & set(baseline))
    difference = np.array([values[s] - baseline[s] for s in seeds])
    mean, half = interval(difference)
    if len(seeds) < 2 or np.ptp(difference) == 0:
        return mean, half, math.nan, len(seeds)
    p = scipy_stats.ttest_rel([values[s] for s in seeds], [baseline[s] for s in seeds]).pvalue
    return mean, half, float(p), len(seeds)


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
    half = scipy_stats.t.ppf(0.975, n - 1) * stack.std(axis=0, ddof=1) / math.sqrt(n)
    return back(mean), back(mean - half), back(mean + half), n


def variation(profile):
    """Coefficient of variation: standard deviation (over the L values, not a sample's) / mean."""
    x = np.asarray(profile, dtype=float)
    return float(x.std() / x.mean()) if len(x) and x.mean() > 0 else math.nan
