"""Losses during training: curves, differences to the baseline, what it takes to reach a loss, and
how the result depends on the learning rate.
"""

import math
from dataclasses import dataclass

import numpy as np

from .. import stats
from ..comparison.curves import HEADINGS
from ..figures import loss_curves
from ..reading import measures
from ..reading.files import Skip, printable
from ..reading.groups import pair_key
from ..reading.runs import point_words, shown
from .charts import MOST_POINTS, Chart, Series, lines, swatch
from .markup import cell, details, esc, number, prose, row_head, table, unit
from .material import seeds_and_tokens

BAND = "Lines: mean over seeds; bands: 95 % t interval."


def series_of(m, label, tokens, mean, low, high, scale):
    """Series in units of `scale` tokens; without a band where an interval is not to be had."""
    band = (None, None) if np.isnan(low).any() else (low.tolist(), high.tolist())
    x = [float(f"{t / scale:.9g}") for t in tokens]
    return Series(m.names[label], m.css[label], x, mean.tolist(), *band)


def late(found, start):
    """The same from `start` tokens on: the first steps would flatten the rest."""
    kept = {}
    for label, (tokens, *parts, n) in found.items():
        at = tokens >= start
        if at.any():
            kept[label] = (tokens[at], *(p[at] for p in parts), n)
    return kept


def differences(family):
    """{label: (tokens, mean, low, high, n)} of validation loss minus the baseline's, by seed."""
    if not family.base:
        return {}
    groups, found = family.groups, {}
    theirs = {pair_key(r): r for r in groups.get(family.base.label, [])}
    for row in family.rows:
        if row is family.base:
            continue
        mine = [r for r in groups.get(row.label, []) if pair_key(r) in theirs]
        pairs = [(r, theirs[pair_key(r)]) for r in mine]
        pairs = [p for p in pairs if all(len(r.series("val/loss")[0]) for r in p)]
        flat = [run for pair in pairs for run in pair]
        _, tokens, values = loss_curves.shared(flat, "val/loss")
        if len(tokens):
            found[row.label] = (tokens, *stats.band(list(values[0::2] - values[1::2])))
    return found


def chart_of(m, name, found, chart, scale):
    """Chart of label -> (tokens, mean, low, high, n)."""
    series = [series_of(m, k, *v[:4], scale) for k, v in found.items()]
    chart.name = name
    return lines(chart, series)


def thinning(found):
    longest = max((len(v[0]) for v in found.values()), default=0)
    return (
        f" Of {longest} points {MOST_POINTS} are drawn, the lowest and the highest of each stretch."
        if longest > MOST_POINTS
        else ""
    )


def family_curves(m, i, family):
    """HTML of one family's curves, "" without any."""
    groups = family.groups
    validation = loss_curves.losses(groups, "val/loss")
    training = {
        k: loss_curves.smoothed(*v) for k, v in loss_curves.losses(groups, "train/loss").items()
    }
    every = [v[0] for found in (validation, training) for v in found.values() if len(v[0])]
    if not every:
        return ""
    largest = max(float(t[-1]) for t in every)
    start = loss_curves.FROM * largest
    scale, prefix = loss_curves.in_units(largest)
    x, told = f"{prefix}tokens", measures.describe("val/loss")
    base = m.names[family.base.label] if family.base else ""
    shown = (
        (told.name, late(validation, start), dict(y_label=told.unit), BAND),
        (
            f"{told.name} minus {base}, paired by seed",
            late(differences(family), start),
            dict(y_label=f"{told.unit}, below 0 is better", zero=True, signed=True),
            BAND,
        ),
        (
            f"{measures.describe('train/loss').name}, smoothed",
            late(training, start),
            dict(y_label=told.unit),
            "Mean over seeds, moving average over a fortieth of the run.",
        ),
    )
    o = []
    for name, (title, found, options, words) in zip(("val", "difference", "train"), shown):
        chart = Chart("", x, label=f"{title} over {x}", digits=4, **options)
        chart.margin = m.comparison.margin or 0 if name == "difference" else 0
        drawn = chart_of(m, f"{name}-{i}", found, chart, scale)
        if drawn:
            note = f"{words} {seeds_and_tokens(groups)}.{thinning(found)}"
            o.append(unit(title[:1].upper() + title[1:], drawn, prose(note)))
    return "".join(o)


