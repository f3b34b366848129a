"""Loss over tokens, and the difference to the baseline, paired by seed."""

import math

import matplotlib.pyplot as plt
import numpy as np

from . import stats, style
from .data import Skip, healthy

NAME = "loss_curves"


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


def differences(runs, baseline_runs):
    """(steps, tokens, mean, half width, n pairs) of val loss minus the baseline's per evaluation
    step, over seeds both have.
    """
    base = {r.seed: r for r in baseline_runs}
    pairs = [(r, base[r.seed]) for r in runs if r.seed in base]
    usable = {
        id(r)
        for pair in pairs
        for r in pair
        if r.status != "diverged" and len(r.series("val/loss")[0])
    }
    pairs = [pair for pair in pairs if all(id(r) in usable for r in pair)]
    steps, tokens, values = shared([run for pair in pairs for run in pair], "val/loss")
    if not len(steps):
        return None
    summary = [stats.interval(column) for column in (values[0::2] - values[1::2]).T]
    return (
        steps,
        tokens,
        np.array([s[0] for s in summary]),
        np.array([s[1] for s in summary]),
        len(pairs),
    )


def in_units(tokens):
    """(scaled tokens, unit) with the unit chosen from the largest."""
    largest = max((float(t[-1]) for t in tokens if len(t)), default=1.0)
    scale, unit = next(
        (p for p in ((1e9, "billion "), (1e6, "million "), (1e3, "thousand ")) if largest >= p[0]),
        (1.0, ""),
    )
    return scale, unit


