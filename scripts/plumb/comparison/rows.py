"""Rows of a comparison: a variant at one point of the grid, or over several, against its baseline.

The unit is the seed: same seed, same data order and same start of every shared parameter, so
differences are paired. Primary is the two-sided paired t interval, always; p is adjusted by Holm
over the rows of one family, which share a baseline row.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from .. import stats
from ..reading.files import finite
from ..reading.groups import find_baselines
from ..reading.runs import point_words, seed_key
from . import curves
from .verdict import FEWEST_PAIRS, judge, say

NAN = math.nan


@dataclass
class Row:
    variant: str
    point: dict
    label: str
    metric: str
    unit: str = "seeds"  # what n counts: seeds, or points of the grid
    is_baseline: bool = False
    baseline: str | None = None  # label of the row it is compared with
    values: dict = field(default_factory=dict, repr=False)  # seed -> metric
    differences: dict = field(default_factory=dict)  # seed -> variant - baseline
    n: int = 0
    n_pairs: int = 0
    n_ended: int = 0  # seeds that finished or diverged
    n_settled: int = 0  # seeds that finished, diverged or were culled, here and in the baseline
    n_diverged: int = 0
    n_unfinished: int = 0
    n_damaged: int = 0
    n_culled: int = 0
    mean: float = NAN
    half: float = NAN
    difference: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    p_adjusted: float = NAN
    same_low: float = NAN  # the interval of the equivalence test
    same_high: float = NAN
    sd: float = NAN  # of the differences
    correlation: float = NAN  # of the seeds of both
    verdict: str = "none"
    verdict_text: str = ""
    more_seeds: tuple | None = None
    diverged_low: float = NAN
    diverged_high: float = NAN
    p_better: float = NAN
    pool_low: float = NAN
    pool_high: float = NAN
    params: float = NAN
    params_change: float = NAN
    tok_per_s: float = NAN
    speed: float = NAN
    tokens: float = NAN
    flops: float = NAN
    flops_change: float = NAN
    tuned: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    runs: list = field(default_factory=list, repr=False)
    cell: object = field(default=None, repr=False)


def mean_of(values):
    values = [v for v in values if math.isfinite(v)]
    return sum(values) / len(values) if values else NAN


def ratio(a, b):
    return a / b if b > 0 else NAN


def value_of(run, question):
    return curves.value_at(run, *question.at) if question.at else run.number(question.metric)


def row_of_cell(cell, question, tuned_keys=()):
    row = Row(cell.variant, dict(cell.point), cell.label, question.metric, cell=cell)
    row.runs = cell.ended
    finished = [r for r in cell.ended if r.status == "finished"]
    found = {seed_key(r): value_of(r, question) for r in finished}
    row.values = {s: x for s, x in found.items() if math.isfinite(x)}
    if len(row.values) < len(found):
        row.notes.append(f"{len(found) - len(row.values)} of {len(found)} have no {question.name}")
    row.n, row.n_ended = len(row.values), len(cell.ended)
    for status in ("diverged", "unfinished", "damaged", "culled"):
        setattr(row, f"n_{status}", cell.count(status))
    row.mean, row.half = stats.interval(list(row.values.values()), question.level)
    row.diverged_low, row.diverged_high = stats.clopper_pearson(row.n_diverged, row.n_ended)
    if row.n_diverged:
        row.notes.append(f"{row.n_diverged} of {row.n_ended} diverged")
    row.params = mean_of(params_of(r) for r in cell.runs)
    row.tok_per_s = mean_of(r.tok_per_s for r in finished)
    row.tokens = mean_of(r.tokens for r in finished)
    row.flops = mean_of(r.flops_per_token * r.tokens for r in finished)
    for run in cell.runs:
        point = run.plan.get("point", {})
        row.tuned.update({k: point[k] for k in tuned_keys if k in point})
    return row


def params_of(run):
    x = run.number("params")
    return finite(run.plan.get("params")) if math.isnan(x) else x


def baselines_of(cells, wanted, sweep):
    """({label: label of its baseline}, [what is missing]). A sweep's: the variant of this name at
    the point that agrees on every key both have; of folders: as groups.find_baselines.
    """
    labels = {c.label for c in cells}
    if not sweep:
        return find_baselines(cells, wanted), []
    if wanted in labels and wanted not in {c.variant for c in cells}:
        return {c.label: wanted for c in cells if c.label != wanted}, []
    base, found, problems = [c for c in cells if c.variant == wanted], {}, []
    for cell in (c for c in cells if c.variant != wanted):
        agree = [
            b for b in base if all(b.point[k] == v for k, v in cell.point.items() if k in b.point)
        ]
        if len(agree) == 1:
            found[cell.label] = agree[0].label
        elif base:
            what = f"{len(agree)} runs of '{wanted}' could be" if agree else f"no '{wanted}' is"
            problems.append(f"{cell.label}: {what} its baseline; choose one with --baseline LABEL")
    return found, problems


def settled(cell):
    return {seed_key(r) for r in cell.runs if r.status in ("finished", "diverged", "culled")}


def share_better(row, base, less):
    """Share of pairs that ended in which the row is better; diverged is worst, a tie half."""
    score = {}
    worst = math.inf if less else -math.inf
    for part in (row, base):
        own = dict(part.values)
        own.update({seed_key(r): worst for r in part.runs if r.status == "diverged"})
        score[id(part)] = own
    mine, theirs = score[id(row)], score[id(base)]
    pairs = [(mine[s], theirs[s]) for s in mine if s in theirs]
    if not pairs:
        return NAN
    won = sum(1.0 if (a < b) == less and a != b else 0.5 if a == b else 0.0 for a, b in pairs)
    return won / len(pairs)


def compare_differences(row, question):
    """Interval, p and equivalence interval from row.differences."""
    d = list(row.differences.values())
    row.n_pairs = len(d)
    row.difference, half = stats.interval(d, question.level)
    row.low, row.high = row.difference - half, row.difference + half
    if len(d) >= 2:
        row.sd = float(np.std(d, ddof=1)) if np.ptp(d) else 0.0
    if len(d) >= FEWEST_PAIRS:
        row.p = stats.t_test(d)
        half = stats.interval(d, 1 - 2 * question.alpha)[1]
        row.same_low, row.same_high = row.difference - half, row.difference + half


def compare_rows(row, base, question):
    """The row against its baseline's, both with their values."""
    row.baseline = base.label
    pairs = [s for s in row.values if s in base.values]
    row.differences = {s: row.values[s] - base.values[s] for s in pairs}
    compare_differences(row, question)
    mine, theirs = ([r.values[s] for s in pairs] for r in (row, base))
    if len(pairs) >= 3 and np.ptp(mine) and np.ptp(theirs):
        row.correlation = float(np.corrcoef(mine, theirs)[0, 1])
    row.n_settled = len(settled(row.cell) & settled(base.cell))
    row.p_better = share_better(row, base, question.less_is_better)
    row.params_change = ratio(row.params, base.params) - 1
    row.flops_change = ratio(row.flops, base.flops) - 1
    row.speed = ratio(row.tok_per_s, base.tok_per_s)


