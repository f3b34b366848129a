"""One network, several books: `standard` beside AttnRes whose queries are frozen at zero, which is
the standard network with reads written as means of sources. Raw curves differ, shares do not.
"""

import numpy as np

from . import caption, layout, measures, style
from .files import Skip
from .stats import band

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


def draw(ax, key, experiment, labels, look):
    for i, label in enumerate(labels):
        found = band([r.by_depth(key) for r in experiment.groups[label]])
        if found is None:
            continue
        mean, half, n = found
        d = np.flatnonzero(np.isfinite(mean))
        kind = look[label]
        if n > 1:
            low = np.maximum(mean[d] - half[d], mean[d] / 3)
            ax.fill_between(d, low, mean[d] + half[d], color=kind.color, alpha=0.12, lw=0)
        # Equal curves lie on one another: the first wide and pale, the others thin on it.
        wide = {"lw": 4.0, "alpha": 0.35} if i == 0 else {"lw": 1.1}
        ax.plot(d, mean[d], color=kind.color, ls="-" if i == 0 else kind.dash, **wide)
    if ax.dataLim.intervaly[0] > 0:
        style.log_axis(ax.yaxis, *ax.dataLim.intervaly)


def make(experiment, out):
    labels = members(experiment)
    if not labels:
        raise Skip("needs `standard` and an AttnRes trained with mixer.freeze=query")
    first = experiment.groups[labels[0]]
    keys = [k for k in PANELS if any(r.by_depth(k) is not None for r in first)]
    look = style.looks({k: experiment.groups[k] for k in labels})
    handles = layout.key_handles(look, labels)
    for handle in handles:
        handle.set_marker("")
    page = layout.Page(
        experiment,
        "one network, several bookkeepings",
        caption.of(
            {k: experiment.groups[k] for k in labels},
            "raw magnitudes (left) depend on how a mixer writes the same network down; "
            "shares (right) do not",
        ),
        2.5,
        handles,
    )
    axes = page.panels(1, len(keys))[0]
    deepest = max(r.n_sublayers for k in labels for r in experiment.groups[k])
    for ax, key in zip(axes, keys):
        draw(ax, key, experiment, labels, look)
        layout.title(ax, measures.axis_label(key), style.WIDTH / len(keys) - 0.7, size=8)
        style.depth_axis(ax, deepest, n_ticks=5, label=False)
        ax.set_xlabel("transformer block")
    header = ("label", "seed", "step", "depth", *PANELS, *ALIKE)
    return page.save(out, NAME) + [
        style.write_csv(out / f"{NAME}.csv", header, rows(experiment, labels))
    ]
