"""Write share by depth (up) over training (across): one panel a variant, its kinds of sublayers above
each other, the colours of `matrix`.
"""

import math

import numpy as np
from matplotlib import pyplot as plt

from ..reading import measures, places
from ..reading.files import Skip
from . import caption, layout, shares, style

NAME = "write_share_over_training"
MEASURE = "write_share"
PANEL = 1.5  # inches of a panel and its ticks


def history(runs):
    """(steps, values (n steps, L)) of the measure at depth 1..L, mean over seeds at the probe steps
    they share, or None.
    """
    runs = [r for r in runs if r.by_depth(MEASURE) is not None]
    steps = sorted(set.intersection(*(set(r.probe_steps()) for r in runs))) if runs else []
    found = [(s, [r.by_depth(MEASURE, s) for r in runs]) for s in steps]
    found = [(s, v) for s, v in found if all(x is not None for x in v)]
    if not found:
        return None
    return np.array([s for s, _ in found]), np.array([np.mean(v, axis=0)[1:-1] for _, v in found])


def edges(steps):
    """Cell borders half way between probes; the outer ones at the probes themselves, widened when
    there is only one.
    """
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    return np.concatenate([[steps[0]], (steps[1:] + steps[:-1]) / 2, [steps[-1]]])


def rows(groups):
    for label, runs in groups.items():
        for run in runs:
            for step in run.probe_steps():
                values = run.by_depth(MEASURE, step)
                for depth, value in enumerate(values[:-1] if values is not None else ()):
                    yield label, run.seed, step, depth, "" if np.isnan(value) else f"{value:.5g}"


def by_kind(values, layout):
    """(n steps, L) -> rows of n steps from below: a kind of sublayers, a blank row, the next."""
    gap = np.full((1, len(values)), np.nan)
    rows = [x for k in layout.kinds for x in (gap, values[:, layout.depths_of(k) - 1].T)]
    return np.concatenate(rows[1:])


def ticks(layout):
    """{row of by_kind: words}, some of every kind."""
    found, below = {}, 0
    for kind in layout.kinds:
        depths = layout.depths_of(kind)
        stride = max(1, math.ceil(len(depths) / 3))
        for i in range(stride, len(depths) + 1, stride):
            found[below + i] = layout.words(depths[i - 1])
        below += len(depths) + 1
    return found


def draw(ax, steps, values, layout, labelled):
    grid = by_kind(values, layout)
    image = shares.mesh(ax, edges(steps), np.arange(len(grid) + 1) + 0.5, grid)
    ax.set_yticks(*zip(*ticks(layout).items()), fontsize=7)
    ax.tick_params(axis="y", labelleft=labelled)
    ax.xaxis.set_major_locator(plt.MaxNLocator(3, integer=True))
    ax.grid(False)
    return image


def apart(layouts):
    words = [places.word(kind) for kind in places.kinds_of(layouts.values())]
    return f"{' and '.join(words)} sublayers" + " apart" * (len(words) > 1)


def make(experiment, out):
    found = {k: history(runs) for k, runs in experiment.groups.items()}
    found = {k: v for k, v in found.items() if v is not None}
    if not found:
        raise Skip("no finished run has write shares; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    groups = {k: experiment.groups[k] for k in found}
    n_rows, columns = layout.grid(len(found))
    layouts = {k: places.of(runs[0]) for k, runs in groups.items()}
    alike = len(set(layouts.values())) == 1
    width = (style.WIDTH - (0.9 if alike else 0.9 * columns)) / columns
    beyond = shares.notes([values for _, values in found.values()])
    tallest = max(len(layout.wrapped(k, 8, width)) for k in found)
    page = layout.Page(
        experiment,
        f"{measures.describe(MEASURE).name} by depth during training, mean over seeds",
        caption.of(groups, f"upwards: transformer blocks, {apart(layouts)}", *beyond),
        (PANEL + 0.16 * tallest) * n_rows + 0.9,
    )
    axes = page.panels(n_rows, columns)
    for ax in axes.flat[len(found) :]:
        ax.set_axis_off()
    for i, (ax, (label, (steps, values))) in enumerate(zip(axes.flat, found.items())):
        image = draw(ax, steps, values, layouts[label], i % columns == 0 or not alike)
        layout.title(ax, label, width, color=look[label].color, size=8)
        if i + columns >= len(found):
            ax.set_xlabel("training step")
    shares.color_bar(page, image, axes, measures.axis_label(MEASURE), bool(beyond))
    header = ("label", "seed", "step", "depth", MEASURE)
    return page.save(out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows(groups))]
