"""Comparable measures by depth: attention and MLP sublayers in panels of their own, one line a
variant, bands over seeds. Three figures: what reads are made of (`shares`), how reads turn and what
outputs are worth (`reads`), and gradients (`gradients`).
"""

from dataclasses import dataclass

import numpy as np

from . import caption, layout, measures, style
from .files import Skip
from .stats import band

FIGURES = {
    "shares": (
        "what each read is made of, by depth",
        (("write_share",), ("effective_sources",), ("embedding_share",)),
    ),
    "reads": (
        "how reads turn with depth, and what outputs are worth",
        (("angular_distance", "cosine"), ("ablation",)),
    ),
    "gradients": (
        "gradients by depth",
        (("dout_rms",), ("pgrad_norm", "pgrad_rms"), ("update_ratio",)),
    ),
}  # figure -> (heading, rows; of a row the first measure that the runs have)
KINDS = ("attention sublayers", "MLP sublayers")
HEIGHT = 1.62  # inches of a row
LOG_FROM = 8.0  # a log axis where the largest mean is this many times the smallest


@dataclass
class Row:
    key: str
    bands: dict  # label -> (mean, half, n) over depths 0..L+1


def measured(groups, row):
    """Row of the first measure of `row` that any run has, or None."""
    for key in row:
        found = {k: band([r.by_depth(key) for r in runs]) for k, runs in groups.items()}
        found = {k: v for k, v in found.items() if v is not None}
        if found:
            return Row(key, found)
    return None


def depths_of(kind, n_depths):
    """Attention (0) or MLP (1) sublayers among depths 0..L+1."""
    return np.arange(1 + kind, n_depths - 1, 2)


def logarithmic(row):
    values = np.concatenate([mean[1:-1] for mean, _, _ in row.bands.values()])
    values = values[np.isfinite(values)]
    return len(values) > 0 and values.min() > 0 and values.max() > LOG_FROM * values.min()


def draw(ax, row, kind, look, floor):
    """One panel. floor: lower edge of bands on a log axis."""
    for label, (mean, half, n) in row.bands.items():
        d = depths_of(kind, len(mean))
        d = d[np.isfinite(mean[d])]
        if n > 1:
            low, high = mean[d] - half[d], mean[d] + half[d]
            ax.fill_between(
                d, np.maximum(low, floor), high, color=look[label].color, alpha=0.13, lw=0
            )
        ax.plot(
            d,
            mean[d],
            color=look[label].color,
            ls=look[label].dash,
            marker=look[label].marker,
            ms=3,
            lw=1.1,
        )


def draw_row(axes, row, look, last):
    log = logarithmic(row)
    means = np.concatenate([m[1:-1] for m, _, _ in row.bands.values()])
    floor = np.nanmin(means) / 3 if log else -np.inf
    deepest = max(len(m) - 2 for m, _, _ in row.bands.values())
    for kind, ax in enumerate(axes):
        draw(ax, row, kind, look, floor)
        style.depth_axis(ax, deepest, label=last)
    low = min(ax.dataLim.intervaly[0] for ax in axes)
    high = max(ax.dataLim.intervaly[1] for ax in axes)
    for ax in axes:
        if log:
            style.log_axis(ax.yaxis, low, high)
        pad = (high / low) ** 0.04 if log else 0.04 * (high - low or 1.0)
        ax.set_ylim(*((low / pad, high * pad) if log else (low - pad, high + pad)))
    layout.y_label(axes[0], measures.axis_label(row.key), HEIGHT - 0.5)
    axes[1].tick_params(axis="y", labelleft=False)


def csv_rows(groups, keys):
    for label, runs in groups.items():
        for run in runs:
            columns = {k: run.by_depth(k) for k in keys}
            steps = run.probe_steps()
            for d in range(run.n_sublayers + 2) if steps else ():
                record = run.depth[steps[-1], d]
                values = [np.nan if c is None else c[d] for c in columns.values()]
                names = record.get("site", ""), record.get("kind", "")
                yield label, run.seed, steps[-1], d, *names, *values


def make(name, experiment, out):
    """Writes figure `name` of FIGURES and the numbers of every run behind it."""
    heading, wanted = FIGURES[name]
    groups = {k: runs for k, runs in experiment.groups.items() if runs[0].probe_steps()}
    rows = [r for r in (measured(groups, row) for row in wanted) if r]
    if not rows:
        raise Skip("no finished run has these measures; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    shown = [k for k in groups if any(k in r.bands for r in rows)]
    steps = caption.span([r.probe_steps()[-1] for k in shown for r in groups[k]], str)
    page = layout.Page(
        experiment,
        heading,
        caption.of({k: groups[k] for k in shown}, f"probe at step {steps}"),
        HEIGHT * len(rows) + 0.35,
        layout.key_handles(look, shown),
    )
    axes = page.panels(len(rows), 2)
    for i, (row, pair) in enumerate(zip(rows, axes)):
        draw_row(pair, row, look, i == len(rows) - 1)
    for ax, kind in zip(axes[0], KINDS):
        ax.set_title(kind)
    keys = list(dict.fromkeys(k for row in wanted for k in row))
    header = ("label", "seed", "step", "depth", "site", "kind", *keys)
    return page.save(out, name) + [
        style.write_csv(out / f"{name}.csv", header, csv_rows(groups, keys))
    ]
