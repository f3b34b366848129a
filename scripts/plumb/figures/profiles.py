"""Comparable measures by depth: each kind of sublayer in panels of its own, one line a
variant, bands over seeds. Three figures: what reads are made of (`shares`), how reads turn and what
outputs are worth (`reads`), and gradients (`gradients`).
"""

from dataclasses import dataclass

import numpy as np

from ..reading import measures, places
from ..reading.files import Skip
from . import caption, curves, layout, style
from .curves import ANY, RANGES, Curves

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
HEIGHT = 1.62  # inches of a row


@dataclass
class Row:
    key: str
    curves: Curves  # over depths 0..L+1, NaN but at sublayers
    layouts: dict  # label -> Layout

    @property
    def kinds(self):
        return places.kinds_of(self.layouts.values())


def of_sublayers(values):
    """The same with NaN at the embedding and the output."""
    if values is None:
        return None
    inner = np.full_like(values, np.nan)
    inner[1:-1] = values[1:-1]
    return inner


def measured(groups, row):
    """Row of the first measure of `row` that any run has, or None."""
    for key in row:
        seeds = {k: [of_sublayers(r.by_depth(key)) for r in runs] for k, runs in groups.items()}
        name = measures.describe(key).name
        curves = Curves.of_seeds(name, seeds, RANGES.get(key, ANY))
        if curves:
            return Row(key, curves, {k: places.of(groups[k][0]) for k in curves.of})
    return None


def draw(ax, row, kind, look):
    """One panel."""
    curves = row.curves
    for label, (middle, *_) in curves.of.items():
        d = row.layouts[label].depths_of(kind)
        d = d[np.isfinite(middle[d])]
        curves.fill(ax, d, label, d, color=look[label].color, alpha=style.band_alpha(curves.of))
        ax.plot(
            d,
            middle[d],
            color=look[label].color,
            ls=look[label].dash,
            marker=look[label].marker,
            ms=3,
            lw=1.1,
        )


def draw_row(axes, row, kinds, look, last):
    deepest = places.deepest(row.layouts.values())
    for kind, ax in zip(kinds, axes):
        draw(ax, row, kind, look)
        style.depth_axis(ax, deepest, label=last, ends=False)
        row.curves.set_axis(ax)
    layout.y_label(axes[0], measures.axis_label(row.key), HEIGHT - 0.5)
    for ax in axes[1:]:
        ax.tick_params(axis="y", labelleft=False)


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
    shown = [k for k in groups if any(k in r.curves.of for r in rows)]
    steps = caption.span([r.probe_steps()[-1] for k in shown for r in groups[k]], str)
    page = layout.Page(
        experiment,
        heading,
        caption.of(
            {k: groups[k] for k in shown},
            f"probe at step {steps}",
            *curves.notes([r.curves for r in rows]),
        ),
        HEIGHT * len(rows) + 0.35,
        layout.key_handles(look, shown),
    )
    kinds = places.kinds_of(x for row in rows for x in row.layouts.values())
    axes = page.panels(len(rows), len(kinds))
    for i, (row, of_row) in enumerate(zip(rows, axes)):
        draw_row(of_row, row, kinds, look, i == len(rows) - 1)
    for ax, kind in zip(axes[0], kinds):
        ax.set_title(places.word(kind))
    keys = list(dict.fromkeys(k for row in wanted for k in row))
    header = ("label", "seed", "step", "depth", "site", "kind", *keys)
    return page.save(out, name) + [
        style.write_csv(out / f"{name}.csv", header, csv_rows(groups, keys))
    ]
