"""PreNorm dilution: hidden-state norms by depth, and how much a sublayer still adds to what it
reads (cf. paper Fig. 5b).
"""

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .data import Skip, healthy, number, over_seeds

NAME = "dilution"
PANELS = (
    ("stream_rms", "rms of the stream after write", True),
    ("read_rms", "rms of what a sublayer reads, h", True),
    ("contribution", "relative contribution |v| / |h|, line: block mean", True),
    ("cosine", "cosine of h to the previous h, line: block mean", False),
)
HOLLOW = {"markerfacecolor": "white", "markeredgewidth": 0.7}


def profile(ax, values, look, per_block):
    """One mixer's line over depths 0..L+1. per_block: points for the sublayers (hollow attention,
    filled MLP) and a line through the blocks' means, for quantities in which attention and MLP
    alternate; else a line through every depth.
    """
    depth = np.arange(len(values))
    n_sublayers = len(values) - 2
    ok = np.isfinite(values) & (values != 0)
    attention, mlp = ok & (depth % 2 == 1) & (depth <= n_sublayers), ok & (depth % 2 == 0) & (
        depth > 0
    ) & (depth <= n_sublayers)
    if not per_block:
        every = max(2, n_sublayers // 12 * 2)
        ax.plot(
            depth[ok],
            values[ok],
            color=look.color,
            ls=look.dash,
            marker=look.marker,
            markevery=(0, every),
            ms=3.5,
        )
        return
    points = {"ls": "", "marker": look.marker, "ms": 2.6, "color": look.color, "alpha": 0.45}
    ax.plot(depth[attention], values[attention], **points, **HOLLOW)
    ax.plot(depth[mlp], values[mlp], **points, markeredgewidth=0)
    blocks = np.array(
        [b for b in range(1, n_sublayers // 2 + 1) if ok[2 * b - 1 : 2 * b + 1].any()], dtype=int
    )
    means = [values[2 * b - 1 : 2 * b + 1][ok[2 * b - 1 : 2 * b + 1]].mean() for b in blocks]
    ax.plot(2 * blocks - 0.5, means, color=look.color, ls=look.dash, lw=1.8)


def rows(experiment):
    for run in experiment.runs:
        steps = run.probe_steps()
        for depth in range(run.n_sublayers + 2) if steps else ():
            record = run.depth[steps[-1], depth]
            yield (
                run.label,
                run.seed,
                steps[-1],
                depth,
                record.get("site", ""),
                record.get("kind", ""),
                *(
                    number(record.get(k))
                    for k in ("stream_rms", "read_rms", "out_rms", "contribution", "cosine")
                ),
            )


def make(experiment, out):
    by_label = {
        k: {f: over_seeds([r.by_depth(f) for r in healthy(runs)]) for f, _, _ in PANELS}
        for k, runs in experiment.groups.items()
    }
    by_label = {k: v for k, v in by_label.items() if v["stream_rms"] is not None}
    if not by_label:
        raise Skip("no run has a whole probe in depth.jsonl; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    deepest = max(len(v["stream_rms"][0]) - 2 for v in by_label.values())
    fig, axes = plt.subplots(3, 2, figsize=(style.WIDTH, 6.2), height_ratios=(1, 1, 0.22))
    for ax, (field, title, logarithmic) in zip(axes[:2].flat, PANELS):
        for label, fields in by_label.items():
            profile(ax, fields[field][0], look[label], field in ("contribution", "cosine"))
        ax.set_title(title)
        if logarithmic:
            style.log_axis(ax.yaxis, *ax.dataLim.intervaly)
        style.depth_axis(ax, deepest, label=ax in axes[1])
    style.legend(
        axes[2],
        by_label,
        look,
        [
            plt.Line2D(
                [],
                [],
                ls="",
                marker="o",
                color="#666666",
                label="hollow attention, filled MLP",
                **HOLLOW,
            )
        ],
    )
    style.heading(fig, experiment, "hidden states by depth at the end of training")
    header = (
        "label",
        "seed",
        "step",
        "depth",
        "site",
        "kind",
        "stream_rms",
        "read_rms",
        "out_rms",
        "contribution",
        "cosine",
    )
    return style.save(fig, out, NAME) + [
        style.write_csv(out / f"{NAME}.csv", header, rows(experiment))
    ]
