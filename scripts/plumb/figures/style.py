"""How every figure looks: one colour, marker and dash per mixer (Okabe-Ito, safe for colour-blind
readers), paper sizes, saving.
"""

import csv
import math
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH = 7.0  # inches: the text width of a one-column paper
DPI = 200


@dataclass(frozen=True)
class Look:
    color: str
    marker: str
    dash: object


# Of mixers that most pages show: colours are drawing, and the program draws nothing. What these
# mixers are called and in which order they stand is asked of it (reading/program.py).
LOOKS = {
    "standard": Look("#222222", "o", "-"),
    "highway": Look("#E69F00", "s", (0, (5, 1.5))),
    "denseformer": Look("#56B4E9", "^", (0, (6, 1.5, 1.5, 1.5))),
    "hyper": Look("#CC79A7", "D", (0, (1.5, 1))),
    "mhc": Look("#D55E00", "v", (0, (3.5, 1))),
    "attnres": Look("#009E73", "P", "-"),
    "attnres_block": Look("#0072B2", "X", (0, (8, 1.5))),
}
# Labels beyond the seven mixers, e.g. variants of one mixer (Tol's muted set).
FURTHER = [
    Look("#882255", "p", "-"),
    Look("#999933", "*", (0, (5, 1.5))),
    Look("#332288", "h", (0, (1.5, 1))),
    Look("#44AA99", "<", (0, (3.5, 1))),
    Look("#AA4499", ">", "-"),
    Look("#7A5C3A", "d", (0, (8, 1.5))),
]


def looks(groups):
    """{label: Look} for label -> runs. A label named as a mixer has its look; the first variant of
    a mixer whose look is free takes it; the rest take further looks in order, then those of mixers
    that are not here.
    """
    chosen = {label: LOOKS[label] for label in groups if label in LOOKS}
    for label, runs in groups.items():
        own = LOOKS.get(runs[0].mixer)
        if label not in chosen and own is not None and own not in chosen.values():
            chosen[label] = own
    free = FURTHER + [look for look in LOOKS.values() if look not in chosen.values()]
    rest = [label for label in groups if label not in chosen]
    chosen.update({label: free[i % len(free)] for i, label in enumerate(rest)})
    return {label: chosen[label] for label in groups}


def band_alpha(series):
    """Bands of many series lie on one another: the more there are, the paler they are."""
    return 0.15 if len(series) <= 6 else 0.08


def use():
    plt.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 8,
            "axes.labelsize": 8,
            "axes.titlesize": 9,
            "legend.fontsize": 8,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "figure.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "lines.linewidth": 1.4,
            "lines.markersize": 4,
            "axes.grid": True,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.5,
            "axes.axisbelow": True,
            "legend.frameon": False,
            "figure.dpi": 100,
            "savefig.dpi": DPI,
            "svg.hashsalt": "plumb",
            "figure.constrained_layout.use": True,
        }
    )


def save(fig, out, name):
    """SVG and PNG, without dates, so that the same runs give the same bytes."""
    files = []
    fig.draw_without_rendering()  # lays the page out: once and not for every file
    fig.set_layout_engine("none")
    for kind, meta in (("svg", {"Date": None}), ("png", {})):
        files.append(out / f"{name}.{kind}")
        fig.savefig(files[-1], metadata=meta)
    plt.close(fig)
    return files


def cell(value):
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.9g}"
    return value


def write_csv(path, header, rows):
    with path.open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([cell(v) for v in row] for row in rows)
    return path


def log_axis(axis, low, high):
    """A log axis labelled 0.3, 1, 3 ... where it spans few decades, else 0.1, 1, 10."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    log_ticks(axis, low, high)


def plain(x, _=None):
    """3 -> 3, 0.02 -> 0.02, 2e-5 -> 2 x 10^-5."""
    if x == 0 or 9e-4 < abs(x) < 1e5:
        return f"{x:g}".replace("-", "\N{MINUS SIGN}")
    digits, exponent = f"{x:.1e}".split("e")
    return f"${float(digits):g}\\times10^{{{int(exponent)}}}$"


def log_ticks(axis, low, high):
    decades = np.log10(high / low) if high > low > 0 else 1.0
    by_decades = ((0.7, (1, 1.5, 2, 3, 4, 5, 7)), (1.6, (1, 2, 5)), (3, (1, 3)))
    subs = next((s for most, s in by_decades if decades < most), (1,))
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())


def symlog_axis(axis, knee):
    """A log axis of both signs, linear between -knee and knee."""
    axis.axes.set_yscale("symlog", linthresh=knee, linscale=0.5)
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())


def depth_axis(ax, layout, label=True, n_ticks=10, ends=True):
    """x = sublayer depth; every second transformer block shaded, ticks numbered by transformer
    block; with `ends` also `e` the embedding, `o` the output (depth L+1).
    """
    n_sublayers, n_blocks, size = layout.n_sublayers, layout.n_blocks, layout.size
    stride = max(1, math.ceil(n_blocks / n_ticks))
    for b in range(1, n_blocks + 1, 2):
        ax.axvspan(size * (b - 1) + 0.5, size * b + 0.5, color="#F5F5F5", lw=0, zorder=0)
    blocks = [b for b in range(1, n_blocks + 1) if (b - 1) % stride == stride - 1 or stride == 1]
    if ends:  # room for the `o`
        room = n_sublayers / (2 * n_ticks)
        blocks = [b for b in blocks if n_sublayers + size / 2 + 0.5 - size * b >= room]
    ticks, names = [size * (b - 0.5) + 0.5 for b in blocks], [*map(str, blocks)]
    if ends:
        ticks, names = [0, *ticks, n_sublayers + 1], ["e", *names, "o"]
    ax.set_xticks(ticks, names)
    ax.set_xlim(*((-0.6, n_sublayers + 1.6) if ends else (0.5, n_sublayers + 0.5)))
    ax.tick_params(axis="x", length=0)
    ax.grid(False, axis="x")
    if label:
        ax.set_xlabel(block_words(layout) + " (e embedding, o output)" * ends)


def block_words(layout):
    """What the numbers of that axis count."""
    return "sublayer" if layout.pattern == ("sublayer",) else "transformer block"
