"""What the result costs and how it scales: quality against speed and memory, loss over size."""

import math

from ..reading.files import Skip, printable
from .charts import Chart, Series, finite, lines
from .intervals import Point, cloud
from .markup import cell, esc, number, prose, row_head, table, unit
from .material import finished


def mean(values):
    values = [v for v in values if finite(v)]
    return sum(values) / len(values) if values else math.nan


COSTS = (
    ("tokens per second, training", lambda r: r.tok_per_s, 1.0, "tok_per_s"),
    ("peak memory, MB", lambda r: r.timing.get("peak_memory_bytes"), 1e-6, "peak_memory_mb"),
)


def points_of(m, family, cost, scale):
    return [
        Point(
            m.names[row.label],
            m.css[row.label],
            scale * mean(map(cost, finished(row))),
            row.mean,
            row.half,
        )
        for row in family.rows
    ]


def tradeoff(m):
    o, numbers = [], {}
    for i, (name, cost, scale, column) in enumerate(COSTS):
        points = points_of(m, m.main, cost, scale)
        numbers[column] = {p.label: p for p in points}
        label = m.comparison.unit or m.comparison.metric
        aria = f"{m.comparison.metric_name} against {name}, one point a variant"
        drawn = cloud(f"tradeoff-{i}", points, name, f"{m.comparison.metric_name}, {label}", aria)
        o.append(drawn and unit(f"Against {name}", drawn, ""))
    if not any(o):
        raise Skip("no finished run says how fast it was (timing.json)")
    m.tables["tradeoff"] = (
        ("label", m.comparison.metric, "half_95", *numbers),
        [
            (p.label, p.y, p.half, *(numbers[c][p.label].x for c in numbers))
            for p in next(iter(numbers.values())).values()
        ],
    )
    devices = sorted({run.device for row in m.rows for run in finished(row) if run.device})
    at = f" At {m.main.title}." if m.main.title else ""
    on = f" Device: {', '.join(devices)}." if devices else ""
    note = (
        f"Means over seeds; bars: 95 % t interval of the loss.{at}{on} Speeds are those of the "
        "runs themselves, with whatever else the machine did; plumb bench measures them. Numbers: "
        "figures/tradeoff.csv."
    )
    return "".join(o) + f'<p class="caption">{prose(note)}</p>'


def sizes_of(row):
    """What a row's size is: FLOPs of the run where they are known, else parameters."""
    return row.flops if finite(row.flops) else row.params


def scaling_series(m):
    """[Series] of loss over size, one a variant with several sizes."""
    by_variant = {}
    for row in m.rows:
        if finite(row.mean) and finite(sizes_of(row)):
            by_variant.setdefault(row.variant, []).append(row)
    found = []
    for variant, rows in by_variant.items():
        rows.sort(key=sizes_of)
        x = [sizes_of(r) for r in rows]
        if len(set(x)) > 1 and len(set(x)) == len(x):
            low, high = [r.mean - r.half for r in rows], [r.mean + r.half for r in rows]
            css = m.css[rows[0].label]
            found.append(Series(printable(variant), css, x, [r.mean for r in rows], low, high))
    return found


def scaling_table(m):
    rows = []
    for s in m.comparison.scaling:
        sizes = ", ".join(
            f"{k.removeprefix(s.variant + ' ')}: {v:.3g}" for k, v in s.multipliers.items()
        )
        words = f"{s.multiplier:.3g}×" if finite(s.multiplier) else "–"
        if finite(s.low):
            words += f" <small>[{s.low:.3g}, {s.high:.3g}]</small>"
        rows.append(
            [
                row_head(s.variant),
                cell(str(s.n_sizes), s.n_sizes, True, "num"),
                cell(number(s.exponent), s.exponent, True, "num"),
                cell(esc(s.E)),
                cell(words, s.multiplier, True, "num"),
                cell(esc(sizes or s.note)),
            ]
        )
    head = ("variant", "sizes", "exponent", "limit of the loss", "compute multiplier", "by size")
    caption = (
        "L = A C^-a by size means. Compute multiplier: how much more compute the baseline needs "
        "for the variant's loss, by size from the local slope; t interval over the sizes."
    )
    return table("scaling", esc(caption), head, rows, (), (1, 2, 4))


def scaling(m):
    series = scaling_series(m)
    if not series and not m.comparison.scaling:
        raise Skip("no variant was trained at more than one size")
    o = []
    if series:
        size = "FLOPs of a run" if any(finite(r.flops) for r in m.rows) else "parameters"
        name = m.comparison.metric_name
        chart = Chart("scaling-chart", size, m.comparison.unit or "", f"{name} over {size}")
        chart.x_kind = "log"
        o.append(unit("", lines(chart, series), "Mean over seeds; bands: 95&nbsp;% t interval."))
        m.tables["scaling"] = (
            ("variant", size, "mean", "low_95", "high_95"),
            [(s.label, *p) for s in series for p in zip(s.x, s.y, s.low, s.high)],
        )
    return "".join(o) + (scaling_table(m) if m.comparison.scaling else "")
