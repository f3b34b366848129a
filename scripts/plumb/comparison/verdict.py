"""From the numbers of a row to what may be said. Never "no difference": either the data bound it by
the declared margin, or they do not resolve it and more seeds are needed.
"""

import math

from .. import stats

FEWEST_PAIRS = 3


def more_seeds(row, question, family_size):
    """(from, to): further seeds until a difference as large as the margin, or as the shown one
    where that is larger, is found with 80 % power: by the sd of the differences, and by its upper
    80 % limit. The test is that of a table of `family_size` comparisons.
    """
    effect = max(question.margin, abs(row.difference))
    alpha = question.alpha / max(1, family_size)
    found = []
    for sd in (row.sd, stats.sd_limit(row.sd, row.n_pairs)):
        found.append(stats.seeds_needed(effect / sd, alpha, row.n_pairs))
    return tuple(found)


def seeds_text(low, high):
    most = stats.MOST_MORE_SEEDS
    if low > most:
        return f"over {most} more seeds"
    if high > most:
        return f"{low} to over {most} more seeds"
    if low == high:
        return f"{low} more seed{'s' if low > 1 else ''}"
    return f"{low}-{high} more seeds"


def stage(row, question):
    """Whether this number of seeds is a look that was planned (""), "interim", or beyond all
    ("exploratory").
    """
    looks = question.looks
    if row.unit != "seeds" or not looks or row.n_settled in looks:
        return ""
    return "exploratory" if row.n_settled > looks[-1] else "interim"


def bounded(row, question):
    """("same" | "no worse" | "", text), from the 90 % interval and the margin."""
    m = question.margin
    if not m > 0:
        return "", ""
    if -m < row.same_low and row.same_high < m:
        return "same", f"same within {m:g}"
    worst = row.same_high if question.less_is_better else -row.same_low
    return ("no worse", f"no worse than {m:g}") if worst < m else ("", "")


def judge(row, question, family_size):
    """Sets verdict, verdict_text and more_seeds of a row whose numbers and adjusted p are there."""
    if row.is_baseline:
        return say(row, "baseline", "baseline")
    if row.baseline is None:
        return say(row, "none", "no baseline here")
    if row.n_pairs < FEWEST_PAIRS:
        have = f"{row.n_pairs} pair{'s' if row.n_pairs != 1 else ''}"
        return say(row, "too few", f"no verdict: {have}, {FEWEST_PAIRS} needed")
    if question.exploratory:
        return say(row, "exploratory", "exploratory")
    when = stage(row, question)
    if when == "interim":
        following = next(k for k in question.looks if k > row.n_settled)
        return say(row, when, f"interim: {row.n_settled} of {following} {row.unit}")
    if when:
        return say(row, when, "exploratory: seeds beyond the look")
    if row.sd == 0:
        same = "identical" if row.difference == 0 else f"{row.difference:+.4g} exactly"
        return say(row, "identical", f"{same} in every seed: not tested")
    kind, text = bounded(row, question)
    if row.p_adjusted < question.alpha:
        better = (row.difference < 0) == question.less_is_better
        small = f", by less than {question.margin:g}" if kind == "same" else ""
        return say(row, "better" if better else "worse", ("better" if better else "worse") + small)
    if kind:
        return say(row, kind, text)
    if row.unit == "seeds":
        row.more_seeds = more_seeds(row, question, family_size)
        return say(row, "not resolved", f"not resolved: {seeds_text(*row.more_seeds)}")
    return say(row, "not resolved", f"not resolved over {row.n_pairs} {row.unit}")


def say(row, verdict, text):
    row.verdict, row.verdict_text = verdict, text
    if math.isnan(row.p_adjusted) and verdict in ("better", "worse"):
        raise AssertionError("a verdict without a test")
