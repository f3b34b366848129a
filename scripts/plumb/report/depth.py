"""What happens along depth, in measures that may be compared between mixers (measures.json says
which): shares of the reads, how reads turn, what outputs are worth, and gradients.
"""

import math

import numpy as np

from ..figures import profiles
from ..reading import measures, places
from ..reading.files import Skip
from ..reading.measures import describe
from .charts import Chart, Series, finite, key_of, lines
from .markup import esc, unit
from .material import seeds_and_tokens, span
from .svg import Scale
from .training import by_family

SECTIONS = {  # of the page: rows of figures/profiles.py
    "shares": ("shares", "reads"),
    "gradients": ("gradients",),
}


def at(depths, values):
    """Of an array over depths 0..L+1, None for NaN."""
    return [None if math.isnan(v) else float(v) for v in values[depths]]


def series_at(m, row, kind):
    found = []
    for label, (middle, low, high, n) in row.curves.of.items():
        layout = row.layouts[label]
        depths = layout.depths_of(kind)
        if not len(depths):
            continue
        x, y = [layout.position(int(d)) for d in depths], at(depths, middle)
        band = (at(depths, low), at(depths, high)) if n > 1 else (None, None)
        found.append(Series(m.names[label], m.css[label], x, y, *band))
    return found


def range_of(row, pair):
    """One y axis for all kinds; the limits that keep wide bands from flattening the curves."""
    low, high = row.curves.limits
    scale = row.curves.scale
    return (low, high), scale.name, scale.knee


def draw_pair(m, row, name):
    """A chart of each kind of sublayer beside each other, on one y axis; "" without points."""
    pair = [series_at(m, row, kind) for kind in row.kinds]
    limits, kind, knee = range_of(row, pair)
    told = describe(row.key)
    o = []
    for sublayer, series in zip(row.kinds, pair):
        words = f"{places.word(sublayer)} sublayers"
        chart = Chart(
            f"{name}-{sublayer}",
            "transformer block",
            measures.axis_label(row.key),
            f"{told.name} of {words} by depth",
            kind=kind,
            knee=knee,
            y_range=limits,
            half=True,
        )
        drawn = lines(chart, series)
        o.append(f"<div><h4>{words}</h4>{drawn}</div>" if drawn else "")
    if not any(o):
        return ""
    middle = "geometric mean (interval of the logarithm)" if row.curves.positive else "mean"
    cut = "; bands cut at the edge of the chart" if row.curves.cut else ""
    return unit(
        told.name[:1].upper() + told.name[1:],
        f'<div class="pair">{"".join(o)}</div>{key_of(pair[0])}',
        f"Lines: {middle} over seeds; bands: 95&nbsp;% t interval{cut}.",
    )


def probed(groups):
    """Of label -> runs those with a whole probe."""
    found = {k: [r for r in runs if r.probe_steps()] for k, runs in groups.items()}
    return {k: runs for k, runs in found.items() if runs}


def family_profiles(figures):
    def section(m, i, family):
        groups, o = probed(family.groups), []
        for figure in figures:
            for wanted in profiles.FIGURES[figure][1]:
                row = profiles.measured(groups, wanted) if groups else None
                if row:
                    o.append(draw_pair(m, row, f"{row.key}-{i}"))
        if not any(o):
            return ""
        steps = sorted({r.probe_steps()[-1] for runs in groups.values() for r in runs})
        note = f"Probe at step {span(steps)}; {seeds_and_tokens(groups)}."
        return f'<p class="note lead">{esc(note)}</p>{"".join(o)}'

    return section


def shares(m):
    body = by_family(m, family_profiles(SECTIONS["shares"]))
    if not body:
        raise Skip("no finished run has a probe; train with record.probe_every=100")
    first = (
        '<p class="note lead">Only what may be compared between mixers: a pre-norm hides the size '
        "of what a sublayer reads, so the rms of reads and of the stream depend on how a mixer "
        "keeps its books. Those stand in figures/magnitudes. Every run: figures/shares.csv, "
        "figures/reads.csv.</p>"
    )
    return first + body


QUANTILES = (("q0", 0, 4), ("q0", 1, 3))  # bands: 5 to 95 %, 25 to 75 %
MEDIAN, LARGEST = 2, 5


def quantile_profile(runs):
    """(L, 6) quantiles of |gradient| of the weights by sublayer, geometric means over seeds; or
    None.
    """
    found = []
    for run in runs:
        step = run.probe_steps()[-1]
        rows = [run.depth[step, d].get("pgrad_q") for d in range(1, run.n_sublayers + 1)]
        if rows and all(isinstance(r, list) and len(r) == 6 for r in rows):
            found.append(np.array(rows, dtype=float))
    if not found or len({f.shape for f in found}) > 1:
        return None
    logs = np.log(np.maximum(np.array(found), 1e-12))
    return np.exp(logs.mean(axis=0))


def draw_quantiles(m, label, table, layout, limits, name):
    x = list(range(1, len(table) + 1))
    median = table[:, MEDIAN].tolist()
    series = [
        Series(f"{words} %", css, x, median, table[:, a].tolist(), table[:, b].tolist())
        for (css, a, b), words in zip(QUANTILES, ("5 to 95", "25 to 75"))
    ]
    series.append(Series("largest", "q1", x, table[:, LARGEST].tolist()))
    chart = Chart(
        name,
        f"sublayer ({layout.order})",
        measures.with_unit("|gradient| of weights", "pgrad_q"),
        f"Quantiles of the weight gradients of {m.names[label]} by sublayer",
        kind="log",
        y_range=limits,
        digits=3,
        half=True,
        half_height=220,
    )
    return f'<div><h4 class="{m.css[label]}">{esc(m.names[label])}</h4>{lines(chart, series)}</div>'


def family_quantiles(m, i, family):
    groups = probed(family.groups)
    tables = {k: quantile_profile(runs) for k, runs in groups.items()}
    tables = {k: v for k, v in tables.items() if v is not None}
    if not tables:
        return ""
    y = Scale.around([float(v) for t in tables.values() for v in t.ravel() if finite(v)], "log")
    drawn = [
        draw_quantiles(m, k, t, places.of(groups[k][0]), (y.low, y.high), f"quantiles-{i}-{j}")
        for j, (k, t) in enumerate(tables.items())
    ]
    return unit(
        "How a sublayer's weight gradients spread",
        f'<div class="pair three">{"".join(drawn)}</div>',
        "Line: median of |gradient| over the sublayer's own weights; bands: 5 to 95&nbsp;% and 25 "
        "to 75&nbsp;%; above them the largest. Geometric mean over seeds, one scale for all.",
    )


def gradients(m):
    def section(m, i, family):
        return family_profiles(SECTIONS["gradients"])(m, i, family) + family_quantiles(m, i, family)

    body = by_family(m, section)
    if not body:
        raise Skip("no finished run has gradients by depth; train with record.probe_every=100")
    return body + '<p class="note">Numbers of every run: figures/gradients.csv.</p>'
