"""Loss over tokens, and the difference to the baseline, paired by seed."""

import math

import numpy as np

from . import caption, layout, stats, style
from .files import Skip

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
    """(steps, tokens, mean, half width, n pairs) of val loss minus the baseline's per evaluation
    step, over seeds both have; None without any.
    """
    pairs = [(r, base.seeds[k]) for k, r in variant.seeds.items() if k in base.seeds]
    pairs = [p for p in pairs if all(len(r.series("val/loss")[0]) for r in p)]
    steps, tokens, values = shared([run for pair in pairs for run in pair], "val/loss")
    if not len(steps):
        return None
    summary = [stats.interval(column) for column in (values[0::2] - values[1::2]).T]
    return steps, tokens, *np.array(summary).T, len(pairs)


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


def band(ax, x, mean, half, color):
    if np.isfinite(half).any():
        ax.fill_between(x, mean - half, mean + half, color=color, alpha=0.15, lw=0)


def draw_losses(ax, groups, look, scale, start):
    for label, runs in groups.items():
        kind = look[label]
        _, tokens, train = shared(runs, "train/loss")
        late = tokens >= start
        if late.any():
            y = smooth(train.mean(axis=0), max(3, len(tokens) // 40))
            ax.plot(tokens[late] / scale, y[late], color=kind.color, lw=0.5, alpha=0.55)
        _, tokens, values = shared(runs, "val/loss")
        late = tokens >= start
        if late.any():
            mean, half, _ = stats.band(list(values))
            x, mean, half = tokens[late] / scale, mean[late], half[late]
            band(ax, x, mean, half, kind.color)
            style_of = {"color": kind.color, "ls": kind.dash, "marker": kind.marker, "ms": 3.5}
            ax.plot(x, mean, markevery=max(1, len(x) // 8), **style_of)


def draw_differences(ax, curves, look, scale, start):
    ax.axhline(0, color="#222222", lw=0.9)
    for label, (_, tokens, mean, half, n) in curves.items():
        late = tokens >= start
        x, mean, half = tokens[late] / scale, mean[late], half[late]
        kind = look[label]
        if n > 2:
            band(ax, x, mean, half, kind.color)
        style_of = {"color": kind.color, "ls": kind.dash, "marker": kind.marker, "ms": 3.5}
        ax.plot(x, mean, markevery=max(1, len(x) // 8), **style_of)


def rows(experiment):
    for run, label in ((r, k) for k, runs in experiment.groups.items() for r in runs):
        for split in ("train", "val"):
            for step, tokens, loss in zip(*run.series(f"{split}/loss")):
                shown = int(tokens) if math.isfinite(tokens) else ""
                yield label, run.seed, split, int(step), shown, f"{loss:.17g}"


def difference_rows(experiment, curves):
    for label, (steps, tokens, mean, half, n) in curves.items():
        base = experiment.baseline_of(label)
        for s, t, m, h in zip(steps, tokens, mean, half):
            yield label, base, int(s), int(t), m, m - h, m + h, n


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
    page = layout.Page(
        experiment,
        "loss during training",
        caption.of(
            groups,
            "thick: validation; thin: training, smoothed",
            f"from {100 * FROM:.0f} % of the tokens on",
        ),
        5.2 if curves else 2.9,
        layout.key_handles(look, groups),
    )
    axes = page.panels(2 if curves else 1, 1, sharex=True)[:, 0]
    draw_losses(axes[0], groups, look, scale, FROM * largest)
    layout.y_label(axes[0], "loss (nats per token)", 2.2)
    if curves:
        draw_differences(axes[1], curves, look, scale, FROM * largest)
        bases = {experiment.baseline_of(k) for k in curves}
        against = f"minus {bases.pop()}" if len(bases) == 1 else "minus the baseline"
        layout.y_label(axes[1], "difference (nats per token)", 2.2)
        layout.title(axes[1], f"validation loss {against}, paired by seed; below 0 is better", 6.2)
    axes[-1].set_xlabel(f"{unit}tokens")
    files = page.save(out, NAME)
    header = ("label", "seed", "split", "step", "tokens", "loss_nats")
    files.append(style.write_csv(out / f"{NAME}.csv", header, rows(experiment)))
    if curves:
        path = out / f"{NAME}_difference.csv"
        files.append(style.write_csv(path, DIFFERENCE_HEADER, difference_rows(experiment, curves)))
    return files