def families_of(rows, family):
    """Lists of rows that are tested together."""
    found = {}
    for row in rows:
        if row.baseline is not None:
            found.setdefault(row.baseline if family == "baseline" else "", []).append(row)
    return list(found.values())


def pool(rows, base, question):
    """The interval of randomised blocks, for rows of one family and their baseline."""
    arms = [r for r in rows if r.n_pairs >= 2]
    seeds = [s for s in base.values if all(s in r.values for r in arms)]
    if not arms or len(seeds) < 2:
        return
    table = [[r.values[s] for s in seeds] for r in [base, *arms]]
    half = stats.pooled_half(table, question.level)
    for row, values in zip(arms, table[1:]):
        middle = float(np.mean(values) - np.mean(table[0]))
        row.pool_low, row.pool_high = middle - half, middle + half


def adjust(rows, question, family):
    """Adjusted p and verdicts. A planned comparison that cannot be tested yet counts as one."""
    correct = stats.benjamini_hochberg if question.exploratory else stats.holm
    for members in families_of(rows, family):
        p = correct([1.0 if math.isnan(r.p) else r.p for r in members])
        for row, adjusted in zip(members, p):
            row.p_adjusted = NAN if math.isnan(row.p) else adjusted
            judge(row, question, len(members))
    for row in rows:
        if row.baseline is None:
            judge(row, question, 1)


