"""The colours of shares, the same in every figure: white at 0, where a source adds nothing to a
read, yellow to purple above, blue below, where it points against the read.
"""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import FuncNorm, LinearSegmentedColormap

from . import style

LOW, HIGH = -1.0, 1.0
TICKS = (-1, -0.5, -0.2, -0.05, 0, 0.05, 0.2, 0.5, 1)
_ABOVE = plt.get_cmap("magma_r")(np.linspace(0.03, 0.8, 8))
_BELOW = plt.get_cmap("Blues")(np.linspace(1, 0.2, 8))
COLORS = LinearSegmentedColormap.from_list("plumb", [*_BELOW, (1, 1, 1, 1), *_ABOVE], N=512)
COLORS.set_over("#000000")
COLORS.set_under("#00E5FF")


def _root(x):
    return np.sign(x) * np.sqrt(np.abs(x))


def _square(x):
    return np.sign(x) * np.square(x)


def mesh(ax, x_edges, y_edges, values):
    """A heat map of shares, NaN left blank. The scale is that of the square root: small shares
    differ in colour and large ones do not run into its end.
    """
    rounded = np.ma.masked_invalid(np.round(values, 5))  # 1 but for rounding is 1
    norm = FuncNorm((_root, _square), vmin=LOW, vmax=HIGH)
    return ax.pcolormesh(x_edges, y_edges, rounded, cmap=COLORS, norm=norm, rasterized=True)


def notes(arrays):
    """What a caption says of shares beyond the scale."""
    flat = np.round(np.concatenate([a[np.isfinite(a)] for a in arrays]), 5)
    words = [f"black: above {HIGH:g}"] if (flat > HIGH).any() else []
    return words + ([f"bright cyan: below {LOW:g}"] if (flat < LOW).any() else [])


def color_bar(page, image, axes, label, beyond):
    """beyond: whether a share lies beyond the scale."""
    bar = page.figure.colorbar(
        image,
        ax=axes,
        location="bottom",
        extend="both" if beyond else "neither",
        aspect=50,
        shrink=0.7,
        pad=0.02,
        ticks=TICKS,
    )
    bar.ax.set_xticklabels(map(style.plain, TICKS))
    bar.ax.minorticks_off()
    bar.set_label(f"{label} (square-root scale)")
