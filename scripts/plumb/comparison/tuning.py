"""How sensitive each variant is to what the first stage of a sweep tuned."""

import math
from dataclasses import dataclass, field

from .. import stats
from ..reading.runs import point_words, shown


@dataclass
class TuneRow:
    variant: str
    group: dict
    values: dict  # tuned key -> value
    label: str = ""
    n: int = 0
    n_diverged: int = 0
    mean: float = math.nan
    half: float = math.nan
    chosen: bool = False
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
    per = [k for k in sweep.tune.get("per", ()) if k != "variant"]
    groups = {}
    for run in runs.tune:
        point = run.plan.get("point", {})
        group = {k: point[k] for k in per if k in point}
        values = {k: point[k] for k in sweep.tuned if k in point}
        at = (run.variant, *map(str, point_words(group)), *map(str, point_words(values)))
        groups.setdefault(at, (run.variant, group, values, []))[3].append(run)
    found = []
    for variant, group, values, members in groups.values():
        row = TuneRow(variant, group, values, " ".join([variant, *point_words(group)]))
        losses = [r.number(question.metric) for r in members if r.status == "finished"]
        if question.metric == "final_test_loss":  # never the split that chooses
            losses = [r.number("final_val_loss") for r in members if r.status == "finished"]
        losses = [x for x in losses if math.isfinite(x)]
        row.n, row.n_diverged = len(losses), sum(r.status == "diverged" for r in members)
        row.mean, row.half = stats.interval(losses)
        winner = winner_of(sweep, variant, group)
        row.chosen = bool(winner) and same(winner.get("chosen", {}), values)
        row.edge = str(winner.get("edge") or "") if row.chosen else ""
        found.append(row)
    rank = {name: i for i, name in enumerate(sweep.names)}
    found.sort(key=lambda r: (rank.get(r.variant, len(rank)), r.label, order(r.values)))
    return found


def order(values):
    return [(0, v) if isinstance(v, (int, float)) else (1, str(v)) for v in values.values()]


def edge_warnings(rows):
    return [
        f"{', '.join(point_words(r.values))} is the {r.edge} tried for {r.label}: widen [tune]"
        for r in rows
        if r.edge
    ]