def make_rows(cells, question, sweep, family="baseline"):
    """([Row] in the order of cells, [problems])."""
    tuned = sweep.tuned if sweep else ()
    rows = {c.label: row_of_cell(c, question, tuned) for c in cells}
    baselines, problems = baselines_of(cells, question.baseline, sweep)
    for label in baselines.values():
        rows[label].is_baseline = label not in baselines
    for label, base in baselines.items():
        compare_rows(rows[label], rows[base], question)
    for members in families_of(rows.values(), "baseline"):
        pool(members, rows[members[0].baseline], question)
    if sweep and question.baseline in sweep.names:
        for row in rows.values():
            row.is_baseline = row.is_baseline or row.variant == question.baseline
    adjust(rows.values(), question, family)
    return list(rows.values()), problems


def over_points(rows, question, keep=()):
    """[Row] over the points of the grid: the unit is the point, its value the mean over seeds. Keys
    of `keep`, and those that the baseline does not read, stay apart.
    """
    by_label = {r.label: r for r in rows}
    groups = {}
    for row in rows:
        base = by_label.get(row.baseline)
        own = row if base is None else base
        apart = {k: v for k, v in row.point.items() if k in keep or k not in own.point}
        at = (row.variant, tuple(sorted((k, str(v)) for k, v in apart.items())))
        groups.setdefault(at, (apart, []))[1].append(row)
    merged = [merge(apart, members, question) for apart, members in groups.values()]
    for row in merged:
        bases = {r.variant for r in rows if r.is_baseline}
        same = [b for b in merged if b.is_baseline and agrees(b.point, row.point)]
        if not row.is_baseline and row.differences and len(same) == 1 and bases:
            row.baseline = same[0].label
    adjust(merged, question, "baseline")
    for row, (_, members) in zip(merged, groups.values()):
        early = [r for r in members if r.verdict in ("interim", "exploratory")]
        if early and row.baseline is not None:  # no look at the sum of what may not be looked at
            say(row, early[0].verdict, early[0].verdict_text)
    return merged


def agrees(a, b):
    return all(b[k] == v for k, v in a.items() if k in b)


def merge(apart, members, question):
    first = members[0]
    label = " ".join([first.variant, *point_words(apart)])
    row = Row(first.variant, apart, label, question.metric, unit="points")
    row.is_baseline = all(r.is_baseline for r in members)
    row.values = {r.label: r.mean for r in members if r.n}
    row.n = len(row.values)
    row.mean, row.half = stats.interval(list(row.values.values()), question.level)
    for name in ("n_ended", "n_diverged", "n_unfinished", "n_damaged", "n_culled"):
        setattr(row, name, sum(getattr(r, name) for r in members))
    if row.n_diverged:
        row.notes.append(f"{row.n_diverged} of {row.n_ended} diverged")
    row.diverged_low, row.diverged_high = stats.clopper_pearson(row.n_diverged, row.n_ended)
    row.differences = {r.label: r.difference for r in members if r.n_pairs}
    if not row.is_baseline:
        compare_differences(row, question)
    for name in ("params_change", "flops_change", "speed"):
        setattr(row, name, mean_of(getattr(r, name) for r in members))
    row.runs = [run for r in members for run in r.runs]
    return row
