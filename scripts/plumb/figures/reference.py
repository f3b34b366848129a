"""The shapes of the Attention Residuals paper's Fig. 5(b) and (c) beside ours, by transformer
block, last block = 1. Output magnitudes (b) are one mixer's bookkeeping: each has its own panel.

The numbers are the user's: a JSON file with lists fig5b_output_magnitude_{baseline,block} and
fig5c_grad_magnitude_x1e-5_{baseline,block}, one value per transformer block.
"""

import numpy as np

from ..reading import places
from ..reading.files import Skip, as_number, bad, read_json
from ..stats import band
from . import caption, layout, style

NAME = "reference"
QUANTITIES = {
    "fig5b_output_magnitude": "stream_rms",
    "fig5c_grad_magnitude_x1e-5": "dout_rms",
}
PAPER = {"baseline": "standard", "block": "attnres_block"}
PANELS = (  # title, quantity, variants of the paper
    ("output magnitude, standard", "fig5b_output_magnitude", ("baseline",)),
    ("output magnitude, attnres_block", "fig5b_output_magnitude", ("block",)),
    ("rms of dLoss/dv, both", "fig5c_grad_magnitude_x1e-5", ("baseline", "block")),
)


def by_block(values, size=2):
    """Depths 0..L+1 -> one value per transformer block, that of its last sublayer, over the last
    block's. size: sublayers of a block.
    """
    blocks = values[size:-1:size]
    return blocks / blocks[-1]


def read_paper(path):
    """{(quantity, variant): values over the last}; InputError names a missing or bad list."""
    found = read_json(path)
    curves = {}
    for quantity in QUANTITIES:
        for variant in PAPER:
            name = f"{quantity}_{variant}"
            try:
                values = np.array([as_number(x) for x in found[name]], dtype=float)
                if len(values) < 2 or not np.isfinite(values).all() or values[-1] == 0:
                    raise ValueError
            except (KeyError, TypeError, ValueError) as e:
                raise bad(path, f'has no list of numbers "{name}"; --reference needs it') from e
            curves[quantity, variant] = values / values[-1]
    return curves


def ours(experiment):
    """{label: runs} to set beside the paper's: the standard residual and trained block AttnRes."""
    return {
        k: runs
        for k, runs in experiment.groups.items()
        if experiment.variants[k].mixer in PAPER.values()
        and "mixer.freeze" not in experiment.variants[k].settings
        and runs[0].probe_steps()
    }


def curves_of(experiment, paper):
    """Yields (quantity, variant of the paper, source, name, look label, values)."""
    for quantity, field in QUANTITIES.items():
        for variant, mixer in PAPER.items():
            yield quantity, variant, "paper", f"paper, {mixer}", mixer, paper[quantity, variant]
            for label, runs in ours(experiment).items():
                profiles = [r.by_depth(field) for r in runs]
                size = places.of(runs[0]).size
                found = band([by_block(p, size) for p in profiles if p is not None])
                if experiment.variants[label].mixer == mixer and found:
                    yield quantity, variant, "run", f"ours, {label}", label, found[0]


def draw(ax, curves, look, handles):
    for _, _, source, name, label, values in curves:
        at = np.arange(1, len(values) + 1) / len(values)
        mine = source == "run"
        (line,) = ax.plot(
            at,
            values,
            color=look[label].color,
            ls="-" if mine else (0, (2, 1.2)),
            lw=1.6 if mine else 1.0,
            marker=look[label].marker,
            ms=4 if mine else 2.5,
            label=name,
        )
        handles.setdefault(name, line)
    style.log_axis(ax.yaxis, *ax.dataLim.intervaly)
    ax.set_xlabel("relative depth")


def key_of(curves, look):
    """Key entries by name, before the axes exist."""
    return {
        name: style.plt.Line2D(
            [],
            [],
            color=look[label].color,
            ls="-" if source == "run" else (0, (2, 1.2)),
            marker=look[label].marker,
            label=name,
        )
        for _, _, source, name, label, _ in curves
    }


def make(experiment, out, path):
    paper = read_paper(path)
    groups = ours(experiment)
    if not groups:
        raise Skip("no standard or attnres_block run with a probe to set beside the paper's")
    look = {**style.LOOKS, **style.looks(experiment.groups)}
    curves = list(curves_of(experiment, paper))
    page = layout.Page(
        experiment,
        "shapes by depth beside the paper's Fig. 5 (b), (c)",
        caption.of(groups, "by transformer block, each over its value at the last block"),
        2.3,
        key_of(curves, look).values(),
    )
    for ax, (title, quantity, variants) in zip(page.panels(1, 3)[0], PANELS):
        draw(ax, [c for c in curves if c[0] == quantity and c[1] in variants], look, {})
        layout.title(ax, title, 1.9, size=8)
    header = ("quantity", "source", "label", "block", "relative_depth", "value_over_last")
    rows = (
        (quantity, source, label, k, k / len(values), v)
        for quantity, _, source, _, label, values in curves
        for k, v in enumerate(values, 1)
    )
    return page.save(out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows)]
