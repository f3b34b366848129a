"""Curves with bands over seeds in one panel or several of one axis: the scale of the axis, the
middle and the band that fit it, and how far it reaches.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..stats import band
from . import style

BANDS = "bands: 95 % t interval over seeds"
OF_LOGARITHM = "{}: geometric mean, interval of the logarithm"
CUT = "bands cut at the edge of the panel: {}"
WIDE = 8.0  # an axis is logarithmic where the largest value is this many times the smallest
MOSTLY = 0.8  # symlog where more than this part is positive
ROOM = 0.5  # bands may widen an axis by this part of what its curves span, on either side
ANY = (-math.inf, math.inf)
# Where a quantity can be at all, beyond which no axis goes.
RANGES = {"angular_distance": (0.0, 1.0)}


@dataclass(frozen=True)
class Scale:
    """linear, log, or symlog: linear between -knee and knee, logarithmic beyond."""

    name: str
    knee: float = 1.0

    def place(self, values):
        """Where on the axis, but for a factor."""
        if self.name == "log":
            return np.log(values)
        return np.arcsinh(values / self.knee) if self.name == "symlog" else np.asarray(values)

    def value(self, places):
        """The inverse of place()."""
        if self.name == "log":
            return np.exp(places)
        return np.sinh(places) * self.knee if self.name == "symlog" else np.asarray(places)


def scale_of(values):
    """The scale that shows these: logarithmic if they span much and are positive, symlog if but a
    few of them are not.
    """
    positive = values[values > 0]
    if len(positive) == len(values):
        return Scale("log" if values.max() > WIDE * values.min() else "linear")
    if len(positive) > MOSTLY * len(values):
        small = np.quantile(positive, 0.1)
        if positive.max() > WIDE * small:
            return Scale("symlog", 10 ** math.floor(math.log10(small)))
    return Scale("linear")


def finite(arrays):
    flat = np.concatenate([np.ravel(a) for a in arrays])
    return flat[np.isfinite(flat)]


@dataclass
class Curves:
    name: str  # what they show
    of: dict  # label -> (middle, low, high, n)
    scale: Scale
    positive: bool  # every value is above 0: middles and bands are those of the logarithm
    limits: tuple
    cut: bool  # a band reaches beyond the limits

    @staticmethod
    def of_seeds(name, seeds, within=ANY):
        """seeds: label -> arrays, one a seed, None for none, NaN where nothing is drawn; None if
        none has a number. within: limits that the axis keeps.
        """
        values = finite([a for arrays in seeds.values() for a in arrays if a is not None] or [[]])
        if not len(values):
            return None
        positive = bool((values > 0).all())
        found = {k: band(arrays, positive) for k, arrays in seeds.items()}
        found = {k: v for k, v in found.items() if v is not None}
        return Curves.of_bands(name, found, scale_of(values), positive, within)

    @staticmethod
    def of_bands(name, bands, scale=Scale("linear"), positive=False, within=ANY, shown=()):
        """bands: label -> (middle, low, high, n). shown: values that the axis has to include."""
        middles = finite([*(b[0] for b in bands.values()), shown])
        edges = finite([x for b in bands.values() for x in b[1:3]])
        every = np.concatenate([middles, edges])
        lowest, highest = scale.place(np.array([middles.min(), middles.max()]))
        room = ROOM * (highest - lowest) or ROOM * (abs(highest) or 1.0)
        with np.errstate(divide="ignore"):
            floor, ceiling = scale.place(np.clip([every.min(), every.max()], *within))
        low, high = max(floor, lowest - room), min(ceiling, highest + room)
        cut = floor < low or ceiling > high or every.min() < within[0] or every.max() > within[1]
        pad = 0.04 * (high - low) or 0.04
        limits = tuple(float(x) for x in scale.value(np.array([low - pad, high + pad])))
        return Curves(name, bands, scale, positive, limits, bool(cut))

    def fill(self, ax, x, label, at=slice(None), **look):
        """The band of `label` at the points `at` of its arrays, drawn over x."""
        _, low, high, n = self.of[label]
        if n > 1:
            ax.fill_between(x, low[at], high[at], lw=0, **look)

    def set_axis(self, ax):
        """Scale, ticks and limits of the y axis."""
        if self.scale.name == "log":
            style.log_axis(ax.yaxis, *self.limits)
        elif self.scale.name == "symlog":
            style.symlog_axis(ax.yaxis, self.scale.knee)
        ax.set_ylim(*self.limits)


def notes(curves):
    """What a caption says of these bands."""
    seeds = [c for c in curves if any(n > 1 for *_, n in c.of.values())]
    words = [BANDS] if seeds else []
    positive = list(dict.fromkeys(c.name for c in seeds if c.positive))
    cut = list(dict.fromkeys(c.name for c in seeds if c.cut))
    if positive:
        words.append(OF_LOGARITHM.format(", ".join(positive)))
    if cut:
        words.append(CUT.format(", ".join(cut)))
    return words
