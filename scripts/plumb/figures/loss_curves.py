"""Loss over tokens, and the difference to the baseline, paired by seed."""

import math
from dataclasses import dataclass

import numpy as np

from .. import stats
from ..reading import measures
from ..reading.files import Skip
from . import caption, layout, style
from .curves import Curves, notes

NAME = "loss_curves"
FROM = 0.1  # part of the tokens from which curves are drawn: the first steps would flatten the rest


def shared(runs, metric):
    """(steps, tokens, values) at the steps every run has; values (n runs, n steps)."""
    curves = [run.series(metric) for run in runs]
    curves = [c for c in curves if len(c[0])]
    if not curves:
        return np.array([]), np.array([]), np.empty((0, 0))
    steps = sorted(set.intersection(*({int(s) for s in c[0]} for c in curves)))
    at = [{int(s): i for i, s in enumerate(c[0])} for c in curves]
    tokens = np.array([curves[0][1][at[0][s]] for s in steps])
    return (
        np.array(steps),
        tokens,
        np.array([[c[2][i[s]] for s in steps] for c, i in zip(curves, at)]),
    )


def smooth(y, width):
    """Centred moving average over `width` points, narrower at the ends."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    left = np.maximum(np.arange(len(y)) - width // 2, 0)
    right = np.minimum(np.arange(len(y)) + width // 2 + 1, len(y))
    return (total[right] - total[left]) / (right - left)


def differences(variant, base):
    """(steps, tokens, mean, low, high, n pairs) of val loss minus the baseline's per evaluation
    step, over seeds both have; None without any.
    """
    pairs = [(r, base.seeds[k]) for k, r in variant.seeds.items() if k in base.seeds]
    pairs = [p for p in pairs if all(len(r.series("val/loss")[0]) for r in p)]
    steps, tokens, values = shared([run for pair in pairs for run in pair], "val/loss")
    return (steps, tokens, *stats.band(list(values[0::2] - values[1::2]))) if len(steps) else None


def all_differences(experiment):
    """{label: differences()} of the variants that have a baseline."""
    found = {}
    for label in experiment.groups:
        base = experiment.baseline_of(label)
        if base:
            curve = differences(experiment.variants[label], experiment.variants[base])
            if curve:
                found[label] = curve
    return found


def in_units(largest):
    """(scale, unit) of tokens, chosen from the largest."""
    units = ((1e9, "billion "), (1e6, "million "), (1e3, "thousand "))
    return next((u for u in units if largest >= u[0]), (1.0, ""))


@dataclass
class Panel:
    title: str
    axis: str  # label of the y axis
    height: float  # inches
    tokens: dict  # label -> tokens of the points of its curve
    curves: Curves
    thin: bool  # lines without marks
    zero: bool  # a line at 0

    @staticmethod
    def of(title, axis, height, series, start, thin=False, zero=False):
        """series: label -> (tokens, middle, low, high, n); points before `start` are dropped. None
        if nothing is left.
        """
        tokens, bands = {}, {}
        for label, (at, *lines, n) in series.items():
            late = at >= start
            if late.any():
                tokens[label] = at[late]
                bands[label] = (*(line[late] for line in lines), n)
        if not bands:
            return None
        curves = Curves.of_bands(title, bands, shown=(0.0,) if zero else ())
        return Panel(title, axis, height, tokens, curves, thin, zero)


def draw(ax, panel, look, scale):
    for label, (middle, *_) in panel.curves.of.items():
        kind, x = look[label], panel.tokens[label] / scale
        panel.curves.fill(ax, x, label, color=kind.color, alpha=style.band_alpha(panel.tokens))
        if panel.thin:
            ax.plot(x, middle, color=kind.color, ls=kind.dash, lw=0.8)
        else:
            marks = {"marker": kind.marker, "ms": 3.5, "markevery": max(1, len(x) // 8)}
            ax.plot(x, middle, color=kind.color, ls=kind.dash, **marks)
    if panel.zero:
        ax.axhline(0, color="#222222", lw=0.9)
    panel.curves.set_axis(ax)
    layout.title(ax, panel.title, 6.2)
    layout.y_label(ax, panel.axis, panel.height - 0.5)


def losses(groups, metric):
    """label -> (tokens, mean, low, high, n) at the steps that its runs share."""
    found = {k: shared(runs, metric) for k, runs in groups.items()}
    return {k: (tokens, *stats.band(list(v))) for k, (_, tokens, v) in found.items() if len(tokens)}


def smoothed(tokens, mean, *_):
    """The mean, smoothed and without a band."""
    y = smooth(mean, max(3, len(tokens) // 40))
    return tokens, y, np.full_like(y, np.nan), np.full_like(y, np.nan), 1


def panels_of(experiment, groups, curves, start):
    """[Panel]: validation, difference, training; those there are."""
    validation = measures.describe("val/loss").name
    training = {k: smoothed(*v) for k, v in losses(groups, "train/loss").items()}
    bases = {experiment.baseline_of(k) for k in curves}
    against = bases.pop() if len(bases) == 1 else "the baseline's"
    shifts = {k: (tokens, *rest) for k, (_, tokens, *rest) in curves.items()}
    found = (
        Panel.of(
            validation, measures.with_unit("loss", "val/loss"), 1.9, losses(groups, "val/loss"), start
        ),
        Panel.of(
            f"{validation} minus {against}, paired by seed",
            f"{measures.with_unit('difference', 'val/loss')}, below 0 is better",
            2.3,
            shifts,
            start,
            zero=True,
        ),
        Panel.of(
            f"{measures.describe('train/loss').name}, smoothed, mean over seeds",
            measures.with_unit("loss", "train/loss"),
            1.9,
            training,
            start,
            thin=True,
        ),
    )
    return [p for p in found if p]


def rows(experiment):
    for run, label in ((r, k) for k, runs in experiment.groups.items() for r in runs):
        for split in ("train", "val"):
            for step, tokens, loss in zip(*run.series(f"{split}/loss")):
                shown = int(tokens) if math.isfinite(tokens) else ""
                yield label, run.seed, split, int(step), shown, f"{loss:.17g}"


def difference_rows(experiment, curves):
    for label, (*columns, n) in curves.items():
        base = experiment.baseline_of(label)
        for step, tokens, mean, low, high in zip(*columns):
            yield label, base, int(step), int(tokens), mean, low, high, n


DIFFERENCE_HEADER = (
    "label",
    "baseline",
    "step",
    "tokens",
    "mean_difference_nats",
    "low_95",
    "high_95",
    "n_pairs",
)


def make(experiment, out):
    groups = {
        k: runs
        for k, runs in experiment.groups.items()
        if any(len(r.series(f"{split}/loss")[0]) for r in runs for split in ("val", "train"))
    }
    if not groups:
        raise Skip("no finished run has losses in metrics.jsonl")
    look = style.looks(experiment.groups)
    ends = [r.series(f"{s}/loss")[1] for g in groups.values() for r in g for s in ("train", "val")]
    largest = max(float(t[-1]) for t in ends if len(t))
    scale, unit = in_units(largest)
    curves = all_differences(experiment)
    panels = panels_of(experiment, groups, curves, FROM * largest)
    if not panels:
        raise Skip("no variant has a step that all of its finished runs logged")
    page = layout.Page(
        experiment,
        "loss during training",
        caption.of(
            groups, f"from {100 * FROM:.0f} % of the tokens on", *notes([p.curves for p in panels])
        ),
        sum(p.height for p in panels) + 0.4,
        layout.key_handles(look, groups),
    )
    options = {"sharex": True, "height_ratios": [p.height for p in panels]}
    axes = page.panels(len(panels), 1, **options)[:, 0]
    for ax, panel in zip(axes, panels):
        draw(ax, panel, look, scale)
    axes[-1].set_xlabel(f"{unit}tokens")
    files = page.save(out, NAME)
    header = ("label", "seed", "split", "step", "tokens", "loss_nats")
    files.append(style.write_csv(out / f"{NAME}.csv", header, rows(experiment)))
    if curves:
        path = out / f"{NAME}_difference.csv"
        files.append(style.write_csv(path, DIFFERENCE_HEADER, difference_rows(experiment, curves)))
    return files
