"""Over sizes: the power law of losses in compute, and how many times the compute the baseline needs
to do as well as a variant. The size is the unit of every interval.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from .. import stats
from ..reading.runs import point_words

FEWEST_SIZES = 4


@dataclass
class Scaling:
    variant: str
    n_sizes: int = 0
    A: float = math.nan  # L = A C^-exponent
    exponent: float = math.nan
    E: str = "not identified"  # whether the data show an irreducible loss
    multipliers: dict = field(default_factory=dict)  # point label -> compute multiplier there
    multiplier: float = math.nan
    low: float = math.nan
    high: float = math.nan
    compute: str = "FLOPs"
    note: str = ""


def compute_of(row):
    """(FLOPs, "FLOPs"), or by 6 times parameters times tokens where FLOPs are not recorded."""
    if row.flops > 0:
        return row.flops, "FLOPs"
    return 6 * row.params * row.tokens, "6 parameters x tokens"


def power_law(compute, losses):
    """(A, exponent) by least squares in logarithms; NaN for fewer than two sizes."""
    x = np.log(compute)
    if len(set(compute)) < 2:
        return math.nan, math.nan
    slope, start = np.polyfit(x, np.log(losses), 1)
    return float(math.exp(start)), float(-slope)


def identified(compute, losses, level):
    """Whether the logarithms curve: the quadratic term is above 0 by its interval, the size being
    the unit. Without that, L = A C^-a + E fits no better than E = 0.
    """
    n = len(compute)
    if n < 5:
        return False
    x = np.log(compute) - np.mean(np.log(compute))
    design = np.stack([np.ones(n), x, x**2], axis=1)
    y = np.log(losses)
    fit = np.linalg.lstsq(design, y, rcond=None)[0]
    rest = y - design @ fit
    variance = float(rest @ rest) / (n - 3) * np.linalg.inv(design.T @ design)[2, 2]
    return fit[2] > stats.t_quantile(level, n - 3) * math.sqrt(variance)


def multipliers(compute, losses, baseline):
    """exp of (log L_b - log L_v) / the slope, at each size, of the quadratic in log-log through the
    geometric means of both.
    """
    x = np.log(compute)
    x = x - x.mean()
    a, b, _ = np.polyfit(x, (np.log(losses) + np.log(baseline)) / 2, 2)
    slope = -(2 * a * x + b)
    if (slope <= 1e-3).any():
        return None
    return np.exp((np.log(baseline) - np.log(losses)) / slope)


def scaling_of(variant, pairs, level):
    """pairs: [(row, its baseline's row)] of different sizes."""
    pairs = sorted(pairs, key=lambda p: compute_of(p[1])[0])
    found = Scaling(variant, len(pairs), compute=compute_of(pairs[0][1])[1])
    own = np.array([compute_of(row)[0] for row, _ in pairs])
    base = np.array([compute_of(b)[0] for _, b in pairs])
    losses = np.array([row.mean for row, _ in pairs])
    theirs = np.array([b.mean for _, b in pairs])
    found.A, found.exponent = power_law(own, losses)
    found.E = "identified" if identified(own, losses, level) else "not identified"
    if all(row is b for row, b in pairs):  # the baseline itself
        return found
    if len(pairs) < FEWEST_SIZES:
        found.note = f"{len(pairs)} sizes; a multiplier needs {FEWEST_SIZES}"
        return found
    m = multipliers(base, losses, theirs)
    if m is None:
        found.note = "the loss does not fall with compute at every size: no multiplier"
        return found
    found.multipliers = {row.label: float(x) for (row, _), x in zip(pairs, m)}
    mean, half = stats.interval(np.log(m), level)
    found.multiplier = math.exp(mean)
    found.low, found.high = math.exp(mean - half), math.exp(mean + half)
    change = np.abs(own / base - 1).max()
    if change > 0.01:
        found.note = f"of the baseline's compute; the variant's differs by up to {change:.0%}"
    return found


def scaling_rows(rows, question):
    """[Scaling], baseline first; [] where there are not three sizes."""
    if not question.less_is_better:
        return []
    by_label = {r.label: r for r in rows}
    groups = {}
    for row in rows:
        base = row if row.is_baseline else by_label.get(row.baseline)
        if base is not None and row.n and base.n and compute_of(base)[0] > 0 and row.mean > 0:
            apart = point_words({k: v for k, v in row.point.items() if k not in base.point})
            groups.setdefault((row.variant, *apart), []).append((row, base))
    found = []
    for (variant, *apart), pairs in groups.items():
        sizes = {round(math.log(compute_of(b)[0]), 6) for _, b in pairs}
        if len(sizes) == len(pairs) >= 3:
            found.append(scaling_of(" ".join([variant, *apart]), pairs, question.level))
    return found
