"""Every variant's final validation loss minus its baseline's, paired by seed: the seeds as dots,
the mean with its 95 % t interval, one row a variant.
"""

import math

import numpy as np

from .. import stats
from ..reading import measures
from ..reading.files import Skip
from ..wording import signed, with_interval
from . import caption, layout, results, style

NAME = "forest"
ROW = 0.19  # inch a line of text
BELOW = 0.33  # lines: how far under its interval a variant's seeds stand


def pairs_of(experiment):
    """{label: (runs, differences)} of the variants that have a baseline and a shared seed."""
    found = {}
    for label in experiment.groups:
        base = experiment.baseline_of(label)
        if not base:
            continue
        mine = results.losses(experiment.variants[label], "final_val_loss")
        theirs = results.losses(experiment.variants[base], "final_val_loss")
        shared = sorted(set(mine) & set(theirs))
        if shared:
            runs = [experiment.variants[label].seeds[k] for k in shared]
            found[label] = (runs, [mine[k] - theirs[k] for k in shared])
    return found


def summary_text(values):
    mean, half = stats.interval(values)
    if math.isnan(half):
        return f"{signed(mean)}  n = 1"
    return f"{with_interval(mean, half)}  n = {len(values)}"


def heights(labels, width):
    """(centres of the rows, label texts, total) in lines of text."""
    texts = [layout.wrapped(k, 8, width) for k in labels]
    edges = np.cumsum([0] + [max(1.4, len(t) + 0.4) for t in texts])
    return (edges[1:] + edges[:-1]) / 2, [layout.literal("\n".join(t)) for t in texts], edges[-1]


def make(experiment, out):
    pairs = pairs_of(experiment)
    if not pairs:
        raise Skip("no two variants share a seed and a baseline; train one with mixer=standard")
    look = style.looks(experiment.groups)
    centres, texts, total = heights(pairs, 2.0)
    bases = {experiment.baseline_of(k) for k in pairs}
    against = bases.pop() if len(bases) == 1 else "the baseline at the same other settings"
    page = layout.Page(
        experiment,
        f"final validation loss minus {against}, paired by seed",
        caption.of(
            {k: runs for k, (runs, _) in pairs.items()},
            "diamond and line: mean and 95 % t interval; dots below: seeds",
        ),
        ROW * total + 0.55,
    )
    ax = page.panels(1, 1)[0, 0]
    ax.axvline(0, color="#222222", lw=0.9)
    for y, (label, (_, values)) in zip(centres, pairs.items()):
        color = look[label].color
        mean, half = stats.interval(values)
        dots = {"ls": "", "marker": "o", "ms": 3, "mew": 0, "alpha": 0.6, "color": color}
        ax.plot(values, [y + BELOW] * len(values), **dots)
        if math.isfinite(half):
            ax.plot([mean - half, mean + half], [y, y], color=color, lw=1.6)
        ax.plot(mean, y, marker="D", ms=5, color=color)
        at = ax.get_yaxis_transform()
        ax.text(1.02, y, summary_text(values), transform=at, va="center", fontsize=7.5)
    ax.set_yticks(centres, texts)
    ax.set_ylim(total, 0)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.xaxis.set_major_locator(style.plt.MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.set_xlabel(f"{measures.with_unit('difference', 'final_val_loss')}; left of 0 is better")
    header = ("label", "baseline", "seed", "difference_nats")
    rows = (
        (label, experiment.baseline_of(label), run.seed, value)
        for label, (runs, values) in pairs.items()
        for run, value in zip(runs, values)
    )
    return page.save(out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows)]
