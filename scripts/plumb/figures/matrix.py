"""What each read takes from its sources, as heat maps: rows of each kind of sublayer and the output
row apart (cf. Fig. 8), shares instead of raw weights, one colour scale for all variants.
"""

import numpy as np

from ..reading import places
from ..reading.files import Skip
from ..reading.run import WAYS
from . import caption, layout, shares, style

NAME = "matrix"
HEIGHT = 1.45  # inches of a variant


def share_of(run):
    """(L+1, L+1) share of source i in read l, rows l = 1..L+1: as measured, <M[l,i] v_i, h_l> /
    <h_l, h_l>; of runs that have none |M[l,i]| rms(v_i) over its sum. None without either.
    """
    exact = run.matrix("share")
    if exact is not None:
        return exact
    mean, out = run.matrix("mean"), run.by_depth("out_rms")
    if mean is None or out is None or len(out) != len(mean) + 1:
        return None
    cheap = np.abs(mean) * np.nan_to_num(out[:-1])
    total = cheap.sum(axis=1, keepdims=True)
    return cheap / np.where(total > 0, total, 1)


def found_in(groups):
    """{title: (label, tensor's suffix, [(run, share)])}: of a variant whose attention reads for
    its queries, keys and values apart, each.
    """
    found = {}
    for label, runs in groups.items():
        apart = any(r.ways for r in runs)
        of_runs = [(r, s) for r in runs if (s := share_of(r)) is not None]
        found[f"{label}: queries" if apart else label] = label, "", of_runs
        for way, words in WAYS.items():
            of_runs = [(r, s) for r in runs if (s := r.matrix(f"share.{way}")) is not None]
            found[f"{label}: {words}"] = label, f".{way}", of_runs
    return {k: v for k, v in found.items() if v[2]}


def panels(m, layout=None):
    """m (L+1, L+1), row r = l-1 -> (pre-attention rows, pre-MLP rows, output row), sources the row
    cannot see as NaN; of another layout the rows of its kinds, in their order.
    """
    layout = layout or places.Layout(len(m) - 1)
    seen = np.where(np.tril(np.ones_like(m, dtype=bool)), m, np.nan)
    return *(seen[layout.depths_of(k) - 1] for k in layout.kinds), seen[len(m) - 1 :]


def source_ticks(n, most):
    step = max(1, -(-n // most))
    ticks = list(range(0, n, step))
    return ticks, ["e" if i == 0 else str(i) for i in ticks]


def draw_rows(ax, panel, blocks, kind):
    """blocks: the transformer block of each row."""
    n_rows, n_sources = panel.shape
    x, y = np.arange(n_sources + 1) - 0.5, np.arange(n_rows + 1) + 0.5
    image = shares.mesh(ax, x, y, panel)
    stride = max(1, n_rows // 4)
    ticks = range(stride, n_rows + 1, stride)
    ax.set_yticks(ticks, [str(blocks[r - 1]) for r in ticks])
    ax.set_ylim(n_rows + 0.5, 0.5)
    ax.set_xticks(*source_ticks(n_sources, 9))
    outline(ax, panel)
    # In the corner that no row can see.
    at = {"x": 1.0, "y": 0.98, "ha": "right", "va": "top", "transform": ax.transAxes}
    ax.text(s=f"pre-{places.word(kind)} rows", fontsize=8, color="#444444", **at)
    return image


def draw_output(ax, row):
    shares.mesh(ax, [0, 1], np.arange(row.shape[1] + 1) - 0.5, row.T)
    ax.set_ylim(row.shape[1] - 0.5, -0.5)
    ax.set_yticks(*source_ticks(row.shape[1], 6))
    ax.set_xticks([])


def outline(ax, panel):
    """A staircase round the sources each row can see: blank beyond it, whatever the colour of 0."""
    widths = np.isfinite(panel).sum(axis=1) - 0.5
    x, y = np.repeat(widths, 2), np.repeat(np.arange(len(panel) + 1) + 0.5, 2)[1:-1]
    ax.plot(
        [-0.5, *x, -0.5, -0.5],
        [0.5, *y, len(panel) + 0.5, 0.5],
        color="#999999",
        lw=0.5,
        clip_on=False,
    )


def rows(found):
    for label, (_, way, runs) in found.items():
        for run, share in runs:
            weight = run.matrix("mean" + way)
            where = places.of(run, len(share) - 1)
            for r in range(len(share)):
                site = where.site(r + 1)
                for i in range(r + 1):
                    numbers = f"{share[r, i]:.5g}", f"{weight[r, i]:.5g}"
                    yield label, run.seed, r + 1, site, i, *numbers


def draw_variant(axes, label, color, share, where, kinds):
    """where: its Layout; kinds: those of the columns."""
    *of_kinds, output = panels(share, where)
    for ax in axes[:-1]:
        ax.set_axis_off()
    for kind, panel in zip(where.kinds, of_kinds):
        ax = axes[kinds.index(kind)]
        ax.set_axis_on()
        image = draw_rows(ax, panel, [where.block(d) for d in where.depths_of(kind)], kind)
    draw_output(axes[-1], output)
    layout.title(axes[0], label, 2.9, color=color, size=8)
    axes[min(kinds.index(kind) for kind in where.kinds)].set_ylabel("block")
    for ax in axes:
        ax.tick_params(length=2)
        ax.grid(False)
        for side in ax.spines.values():
            side.set_visible(False)
    return image


def make(experiment, out):
    found = found_in(experiment.groups)
    if not found:
        raise Skip("no finished run has shares of sources; train with record.probe_every=100")
    look = style.looks(experiment.groups)
    groups = {k: experiment.groups[k] for k, _, _ in found.values()}
    exact = all(r.matrix("share") is not None for _, _, v in found.values() for r, _ in v)
    what = "<M v_i, h> / <h, h>"
    if not exact:
        what += ", where that was not measured |M| rms(v_i) over its sum"
    means = {k: np.mean([s for _, s in v], axis=0) for k, (_, _, v) in found.items()}
    beyond = shares.notes(means.values())
    clipped = bool(beyond)
    titles = sum(len(layout.wrapped(k, 8, 2.9)) - 1 for k in found) * 0.15
    layouts = {k: places.of(v[0][0], len(v[0][1]) - 1) for k, (_, _, v) in found.items()}
    order, short = places.order_of(layouts.values()), {x.size for x in layouts.values()} == {2}
    beyond += [] if short else [order]
    page = layout.Page(
        experiment,
        "share of each source in each read, mean over seeds",
        caption.of(groups, f"share: {what}", *beyond),
        HEIGHT * len(found) + titles + 0.75,
    )
    kinds = places.kinds_of(layouts.values())
    axes = page.panels(len(found), len(kinds) + 1, width_ratios=(*[1] * len(kinds), 0.09))
    for row, (label, share) in zip(axes, means.items()):
        color = look[found[label][0]].color
        image = draw_variant(row, label, color, share, layouts[label], kinds)
    axes[0, -1].set_title("output", loc="center", fontsize=8)
    for ax in axes[-1, :-1]:
        ax.set_xlabel(f"source (e embedding{f', {order}' * short})")
    shares.color_bar(page, image, axes, "share of the read", clipped)
    header = ("label", "seed", "sublayer", "site", "source", "share", "weight")
    return page.save(out, NAME) + [style.write_csv(out / f"{NAME}.csv", header, rows(found))]
