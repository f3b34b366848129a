"""Raw magnitudes by depth, of each variant alone. How large reads and streams are depends on how a
mixer keeps its books (a mean is a sum divided by a number), so every panel has axes of its own.
"""

import math

import numpy as np

from ..reading import measures, places
from ..reading.files import Skip
from . import caption, curves, layout, style
from .curves import Curves

NAME = "magnitudes"
LINES = (
    ("read_rms", "#0072B2", "-"),
    ("stream_rms", "#D55E00", (0, (4, 1.2))),
    ("out_rms", "#555555", ":"),
)


def profiles(runs):
    """Curves of the three by depth 0..L+1, or None."""
    seeds = {key: [r.by_depth(key) for r in runs] for key, _, _ in LINES}
    return Curves.of_seeds("rms", seeds)


def draw(ax, found):
    for key, color, dash in LINES:
        if key not in found.of:
            continue
        middle = found.of[key][0]
        d = np.flatnonzero(np.isfinite(middle))
        found.fill(ax, d, key, d, color=color, alpha=style.band_alpha(LINES))
        ax.plot(d, middle[d], color=color, ls=dash, lw=1.2)
    found.set_axis(ax)


def rows(groups):
    for label, runs in groups.items():
        for run in runs:
            columns = [run.by_depth(key) for key, _, _ in LINES]
            for d in range(run.n_sublayers + 2) if run.probe_steps() else ():
                values = (math.nan if c is None else c[d] for c in columns)
                yield label, run.seed, run.probe_steps()[-1], d, *values


def make(experiment, out):
    found = {k: profiles(runs) for k, runs in experiment.groups.items()}
    groups = {k: runs for k, runs in experiment.groups.items() if found[k]}
    if not groups:
        raise Skip("no finished run has a probe; train with record.probe_every=100")
    n_rows, columns = layout.grid(len(groups))
    width = style.WIDTH / columns - 0.75
    titles = [layout.wrapped(k, 8, width) for k in groups]
    tallest = max(len(t) for t in titles)
    handles = [
        style.plt.Line2D([], [], color=c, ls=dash, label=measures.axis_label(key))
        for key, c, dash in LINES
    ]
    page = layout.Page(
        experiment,
        "raw magnitudes by depth: every panel for itself",
        caption.of(
            groups,
            "reads and streams depend on a mixer's bookkeeping: do not compare panels",
            *curves.notes([found[k] for k in groups]),
        ),
        (1.35 + 0.16 * tallest) * n_rows + 0.35,
        handles,
    )
    axes = page.panels(n_rows, columns)
    look = style.looks(experiment.groups)
    for ax in axes.flat[len(groups) :]:
        ax.set_axis_off()
    for i, (ax, (label, runs)) in enumerate(zip(axes.flat, groups.items())):
        draw(ax, found[label])
        layout.title(ax, label, width, color=look[label].color, size=8)
        style.depth_axis(ax, places.of(runs[0]), label=False, n_ticks=5)
        if i + columns >= len(groups):
            ax.set_xlabel("transformer block")
    for ax in axes[:, 0]:
        ax.set_ylabel("rms")
    header = ("label", "seed", "step", "depth", *(key for key, _, _ in LINES))
    return page.save(out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows(groups))]
