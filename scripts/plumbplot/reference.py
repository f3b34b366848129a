"""The shapes of the Attention Residuals paper's Fig. 5(b) and (c) beside ours: both by transformer
block, last block = 1.

The numbers are the user's: a JSON file with lists fig5b_output_magnitude_{baseline,block} and
fig5c_grad_magnitude_x1e-5_{baseline,block}, one value per transformer block.
"""

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .data import InputError, Skip, healthy, over_seeds, read_json

NAME = "reference"
PANELS = (
    ("fig5b_output_magnitude", "stream_rms", "output magnitude"),
    ("fig5c_grad_magnitude_x1e-5", "dout_rms", "activation gradient"),
)
PAPER = {"baseline": "standard", "block": "attnres_block"}


def by_block(values):
    """Depths 0..L+1 -> one value per transformer block, that of its last sublayer, over the last
    block's.
    """
    blocks = values[2:-1:2]
    return blocks / blocks[-1]


def read_paper(path):
    """{(quantity, variant): values over the last}; InputError names a missing or bad list."""
    found = read_json(path)
    curves = {}
    for quantity, _, _ in PANELS:
        for variant in PAPER:
            name = f"{quantity}_{variant}"
            values = found.get(name) if isinstance(found, dict) else None
            if (
                not isinstance(values, list)
                or len(values) < 2
                or not all(isinstance(x, (int, float)) for x in values)
            ):
                raise InputError(
                    f'{path} has no list of numbers "{name}"; it needs it with --reference'
                )
            curves[quantity, variant] = np.array(values, dtype=float) / values[-1]
    return curves


def ours(experiment):
    """{label: runs} to set beside the paper's: the standard residual and block AttnRes."""
    groups = {
        k: [r for r in healthy(runs) if r.probe_steps()] for k, runs in experiment.groups.items()
    }
    return {k: runs for k, runs in groups.items() if runs and runs[0].mixer in PAPER.values()}


def curves_of(experiment, paper):
    """Yields (quantity, source, name, look label, values)."""
    groups = ours(experiment)
    for quantity, field, _ in PANELS:
        for variant, mixer in PAPER.items():
            yield quantity, "paper", f"paper, {mixer}", mixer, paper[quantity, variant]
        for label, runs in groups.items():
            yield quantity, "run", f"ours, {label}", label, over_seeds(
                [by_block(r.by_depth(field)) for r in runs]
            )[0]


def make(experiment, out, path):
    paper = read_paper(path)
    if not ours(experiment):
        raise Skip("no standard or attnres_block run with a probe to set beside the paper's")
    look = {**style.LOOKS, **style.looks(experiment.groups)}
    fig, axes = plt.subplots(2, 2, figsize=(style.WIDTH, 3.5), height_ratios=(1, 0.16))
    table = []
    for ax, (quantity, _, title) in zip(axes[0], PANELS):
        for curve_quantity, source, name, label, values in curves_of(experiment, paper):
            if curve_quantity != quantity:
                continue
            at = np.arange(1, len(values) + 1) / len(values)
            mine = source == "run"
            ax.plot(
                at,
                values,
                color=look[label].color,
                ls="-" if mine else (0, (2, 1.2)),
                lw=1.6 if mine else 1.0,
                marker=look[label].marker,
                ms=4 if mine else 2.5,
                label=name,
            )
            table += [
                (quantity, source, label, k, x, v) for k, (x, v) in enumerate(zip(at, values), 1)
            ]
        style.log_axis(ax.yaxis, *ax.dataLim.intervaly)
        ax.set_title(title)
        ax.set_xlabel("relative depth (transformer block / blocks)")
    axes[0, 0].set_ylabel("value / value at the last block")
    for ax in axes[1]:
        ax.set_axis_off()
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="lower center", ncol=min(4, len(names)), handlelength=3)
    style.heading(fig, experiment, "shape by depth beside the paper's Fig. 5 (b), (c)")
    header = ("quantity", "source", "label", "block", "relative_depth", "value_over_last")
    return style.save(fig, out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, table)]
