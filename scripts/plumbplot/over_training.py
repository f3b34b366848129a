"""Write share by depth (up) over training (across): one panel a variant, one colour scale."""

import math

import numpy as np
from matplotlib import pyplot as plt

from . import caption, layout, measures, style
from .files import Skip

NAME = "write_share_over_training"
MEASURE = "write_share"
COLUMNS = 3
LOW, HIGH = 0.0, 0.5


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


def draw(ax, steps, values):
    image = ax.pcolormesh(
        edges(steps),
        np.arange(values.shape[1] + 1) + 0.5,
        values.T,
        vmin=LOW,
        vmax=HIGH,
        cmap="viridis",
        rasterized=True,
    )
    n_blocks = values.shape[1] // 2
    stride = max(1, math.ceil(n_blocks / 6))
    blocks = range(stride, n_blocks + 1, stride)
    ax.set_yticks([2 * b - 0.5 for b in blocks], [str(b) for b in blocks])
    ax.xaxis.set_major_locator(plt.MaxNLocator(3, integer=True))
    ax.grid(False)
    return image


def make(experiment, out):
    found = {k: history(runs) for k, runs in experiment.groups.items()}
    found = {k: v for k, v in found.items() if v is not None}
    if not found:
        raise Skip("no finished run has write shares; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    groups = {k: experiment.groups[k] for k in found}
    columns = min(COLUMNS, len(found))
    n_rows = math.ceil(len(found) / columns)
    width = style.WIDTH / columns - 0.6
    tallest = max(len(layout.wrapped(k, 8, width)) for k in found)
    page = layout.Page(
        experiment,
        f"{measures.describe(MEASURE).name} by depth during training, mean over seeds",
        caption.of(groups).replace(f"; {caption.BANDS}", ""),
        (1.35 + 0.16 * tallest) * n_rows + 0.9,
    )
    axes = page.panels(n_rows, columns)
    for ax in axes.flat[len(found) :]:
        ax.set_axis_off()
    for i, (ax, (label, (steps, values))) in enumerate(zip(axes.flat, found.items())):
        image = draw(ax, steps, values)
        layout.title(ax, label, width, color=look[label].color, size=8)
        if i + columns >= len(found):
            ax.set_xlabel("training step")
    for ax in axes[:, 0]:
        ax.set_ylabel("transformer block")
    bar = page.figure.colorbar(
        image, ax=axes, location="bottom", extend="both", aspect=50, shrink=0.6, pad=0.02
    )
    bar.set_label(measures.axis_label(MEASURE))
    header = ("label", "seed", "step", "depth", MEASURE)
    return page.save(out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows(groups))]