def draw_losses(ax, experiment, look, scale):
    ends, finals, first = [], [], []
    for label, runs in experiment.groups.items():
        color = look[label].color
        if not any(r.status != "diverged" for r in runs):
            last = max(
                (r.series("train/loss")[1][-1] for r in runs if len(r.series("train/loss")[0])),
                default=None,
            )
            if last is not None:
                ends.append((last / scale, math.inf, f"{label} (diverged)", color))
            continue
        _, train_tokens, train = shared(healthy(runs), "train/loss")
        if len(train_tokens):
            ax.plot(
                train_tokens / scale,
                smooth(train.mean(axis=0), max(3, len(train_tokens) // 40)),
                color=color,
                lw=0.5,
                alpha=0.55,
            )
        _, tokens, values = shared(healthy(runs), "val/loss")
        if len(tokens):
            mean = values.mean(axis=0)
            ax.fill_between(
                tokens / scale,
                values.min(axis=0),
                values.max(axis=0),
                color=color,
                alpha=0.18,
                lw=0,
            )
            ax.plot(
                tokens / scale,
                mean,
                color=color,
                ls=look[label].dash,
                marker=look[label].marker,
                markevery=0.13,
                ms=3.5,
            )
        else:
            tokens, mean = train_tokens, train.mean(axis=0) if len(train) else np.array([])
        if len(tokens):
            ends.append((tokens[-1] / scale, mean[-1], label, color))
            finals.append(mean.min())
            first.append(mean[min(len(mean) - 1, max(1, len(mean) // 10))])
    if not finals:
        raise Skip("no run that did not diverge has losses, or the seeds of a mixer share no step")
    low, high = min(finals), max(first)
    ax.set_ylim(low - 0.06 * (high - low) - 1e-3, high + 0.06 * (high - low) + 1e-3)
    ax.set_xlim(left=0, right=max(e[0] for e in ends) * 1.01)
    draw_diverged(ax, experiment, look, scale)
    return [(x, min(y, ax.get_ylim()[1]), label, color) for x, y, label, color in ends]


def draw_diverged(ax, experiment, look, scale):
    """Each diverged run's training loss, dotted, with a cross at its end or where it leaves the
    panel.
    """
    top = ax.get_ylim()[1]
    for run in experiment.runs:
        _, tokens, loss = run.series("train/loss")
        if run.status == "diverged" and len(tokens):
            color = look[run.label].color
            ax.plot(tokens / scale, loss, color=color, lw=0.9, ls=":")
            ax.plot(
                tokens[-1] / scale, min(loss[-1], top), marker="x", color=color, ms=6, clip_on=False
            )


def draw_differences(ax, experiment, look, scale):
    ends, settled, banded = (
        [],
        [0.0],
        [0.0],
    )  # limits: all late means, and their bands as far as that leaves means legible
    ax.axhline(0, color=look[experiment.baseline].color, lw=1.2)
    for label, runs in experiment.groups.items():
        curve = (
            None
            if label == experiment.baseline
            else differences(runs, experiment.groups[experiment.baseline])
        )
        if curve is None:
            continue
        _, tokens, mean, half, n = curve
        band = (
            half if n >= 3 else np.zeros_like(half)
        )  # with two pairs t is 12.7: the band would hide every line
        ax.fill_between(
            tokens / scale, mean - band, mean + band, color=look[label].color, alpha=0.13, lw=0
        )
        ax.plot(
            tokens / scale,
            mean,
            color=look[label].color,
            ls=look[label].dash,
            marker=look[label].marker,
            markevery=0.13,
            ms=3.5,
        )
        ends.append((tokens[-1] / scale, mean[-1], label, look[label].color))
        late = slice(len(mean) // 4, None)
        settled += [mean[late].min(), mean[late].max()]
        banded += [(mean - band)[late].min(), (mean + band)[late].max()]
    low, high = min(settled), max(settled)
    spread = high - low or 0.01
    ax.set_ylim(
        max(min(banded), low - spread) - 0.05 * spread,
        min(max(banded), high + spread) + 0.05 * spread,
    )
    ends.append(
        (max(e[0] for e in ends), 0.0, experiment.baseline, look[experiment.baseline].color)
    )
    return ends


def rows(experiment):
    for run in experiment.runs:
        for split in ("train", "val"):
            for step, tokens, loss in zip(*run.series(f"{split}/loss")):
                yield run.label, run.seed, split, int(step), (
                    int(tokens) if math.isfinite(tokens) else ""
                ), loss


def difference_rows(experiment):
    for label, runs in experiment.groups.items():
        curve = (
            differences(runs, experiment.groups[experiment.baseline])
            if label != experiment.baseline
            else None
        )
        for step, tokens, mean, half in zip(*curve[:4]) if curve else ():
            yield label, experiment.baseline, int(step), int(tokens), mean, mean - half, mean + half


def make(experiment, out):
    if not any(
        len(run.series(f"{split}/loss")[0]) for run in experiment.runs for split in ("val", "train")
    ):
        raise Skip("no run has losses in metrics.jsonl")
    look = style.looks(experiment.groups)
    scale, unit = in_units(
        [run.series("train/loss")[1] for run in experiment.runs]
        + [run.series("val/loss")[1] for run in experiment.runs]
    )
    base = experiment.groups.get(experiment.baseline, [])
    compared = [
        k
        for k, runs in experiment.groups.items()
        if base and k != experiment.baseline and differences(runs, base)
    ]
    fig, axes = plt.subplots(
        2 if compared else 1,
        1,
        figsize=(style.WIDTH, 6.4 if compared else 3.6),
        sharex=True,
        squeeze=False,
    )
    ax = axes[0, 0]
    style.end_labels(ax, draw_losses(ax, experiment, look, scale))
    ax.set_ylabel("loss (nats per token)")
    ax.set_title("validation (thick; band: lowest to highest seed), training (thin, smoothed)")
    if compared:
        style.end_labels(axes[1, 0], draw_differences(axes[1, 0], experiment, look, scale))
        axes[1, 0].set_ylabel(f"difference to {experiment.baseline} (nats)")
        axes[1, 0].set_title(
            f"validation loss minus {experiment.baseline}'s by seed; lower is better "
            "(band: 95 % t interval, n > 2)"
        )
    axes[-1, 0].set_xlabel(f"{unit}tokens")
    style.heading(fig, experiment, "loss during training")
    files = style.save(fig, out, NAME)
    files.append(
        style.write_csv(
            out / f"{NAME}.csv",
            ("label", "seed", "split", "step", "tokens", "loss_nats"),
            rows(experiment),
        )
    )
    if compared:
        header = (
            "label",
            "baseline",
            "step",
            "tokens",
            "mean_difference_nats",
            "low_95",
            "high_95",
        )
        files.append(
            style.write_csv(out / f"{NAME}_difference.csv", header, difference_rows(experiment))
        )
    return files
