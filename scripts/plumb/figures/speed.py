"""Figures from `plumb bench`: where the time of a step goes, overhead against the targets, cost
against depth and context.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

from . import style

PARTS = {
    "gemm": ("matrix products", "#4C72B0"),
    "attention": ("attention", "#8FB2DD"),
    "mixer": ("mixer and pre-norm", "#D55E00"),
    "activation": ("activation", "#5FA8A0"),
    "loss": ("loss", "#9C8ABF"),
    "embedding": ("embedding", "#CFC4E3"),
    "optimizer": ("optimizer", "#6B9E78"),
    "rest": ("rest", "#CCCCCC"),
}
# Aims that this project's page of speed is judged by, set beforehand. No run or program knows of
# them: they are not measured. % over `standard` of a step: float, bf16; twice that at b, whose
# blocks are twice as many and half as wide.
TARGETS = {
    "highway": (3, 5),
    "denseformer": (3, 6),
    "attnres_block": (4, 7),
    "attnres": (8, 12),
    "hyper": (12, 18),
    "mhc": (14, 20),
}
TOKEN_TARGETS = {"attnres_block": 2}  # % over `standard` of a generated token


def share_target(shape):
    """% of the rate of the matrix products alone, on a CPU without AMX."""
    if shape["precision"] == "bf16":
        return 70
    return 74 if shape["shape"]["name"] == "b" else 80


def target(label, shape):
    """% over `standard`, or NaN: only default settings have one."""
    if label not in TARGETS:
        return math.nan
    return TARGETS[label][shape["precision"] == "bf16"] * (2 if shape["shape"]["name"] == "b" else 1)


def named(shape):
    s = shape["shape"]
    return f"{s['name']}: {s['layers']} blocks, width {s['width']}, {shape['precision']}"


class _Labelled:
    def __init__(self, mixer):
        self.mixer = mixer


def looks(shapes):
    rows = {m["label"]: [_Labelled(m["mixer"])] for s in shapes for m in s["mixers"]}
    return style.looks(rows)


def panels(n, columns, height, title, handles=()):
    """(figure, n axes in rows of `columns`), with a key of all panels below them."""
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    key = 0.18 * math.ceil(len(handles) / 4) + 0.1 if handles else 0
    above = height * rows + 0.4
    fig = plt.figure(figsize=(style.WIDTH, above + key))
    top = fig
    if handles:
        top, bottom = fig.subfigures(2, 1, height_ratios=(above, key))
        bottom.legend(handles=handles, loc="center", ncol=4, handlelength=3)
    top.suptitle(title, x=0.01, ha="left")
    axes = top.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    return fig, list(axes.flat[:n])


def rows_of_bars(ax, labels):
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def split(shapes, out):
    """Stacked bars, ms of a profiled step by part."""
    n_bars = max(len(s["mixers"]) for s in shapes)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, label=text) for text, c in PARTS.values()]
    title = "where the time of a training step goes"
    fig, axes = panels(len(shapes), 2, 0.21 * n_bars + 0.7, title, handles)
    for ax, shape in zip(axes, shapes):
        left = np.zeros(len(shape["mixers"]))
        for part, (_, color) in PARTS.items():
            ms = np.array([1e3 * m["parts_s"][part] for m in shape["mixers"]])
            ax.barh(range(len(ms)), ms, left=left, color=color, height=0.72, lw=0)
            left += ms
        for y, (total, m) in enumerate(zip(left, shape["mixers"])):
            percent = 100 * m["parts_s"]["mixer"] / m["profiled_step_s"]
            ax.text(total, y, f" mixer {percent:.0f} %", va="center", fontsize=6.5)
        rows_of_bars(ax, [m["label"] for m in shape["mixers"]])
        ax.set_xlim(0, 1.25 * left.max())
        ax.set_xlabel("ms per step")
        ax.set_title(named(shape))
    return style.save(fig, out, "split")


def overhead(shapes, out):
    """Bars of the median over rounds with quartiles, the target as a line across its bar."""
    shapes = [s for s in shapes if len(s["mixers"]) > 1]
    if not shapes:
        return []
    look = looks(shapes)
    n_bars = max(len(s["mixers"]) for s in shapes)
    title = "step time over the baseline's (thin line: quartiles over rounds; tick across: target)"
    fig, axes = panels(len(shapes), 2, 0.24 * n_bars + 0.7, title)
    for ax, shape in zip(axes, shapes):
        for y, m in enumerate(shape["mixers"]):
            o = {k: 100 * v for k, v in m["overhead"].items()}
            ax.barh(y, o["median"], color=look[m["label"]].color, height=0.62, lw=0, alpha=0.85)
            ax.plot([o["q1"], o["q3"]], [y, y], color="black", lw=1)
            aim = target(m["label"], shape)
            if math.isfinite(aim):
                ax.plot([aim, aim], [y - 0.45, y + 0.45], color="black", lw=1.6)
            at = max(o["median"], o["q3"], 0 if math.isnan(aim) else aim)
            ax.text(at, y, f"  {o['median']:+.1f}", va="center", fontsize=7)
        rows_of_bars(ax, [m["label"] for m in shape["mixers"]])
        ax.axvline(0, color="#888888", lw=0.8)
        low, high = ax.get_xlim()
        ax.set_xlim(low, high + 0.15 * (high - low))
        ax.set_xlabel(f"% over {shape['mixers'][0]['label']}")
        ax.set_title(named(shape))
    return style.save(fig, out, "overhead")


GROWTH_PANELS = (
    ("step, ms", lambda m: 1e3 * m["step_s"]["median"]),
    ("mixer and pre-norm, ms", lambda m: 1e3 * m["parts_s"]["mixer"]),
    ("moved by the mixer, MB", lambda m: 1e-6 * (m["moved_bytes"] or math.nan)),
    ("memory as planned, MB", lambda m: 1e-6 * m["planned_bytes"]),
)


def growth(shapes, axis, out, name):
    """Cost against `axis` (layers or context) on double-log axes, one line a mixer."""
    look = looks(shapes)
    handles = [
        plt.Line2D([], [], color=k.color, ls=k.dash, marker=k.marker, label=label)
        for label, k in look.items()
    ]
    first = shapes[0]["shape"]
    fixed = f"T {first['context']}" if axis == "layers" else f"{first['layers']} blocks"
    title = (
        f"cost growth: width {first['width']}, {fixed}, {shapes[0]['tokens_per_step']} tokens a "
        f"step, {shapes[0]['precision']}"
    )
    fig, axes = panels(len(GROWTH_PANELS), 2, 2.2, title, handles)
    xs = [s["shape"][axis] for s in shapes]
    for ax, (title, value) in zip(axes, GROWTH_PANELS):
        for i, m in enumerate(shapes[0]["mixers"]):
            ys = [value(s["mixers"][i]) for s in shapes]
            kind = look[m["label"]]
            ax.plot(xs, ys, color=kind.color, ls=kind.dash, marker=kind.marker)
        ax.set_xscale("log", base=2)
        ax.set_xticks(xs, [str(x) for x in xs])
        style.log_axis(ax.yaxis, *ax.dataLim.intervaly)
        ax.set_title(title)
        ax.set_xlabel("transformer blocks" if axis == "layers" else "context T")
    return style.save(fig, out, name)
