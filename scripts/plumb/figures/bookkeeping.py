"""One network, several books: `standard` beside AttnRes whose queries are frozen at zero, which is
the standard network with reads written as means of sources. Raw curves differ, shares do not.
"""

import numpy as np

from ..reading import measures, places
from ..reading.files import Skip
from . import caption, curves, layout, style
from .curves import Curves

NAME = "bookkeeping"
PANELS = ("read_rms", "contribution", "write_share")  # two raw ones, one comparable
ALIKE = (  # further comparable ones, in the CSV
    "effective_sources",
    "embedding_share",
    "angular_distance",
    "ablation",
    "dout_rms",
    "pgrad_norm",
)


def is_frozen(variant):
    """AttnRes that cannot leave its start, the standard network."""
    frozen = variant.settings.get("mixer.freeze", "")
    return variant.mixer in ("attnres", "attnres_block") and "query" in frozen


def members(experiment):
    """Labels: the standard network first, then its other forms; [] when there are none."""
    groups = experiment.groups
    frozen = [k for k in groups if is_frozen(experiment.variants[k]) and groups[k][0].probe_steps()]
    bases = list(dict.fromkeys(experiment.baseline_of(k) for k in frozen))
    bases = [b for b in bases if b and experiment.variants[b].mixer == "standard"]
    return bases + frozen if bases and frozen else []


def rows(experiment, labels):
    """Of every probe."""
    for label in labels:
        for run in experiment.groups[label]:
            for step in run.probe_steps():
                columns = [run.by_depth(key, step) for key in PANELS + ALIKE]
                for d in range(run.n_sublayers + 2):
                    values = (np.nan if c is None else c[d] for c in columns)
                    yield label, run.seed, step, d, *values


def curves_of(key, experiment, labels):
    """Curves by depth 0..L+1, or None."""
    seeds = {k: [r.by_depth(key) for r in experiment.groups[k]] for k in labels}
    return Curves.of_seeds(measures.describe(key).name, seeds)


def line(first, look):
    """Equal curves lie on one another: the first wide and pale, the others thin on it."""
    if first:
        return {"color": look.color, "ls": "-", "lw": 4.0, "alpha": 0.35}
    return {"color": look.color, "ls": look.dash, "lw": 1.1}


def draw(ax, found, labels, look):
    for label in (k for k in labels if k in found.of):
        middle = found.of[label][0]
        d = np.flatnonzero(np.isfinite(middle))
        found.fill(ax, d, label, d, color=look[label].color, alpha=style.band_alpha(labels))
        ax.plot(d, middle[d], **line(label == labels[0], look[label]))
    found.set_axis(ax)


def make(experiment, out):
    labels = members(experiment)
    if not labels:
        raise Skip("needs `standard` and an AttnRes trained with mixer.freeze=query")
    found = {key: curves_of(key, experiment, labels) for key in PANELS}
    found = {key: c for key, c in found.items() if c and labels[0] in c.of}
    look = style.looks({k: experiment.groups[k] for k in labels})
    handles = [
        style.plt.Line2D([], [], label=k, **line(k == labels[0], look[k])) for k in labels
    ]
    page = layout.Page(
        experiment,
        "one network, several bookkeepings",
        caption.of(
            {k: experiment.groups[k] for k in labels},
            "raw magnitudes (left) depend on how a mixer writes the same network down; "
            "shares (right) do not",
            *curves.notes(found.values()),
        ),
        2.5,
        handles,
    )
    axes = page.panels(1, len(found))[0]
    deepest = places.deepest(places.of(r) for k in labels for r in experiment.groups[k])
    for ax, (key, panel) in zip(axes, found.items()):
        draw(ax, panel, labels, look)
        layout.title(ax, measures.axis_label(key), style.WIDTH / len(found) - 0.7, size=8)
        style.depth_axis(ax, deepest, n_ticks=5, label=False)
        ax.set_xlabel(style.block_words(deepest))
    header = ("label", "seed", "step", "depth", *PANELS, *ALIKE)
    return page.save(out, NAME) + [
        style.write_csv(out / f"{NAME}.csv", header, rows(experiment, labels))
    ]