def by_family(m, section):
    """`section` of every family: the main one open, the others behind their titles as long as the
    page has room for them.
    """
    o, without = [], []
    for i, family in reversed(list(enumerate(m.families))):
        body = section(m, i, family)
        if family is m.main:
            at = f'<p class="lead">At {esc(family.title)}:</p>' if m.many else ""
            o += [at + body] if body else []
        elif len(body) > m.room:
            without.append(family.title)
        elif body:
            m.room -= len(body)
            o.append(details(f"The same at {family.title}", body))
    if m.main.hidden and any(o):
        words = (
            f"Of {m.main.hidden + len(m.main.groups)} variants charts show {len(m.main.groups)}: "
        )
        o.insert(
            0, f'<p class="note lead">{words}the baseline and those that differ most from it.</p>'
        )
    if without:
        words = f"Left out, to keep this page small: {', '.join(reversed(without))}."
        o.append(f'<p class="note">{esc(words)} Their numbers are in figures/.</p>')
    return "".join(o)


def curves(m):
    body = by_family(m, family_curves)
    if not body:
        raise Skip("no variant has a step that all of its finished runs logged")
    first = (
        f'<p class="note lead">From {100 * loss_curves.FROM:.0f}&nbsp;% of the tokens on. Point at '
        "a chart, or give it the focus and use the arrow keys, to read it off. Every run's losses: "
        "figures/loss_curves.csv.</p>"
    )
    return first + body


def ratio_cell(r):
    """0.834× [0.779, 0.892], or how many seeds reached the loss; r: a CurveRow or None."""
    if r is None:
        return cell("–", math.nan, True, "num")
    if not math.isfinite(r.ratio):
        return cell(f"<small>{r.reached} of {r.of} reach it</small>", math.nan, True, "num")
    words = f"{r.ratio:.3f}×"
    if math.isfinite(r.low):
        words += f" <small>[{r.low:.3f}, {r.high:.3f}]</small>"
    return cell(words, r.ratio, True, "num")


def measures_of(found):
    """Measures that say something of their own: steps are tokens where batches are alike."""
    by_label = {}
    for r in found:
        by_label.setdefault(r.label, {})[r.measure] = r.ratio
    names = [k for k in HEADINGS if any(k in v for v in by_label.values())]
    same = all(
        math.isclose(v["steps"], v["tokens"], rel_tol=1e-9) or v["steps"] != v["steps"]
        for v in by_label.values()
        if "steps" in v and "tokens" in v
    )
    return [k for k in names if not (same and k == "steps" and "tokens" in names)]


def to_loss(m):
    """Ratios of what variants and baseline need to reach a loss."""
    found = m.comparison.curves
    if not found:
        raise Skip("no validation losses along training to compare")
    by_label = {}
    for r in found:
        by_label.setdefault(r.label, {})[r.measure] = r
    names = measures_of(found)
    rows = []
    for label, of in by_label.items():
        target = next((r.target for r in of.values() if math.isfinite(r.target)), math.nan)
        head = row_head(label, swatch(m.css[label]) if label in m.css else "")
        rows.append(
            [
                head,
                cell(number(target), target, True, "num"),
                *(ratio_cell(of.get(k)) for k in names),
            ]
        )
    fields = ("label", "measure", "target", "reached", "of", "ratio", "low", "high", "p", "q")
    m.tables["to_loss"] = (fields, [[getattr(r, k) for k in fields] for r in found])
    head = ("variant", "to loss", *(HEADINGS[k] for k in names))
    caption = (
        "What a variant needs to reach the loss that every seed of its baseline reaches, over what "
        "the baseline needs: below 1 is less. Mean loss: over the whole curve, in log tokens. Per "
        "seed on the evaluation points, linear between them in log tokens; t interval of the log "
        "ratio: explored, not the declared outcome. Numbers, p and q: figures/to_loss.csv."
    )
    keys = [m.css.get(label, "s0") for label in by_label]
    return table("to-loss-table", prose(caption), head, rows, keys, range(1, len(head)))


def swept_key(rows):
    """The learning rate, or the first other tuned key that has numbers."""
    keys = [k for r in rows for k, v in r.values.items() if isinstance(v, (int, float))]
    if not keys:
        raise Skip("no number was tuned")
    return "train.lr" if "train.lr" in keys else keys[0]


