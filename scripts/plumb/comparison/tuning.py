"""How sensitive each variant is to what the first stage of a sweep tuned."""

import math
from dataclasses import dataclass, field

from .. import stats
from ..reading.runs import point_words, shown
from .provenance import listed


@dataclass
class TuneRow:
    variant: str
    group: dict
    values: dict  # tuned key -> value
    label: str = ""
    seeds: list = field(default_factory=list)  # of the runs that ended,
    losses: list = field(default_factory=list)  # and their losses
    n: int = 0
    n_diverged: int = 0
    n_culled: int = 0
    mean: float = math.nan
    half: float = math.nan
    chosen: bool = False
    edge_key: str = ""  # the tuned key that it is of
    edge: str = ""  # "largest" | "smallest" of the values tried, where the chosen one is


def same(a, b):
    return {k: shown(v) for k, v in a.items()} == {k: shown(v) for k, v in b.items()}


def winner_of(sweep, variant, group):
    for winner in sweep.tune.get("winners") or ():
        if winner.get("variant") == variant and same(winner.get("group", {}), group):
            return winner
    return {}


def tune_rows(runs, question):
    """[TuneRow], values ascending within each variant and group."""
    sweep = runs.sweep
    if sweep is None or not sweep.tune:
        return []
    per = sweep.tune.get("per", ())
    groups = {}
    for run in runs.all:
        if run.stage != "tune" or run.status not in ("finished", "diverged", "culled"):
            continue
        point = run.plan.get("point", {})
        variant = run.variant if "variant" in per else ""  # "": one choice for all
        group = {k: point[k] for k in per if k in point}
        values = {k: point[k] for k in sweep.tuned if k in point}
        at = (variant, *point_words(group), *point_words(values))
        groups.setdefault(at, (variant, group, values, []))[3].append(run)
    found = [tune_row(sweep, question, *group) for group in groups.values()]
    rank = {name: i for i, name in enumerate(sweep.names)}
    found.sort(key=lambda r: (rank.get(r.variant, len(rank)), r.label, order(r.values)))
    return found


def tune_row(sweep, question, variant, group, values, members):
    row = TuneRow(
        variant, group, values, " ".join([variant or "all variants", *point_words(group)])
    )
    # the test split never chooses
    metric = "final_val_loss" if question.metric == "final_test_loss" else question.metric
    ended = [(r.seed, r.number(metric)) for r in members if r.status == "finished"]
    ended = [(seed, x) for seed, x in ended if math.isfinite(x)]
    row.seeds, row.losses = [seed for seed, _ in ended], [x for _, x in ended]
    row.n, row.n_diverged = len(ended), sum(r.status == "diverged" for r in members)
    row.n_culled = sum(r.status == "culled" for r in members)
    row.mean, row.half = stats.interval(row.losses)
    winner = winner_of(sweep, variant, group)
    row.chosen = bool(winner) and same(winner.get("chosen", {}), values)
    if row.chosen:
        row.edge, row.edge_key = str(winner.get("edge") or ""), str(winner.get("key") or "")
    return row


def order(values):
    return [(0, v) if isinstance(v, (int, float)) else (1, str(v)) for v in values.values()]


def edge_warnings(rows):
    """Chosen values at an end of what was tried: the best may lie beyond."""
    found = {}
    for row in (r for r in rows if r.edge):
        at = {k: v for k, v in row.values.items() if row.edge_key in (k, "")}
        found.setdefault((" ".join(point_words(at)), row.edge), []).append(row.label)
    return [
        f"{value} is the {edge} tried for {listed(labels)}: the best may lie beyond, widen [tune]"
        for (value, edge), labels in found.items()
    ]
