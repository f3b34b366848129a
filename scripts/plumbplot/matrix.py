"""The depth-mixing matrix M as heatmaps, pre-attention and pre-MLP rows apart (cf. Fig. 8)."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from . import style
from .data import Skip

NAME = "matrix"
LIGHT_TO_DARK = LinearSegmentedColormap.from_list(
    "plumb", plt.get_cmap("magma_r")(np.linspace(0, 0.82, 256))
)


def panels(m):
    """M (L+1, L+1), row r = l-1 -> (pre-attention rows with the output row last, pre-MLP rows),
    sources the row cannot see as NaN. Row k-1 of a panel is transformer block k.
    """
    seen = np.where(np.tril(np.ones_like(m, dtype=bool)), m, np.nan)
    n_sublayers = len(m) - 1
    attention, mlp, output = seen[0:n_sublayers:2], seen[1:n_sublayers:2], seen[n_sublayers:]
    return np.concatenate([attention, output]), mlp


def scale_of(m):
    """(colour map, low, high): sequential from 0 to the largest entry; diverging about 0 once an
    entry is really negative.
    """
    entries = m[np.tril_indices(len(m))]
    high = max(float(entries.max()), 1e-12)
    if entries.min() < -0.01 * high:
        high = float(np.abs(entries).max())
        return plt.get_cmap("RdBu_r"), -high, high
    return LIGHT_TO_DARK, 0.0, high


def draw(ax, panel, limits, n_blocks, has_output):
    cmap, low, high = limits
    columns = np.arange(panel.shape[1] + 1) - 0.5
    image = ax.pcolormesh(
        columns,
        np.arange(n_blocks + 1) + 0.5,
        np.ma.masked_invalid(panel[:n_blocks]),
        cmap=cmap,
        vmin=low,
        vmax=high,
        rasterized=True,
    )
    stride = max(1, n_blocks // 6)
    ticks = list(range(stride, n_blocks + 1, stride))
    names = [str(k) for k in ticks]
    if has_output:
        ax.pcolormesh(
            columns,
            [n_blocks + 0.8, n_blocks + 1.8],
            np.ma.masked_invalid(panel[n_blocks:]),
            cmap=cmap,
            vmin=low,
            vmax=high,
            rasterized=True,
        )
        ticks, names = [t for t in ticks if t < n_blocks] + [n_blocks + 1.3], names[
            : sum(t < n_blocks for t in ticks)
        ] + ["out"]
    ax.set_yticks(ticks, names)
    ax.set_ylim(n_blocks + 1.9, 0.4)
    step = max(1, round(panel.shape[1] / 12))
    ax.set_xticks(
        range(0, panel.shape[1], step),
        ["e" if i == 0 else str(i) for i in range(0, panel.shape[1], step)],
    )
    ax.tick_params(length=2)
    ax.grid(False)
    outline(ax, panel, n_blocks)
    for side in ax.spines.values():
        side.set_visible(False)
    return image


def outline(ax, panel, n_blocks):
    """A staircase round the sources each row can see: blank beyond it, whatever the colour of 0."""
    widths = np.isfinite(panel[:n_blocks]).sum(axis=1) - 0.5
    x, y = np.repeat(widths, 2), np.repeat(np.arange(n_blocks + 1) + 0.5, 2)[1:-1]
    ax.plot(
        [-0.5, *x, -0.5, -0.5],
        [0.5, *y, n_blocks + 0.5, 0.5],
        color="#999999",
        lw=0.5,
        clip_on=False,
    )
    if len(panel) > n_blocks:
        right = panel.shape[1] - 0.5
        ax.plot(
            [-0.5, right, right, -0.5, -0.5],
            n_blocks + np.array([0.8, 0.8, 1.8, 1.8, 0.8]),
            color="#999999",
            lw=0.5,
        )


def rows(found):
    for label, runs in found.items():
        for run, step, m in runs:
            for r in range(len(m)):
                site = (
                    "output" if r == len(m) - 1 else f"layer.{r // 2}.{'mlp' if r % 2 else 'attn'}"
                )
                for i in range(r + 1):
                    yield label, run.seed, step, r + 1, site, i, m[r, i]


def make(experiment, out):
    found = {
        k: [(run, *run.matrix()) for run in runs if run.matrix()]
        for k, runs in experiment.groups.items()
    }
    found = {k: v for k, v in found.items() if v}
    if not found:
        raise Skip("no run has matrix/step_*.safetensors; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    fig, axes = plt.subplots(
        len(found), 2, figsize=(style.WIDTH, 0.9 + 1.28 * len(found)), squeeze=False
    )
    for i, (row, (label, runs)) in enumerate(zip(axes, found.items())):
        run, step, m = runs[0]
        limits = scale_of(m)
        for ax, panel, kind in zip(
            row, panels(m), ("pre-attention rows, output row", "pre-MLP rows")
        ):
            image = draw(ax, panel, limits, len(m) // 2, "attention" in kind)
            if i == 0:
                ax.set_title(kind, loc="right")
        row[0].set_title(label, color=look[label].color)
        row[0].set_ylabel("block")
        fig.colorbar(image, ax=row, aspect=9, pad=0.01).ax.tick_params(length=2)
    for ax in axes[-1]:
        ax.set_xlabel("source: e embedding, odd attention, even MLP outputs")
    seeds = sorted({v[0][0].seed for v in found.values()})
    shown = f"seed {seeds[0]}" if len(seeds) == 1 else "first seed"
    style.heading(
        fig, experiment, f"depth-mixing matrix M (raw weights, {shown}, one colour scale per mixer)"
    )
    header = ("label", "seed", "step", "sublayer", "site", "source", "weight")
    return style.save(fig, out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows(found))]