def css_of_variant(m, variant):
    """A variant's colour, from any of its rows."""
    return next((m.css[r.label] for r in m.rows if r.variant == variant), "s0")


@dataclass
class Tried:
    """A variant at one value of the swept key."""

    x: float
    n: int
    n_diverged: int
    mean: float
    half: float
    chosen: bool = False
    edge: str = ""


def tried_in_tuning(m, key):
    """{group: {variant: [Tried]}} of the first stage; other tuned keys at their best."""
    found = {}
    for r in m.comparison.tuning:
        group = found.setdefault(" ".join(point_words(r.group)), {})
        at = group.setdefault(r.variant, {})
        x = float(r.values[key])
        if x not in at or not at[x].mean <= r.mean:
            chosen = r.chosen or (x in at and at[x].chosen)
            at[x] = Tried(x, r.n, r.n_diverged, r.mean, r.half, chosen, r.edge)
        elif r.chosen:
            at[x].chosen, at[x].edge = True, r.edge
    return {g: {v: [at[x] for x in sorted(at)] for v, at in of.items()} for g, of in found.items()}


def tried_in_grid(m, key):
    """The same where the key is one of the grid: of the seeds that are reported."""
    found = {}
    for row in m.rows:
        if key in row.point:
            group = " ".join(point_words({k: v for k, v in row.point.items() if k != key}))
            one = Tried(float(row.point[key]), row.n, row.n_diverged, row.mean, row.half)
            found.setdefault(group, {}).setdefault(row.variant, []).append(one)
    return {g: {v: sorted(t, key=lambda t: t.x) for v, t in of.items()} for g, of in found.items()}


def chosen_words(key, of):
    words = [
        f"{printable(variant)} {shown(t.x)}" + (f" (the {t.edge} tried)" if t.edge else "")
        for variant, tried in of.items()
        for t in tried
        if t.chosen
    ]
    return f" Chosen: {', '.join(words)}." if words else ""


def draw_tried(m, key, name, of):
    """Chart of {variant: [Tried]}, "" without a number."""
    series = [
        Series(
            printable(variant),
            css_of_variant(m, variant),
            [t.x for t in tried],
            [t.mean for t in tried],
            [t.mean - t.half for t in tried],
            [t.mean + t.half for t in tried],
        )
        for variant, tried in of.items()
    ]
    kind = "log" if all(v > 0 for s in series for v in s.x) else "linear"
    label = m.comparison.unit or m.comparison.metric
    aria = f"{m.comparison.metric_name} over {key}"
    return lines(Chart(name, key, label, aria, x_kind=kind), series)


def in_order(m, found):
    """Groups as the families come."""
    rank = {f.title: i for i, f in enumerate(m.families)}
    return {g: found[g] for g in sorted(found, key=lambda g: rank.get(g, len(rank)))}


def sensitivity(m):
    """Loss over the learning rate, by variant; a chart for each group of other settings."""
    rates = {row.point.get("train.lr") for row in m.rows} - {None}
    if m.comparison.tuning:
        key = swept_key(m.comparison.tuning)
        found = tried_in_tuning(m, key)
        words = "Tuned on seeds of their own, which no other number of this page uses."
    elif len(rates) > 1:
        key, found = "train.lr", tried_in_grid(m, "train.lr")
        words = "On the seeds that are reported: explored, not tuned."
    else:
        raise Skip("every variant was trained at one learning rate only")
    found = in_order(m, found)
    fields = ("x", "n", "n_diverged", "mean", "half", "chosen")
    m.tables["learning_rate"] = (
        ("group", "variant", key, "n", "n_diverged", "mean", "half_95", "chosen"),
        [
            (g, v, *(getattr(t, k) for k in fields))
            for g, of in found.items()
            for v, tried in of.items()
            for t in tried
        ],
    )
    o = []
    for i, (group, of) in enumerate(found.items()):
        drawn = draw_tried(m, key, f"rate-{i}", of)
        title = f"{m.comparison.metric_name} over {key}" + (f", {group}" if group else "")
        note = f"{words}{chosen_words(key, of)} Bands: 95 % t interval over seeds."
        o.append(drawn and unit(title[:1].upper() + title[1:], drawn, prose(note)))
    if not any(o):
        raise Skip(f"no run at any {key} has finished")
    return "".join(o) + '<p class="note">Numbers: figures/learning_rate.csv.</p>'
