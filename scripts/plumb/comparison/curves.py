"""Validation losses over training: how soon a loss is reached, and how low the curve lies. Between
two evaluations a loss is taken as linear in the logarithm of the tokens.
"""

import math
from dataclasses import dataclass

import numpy as np

from .. import stats
from ..reading.files import InputError
from ..reading.runs import seed_key

# What a curve says of a variant, computed here and nowhere else: heading of its column.
HEADINGS = {
    "tokens": "tokens",
    "steps": "steps",
    "time": "training time",
    "flops": "FLOPs",
    "area": "mean loss",
}
AXES = tuple(k for k in HEADINGS if k != "area")  # what it may cost to reach a loss
STEADY = ("constant", "wsd")  # schedules that let a curve say what a shorter run had ended with


@dataclass
class CurveRow:
    """A variant against its baseline in one number of the curves, as a ratio."""

    variant: str
    point: dict
    label: str
    measure: str  # of AXES: to the target; area: mean loss under the curve
    target: float = math.nan
    n_pairs: int = 0
    reached: int = 0  # seeds of the variant that reach the target
    of: int = 0
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    q: float = math.nan


def val_curve(run):
    """(tokens, losses); empty of a run whose log is damaged."""
    try:
        return run.val_curve
    except InputError:
        return np.array([]), np.array([])


def per_token(run, axis):
    """What one token costs on an axis; NaN where the run does not say."""
    if axis == "tokens":
        return 1.0
    if axis == "time":
        return 1 / run.tok_per_s if run.tok_per_s > 0 else math.nan
    if axis == "steps":
        steps = run.number("steps")
        return steps / run.tokens if run.tokens > 0 else math.nan
    return run.flops_per_token


def value_at(run, axis, amount):
    """The curve where it has cost this much; NaN beyond its ends."""
    tokens, losses = val_curve(run)
    losses, tokens = losses[tokens > 0], tokens[tokens > 0]
    cost = per_token(run, axis)
    if not len(tokens) or not cost > 0:
        return math.nan
    at = amount / cost
    if not tokens[0] * (1 - 1e-9) <= at <= tokens[-1] * (1 + 1e-9):
        return math.nan
    return float(np.interp(math.log(at), np.log(tokens), losses))


def tokens_to(run, target):
    """Tokens at which the curve first is at or below `target`; NaN when it never is."""
    tokens, losses = val_curve(run)
    below = np.flatnonzero(losses <= target)
    if not len(below):
        return math.nan
    i = below[0]
    if i == 0 or losses[i - 1] == losses[i]:
        return float(tokens[i])
    part = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
    if tokens[i - 1] <= 0:  # no logarithm there
        return float(tokens[i - 1] + part * (tokens[i] - tokens[i - 1]))
    return float(math.exp(np.log(tokens[i - 1]) + part * np.log(tokens[i] / tokens[i - 1])))


def area(run, low, high):
    """Mean loss over the logarithm of the tokens from `low` to `high`."""
    tokens, losses = val_curve(run)
    losses, tokens = losses[tokens > 0], tokens[tokens > 0]
    if not low < high or not len(tokens) or low < tokens[0] or high > tokens[-1]:
        return math.nan
    inside = tokens[(tokens > low) & (tokens < high)]
    x = np.log(np.concatenate([[low], inside, [high]]))
    y = np.interp(x, np.log(tokens), losses)
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def finished(row):
    return {seed_key(r): r for r in row.runs if r.status == "finished"}


def target_of(base):
    """The lowest loss that every seed of the baseline reaches."""
    lowest = [val_curve(r)[1].min() for r in finished(base).values() if len(val_curve(r)[1])]
    return float(max(lowest)) if lowest else math.nan


def log_ratio(found, pairs, level):
    """Sets ratio, its interval and p from [(variant's, baseline's)] of positive numbers."""
    logs = [math.log(a / b) for a, b in pairs]
    found.n_pairs = len(logs)
    mean, half = stats.interval(logs, level)
    found.ratio = float(np.exp(mean))
    if len(logs) >= 3:
        found.low, found.high = float(np.exp(mean - half)), float(np.exp(mean + half))
        found.p = stats.t_test(logs)


def to_loss(row, base, target, level):
    """[CurveRow] of the axes that are recorded. A ratio only if every pair reaches the target."""
    mine, theirs = finished(row), finished(base)
    seeds = [s for s in mine if s in theirs]
    pairs = [(mine[s], theirs[s]) for s in seeds]
    tokens = [(tokens_to(a, target), tokens_to(b, target)) for a, b in pairs]
    reached = sum(math.isfinite(own) for own, _ in tokens)
    rows = []
    for axis in AXES:
        costs = [(per_token(a, axis), per_token(b, axis)) for a, b in pairs]
        if not pairs or not all(x > 0 for both in costs for x in both):  # NaN: not recorded
            continue
        found = CurveRow(row.variant, row.point, row.label, axis, target)
        found.of, found.reached = len(pairs), reached
        spent = [(t * c, u * d) for (t, u), (c, d) in zip(tokens, costs)]
        if all(0 < x < math.inf for both in spent for x in both):
            log_ratio(found, spent, level)
        rows.append(found)
    return rows


def areas(row, base, level):
    mine, theirs = finished(row), finished(base)
    seeds = [s for s in mine if s in theirs]
    found = CurveRow(row.variant, row.point, row.label, "area", of=len(seeds), reached=len(seeds))
    pairs = []
    for s in seeds:
        both = [val_curve(r)[0] for r in (mine[s], theirs[s])]
        both = [t[t > 0] for t in both]
        if not all(len(t) > 1 for t in both):
            continue
        low, high = max(t[0] for t in both), min(t[-1] for t in both)
        pair = area(mine[s], low, high), area(theirs[s], low, high)
        if all(x > 0 for x in pair):
            pairs.append(pair)
    if pairs:
        log_ratio(found, pairs, level)
    return found if pairs else None


def curve_rows(rows, question, target=None):
    """[CurveRow] of every row that has a baseline; q over the rows of each measure."""
    by_label = {r.label: r for r in rows}
    targets, found = {}, []
    for row in rows:
        base = by_label.get(row.baseline)
        if base is None:
            continue
        if base.label not in targets:
            targets[base.label] = target if target is not None else target_of(base)
        if math.isfinite(targets[base.label]):
            found += to_loss(row, base, targets[base.label], question.level)
        area_row = areas(row, base, question.level)
        found += [area_row] if area_row else []
    for measure in HEADINGS:
        same = [row for row in found if row.measure == measure]
        for row, q in zip(same, stats.benjamini_hochberg([row.p for row in same])):
            row.q = q
    return found


def schedules(rows):
    return {r.config.get("train.schedule", "") for row in rows for r in row.runs} - {""}


def caveat(rows):
    """What curves of decaying schedules do not say; "" when they may be read as they are."""
    decaying = sorted(s for s in schedules(rows) if s not in STEADY)
    if not decaying:
        return ""
    return (
        f"train.schedule = {', '.join(map(str, decaying))}: before its end a curve is that of "
        'another schedule, not of a shorter run; for quality at equal time use match = "time"'
    )
