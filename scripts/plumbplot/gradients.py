"""Gradients by depth: rms of dLoss/dv_l (cf. paper Fig. 5c) with a uniformity index, and
parameter-gradient quantiles.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

from . import stats, style
from .data import Skip, healthy, number, over_seeds

NAME = "gradients"
COLUMNS = 4


def figures_of(run):
    """(U, CV) of dout_rms over the sublayers l = 1..L at the last probe; NaN without a probe."""
    profile = run.by_depth("dout_rms")
    if profile is None:
        return math.nan, math.nan
    return stats.uniformity(profile[1:-1]), stats.variation(profile[1:-1])


def group_figures(runs):
    values = np.array([f for f in map(figures_of, runs) if not math.isnan(f[0])])
    return tuple(values.mean(axis=0)) if len(values) else (math.nan, math.nan)


def draw_activation(ax, groups, look):
    for label, runs in groups.items():
        mean, low, high, n = over_seeds([r.by_depth("dout_rms") for r in runs])
        depth = np.arange(1, len(mean) - 1)
        u, cv = group_figures(runs)
        if n > 1:
            ax.fill_between(depth, low[1:-1], high[1:-1], color=look[label].color, alpha=0.15, lw=0)
        ax.plot(
            depth,
            mean[1:-1],
            color=look[label].color,
            ls=look[label].dash,
            marker=look[label].marker,
            ms=3.5,
            label=f"{label}  U {u:.2f}  CV {cv:.2f}",
        )
    style.log_axis(ax.yaxis, *ax.dataLim.intervaly)
    ax.set_ylabel("rms of dLoss/dv")
    ax.set_title("activation gradients")
    ax.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        handlelength=2.8,
        alignment="left",
        title="over depth, mean of seeds:\nU = geometric / arithmetic\nmean, 1 is uniform;\n"
        "CV = std / mean",
        title_fontsize=8,
    )


def draw_quantiles(ax, runs, color):
    q = over_seeds([r.quantiles() for r in runs])[0]
    depth = np.arange(len(q))
    ok = np.isfinite(q[:, 2]) & (q[:, 2] > 0)
    ok[[0, -1]] = False  # embedding and head: rows of unused tokens have no gradient
    floor = np.nanmin(q[ok, 2]) * 1e-3 if ok.any() else 1e-12
    q = np.maximum(q, floor)
    ax.fill_between(depth[ok], q[ok, 0], q[ok, 4], color=color, alpha=0.18, lw=0)
    ax.fill_between(depth[ok], q[ok, 1], q[ok, 3], color=color, alpha=0.38, lw=0)
    ax.plot(depth[ok], q[ok, 2], color=color, lw=1.3)
    ax.set_yscale("log")


def rows(experiment):
    for run in experiment.runs:
        u, cv = figures_of(run)
        steps = run.probe_steps()
        for depth in range(run.n_sublayers + 2) if steps else ():
            r = run.depth[steps[-1], depth]
            quantiles = [number(x) for x in r.get("pgrad_q") or [None] * 6]
            yield (
                run.label,
                run.seed,
                steps[-1],
                depth,
                r.get("site", ""),
                r.get("kind", ""),
                number(r.get("dout_rms")),
                number(r.get("dread_rms")),
                number(r.get("pgrad_rms")),
                *quantiles,
                u,
                cv,
            )


def make(experiment, out):
    groups = {
        k: healthy(runs)
        for k, runs in experiment.groups.items()
        if any(r.probe_steps() for r in healthy(runs))
    }
    if not groups:
        raise Skip("no run has a whole probe in depth.jsonl; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    n_rows = math.ceil(len(groups) / COLUMNS)
    fig = plt.figure(figsize=(style.WIDTH, 2.9 + 1.75 * n_rows))
    top, bottom = fig.subfigures(2, 1, height_ratios=(2.8, 1.75 * n_rows + 0.2))
    deepest = max(r.n_sublayers for runs in groups.values() for r in runs)
    ax = top.subplots()
    draw_activation(ax, groups, look)
    style.depth_axis(ax, deepest)
    axes = bottom.subplots(n_rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(groups) :]:
        ax.set_axis_off()
    for i, (ax, (label, runs)) in enumerate(zip(axes.flat, groups.items())):
        draw_quantiles(ax, runs, look[label].color)
        ax.set_title(label, color=look[label].color)
        style.depth_axis(ax, deepest, label=False, n_ticks=4)
        if i + COLUMNS >= len(groups):
            ax.tick_params(labelbottom=True)
    bottom.suptitle(
        "parameter gradients |g| of each sublayer: median, 25-75 %, 5-95 %", x=0.01, ha="left", fontsize=9
    )
    bottom.supxlabel("transformer block (e embedding, o output)", fontsize=8)
    style.heading(fig, experiment, "gradients by depth at the end of training")
    header = (
        "label",
        "seed",
        "step",
        "depth",
        "site",
        "kind",
        "dout_rms",
        "dread_rms",
        "pgrad_rms",
        "pgrad_p5",
        "pgrad_p25",
        "pgrad_p50",
        "pgrad_p75",
        "pgrad_p95",
        "pgrad_max",
        "run_uniformity",
        "run_variation",
    )
    return style.save(fig, out, NAME) + [
        style.write_csv(out / f"{NAME}.csv", header, rows(experiment))
    ]
