"""rms of the stream by depth (up) over training (across), one panel per mixer, one colour scale."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from . import style
from .data import Skip, healthy

NAME = "norm_over_training"
COLUMNS = 4


def history(runs):
    """(steps, values (n steps, L+1)) of stream_rms at depth 0..L, mean over seeds at the probe
    steps they share, or None.
    """
    runs = [r for r in runs if r.probe_steps()]
    steps = sorted(set.intersection(*(set(r.probe_steps()) for r in runs))) if runs else []
    if not steps:
        return None
    return np.array(steps), np.array(
        [np.mean([r.by_depth("stream_rms", s)[:-1] for r in runs], axis=0) for s in steps]
    )


def edges(steps):
    """Cell borders half way between probes; the outer ones at the probes themselves, widened when
    there is only one.
    """
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    return np.concatenate([[steps[0]], (steps[1:] + steps[:-1]) / 2, [steps[-1]]])


def rows(experiment):
    for run in experiment.runs:
        for step in run.probe_steps():
            for depth, value in enumerate(run.by_depth("stream_rms", step)[:-1]):
                yield run.label, run.seed, step, depth, value


def draw(ax, steps, values, norm):
    image = ax.pcolormesh(
        edges(steps),
        np.arange(values.shape[1] + 1) - 0.5,
        values.T,
        norm=norm,
        cmap="viridis",
        rasterized=True,
    )
    n_blocks = (values.shape[1] - 1) // 2
    stride = max(1, math.ceil(n_blocks / 6))
    blocks = range(stride, n_blocks + 1, stride)
    ax.set_yticks([0] + [2 * b - 0.5 for b in blocks], ["e"] + [str(b) for b in blocks])
    ax.xaxis.set_major_locator(plt.MaxNLocator(3, integer=True))
    ax.grid(False)
    return image


def make(experiment, out):
    found = {k: history(healthy(runs)) for k, runs in experiment.groups.items()}
    found = {k: v for k, v in found.items() if v is not None}
    if not found:
        raise Skip("no run has a whole probe in depth.jsonl; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    positive = np.concatenate([v[1][np.isfinite(v[1]) & (v[1] > 0)] for v in found.values()])
    norm = LogNorm(positive.min(), max(positive.max(), positive.min() * 1.01))
    columns = min(COLUMNS, len(found))
    n_rows = math.ceil(len(found) / columns)
    fig, axes = plt.subplots(
        n_rows,
        columns,
        figsize=(style.WIDTH, 0.8 + 1.9 * n_rows),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for ax in axes.flat[len(found) :]:
        ax.set_axis_off()
    for i, (ax, (label, (steps, values))) in enumerate(zip(axes.flat, found.items())):
        image = draw(ax, steps, values, norm)
        ax.set_title(label, color=look[label].color)
        if i + columns >= len(found):
            ax.tick_params(labelbottom=True)
    fig.supxlabel("training step", fontsize=8)
    fig.supylabel("transformer block", fontsize=8)
    bar = fig.colorbar(image, ax=axes, label="rms of the stream", aspect=30, pad=0.01)
    style.log_ticks(bar.ax.yaxis, norm.vmin, norm.vmax)
    style.heading(fig, experiment, "norm of the stream by depth during training, mean over seeds")
    return style.save(fig, out, NAME) + [
        style.write_csv(
            out / f"{NAME}.csv", ("label", "seed", "step", "depth", "stream_rms"), rows(experiment)
        )
    ]
