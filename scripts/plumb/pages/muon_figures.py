"""The two figures that only results/muon has: loss over the rate, and norms by depth of one optimizer
beside the other's.
"""

import numpy as np

from .. import stats
from ..figures import layout, style
from ..figures.curves import Curves, notes
from ..reading import measures, places

COLORS = {"AdamW": "#222222", "Muon": "#D55E00"}
ASIDE = (0.97, 1.03)  # factors that keep intervals of one rate apart
MARKS = (("o", "-"), ("^", (0, (4, 1.5))))  # by kind of sublayer
ROOM = 0.15  # nats above the chosen ones: what lies higher is named at the edge
ROWS = (  # file, measure, whether both networks share the axis
    ("magnitudes", "out_rms", False),
    ("gradients", "update_ratio", True),
    ("gradients", "dout_rms", True),
)
HEIGHT = 1.7  # inches of a row


def draw(page):
    draw_response(page)
    draw_norms(page)


# ---- loss over the rate ------------------------------------------------------------------------------


def draw_response(page):
    """muon.svg, .png, .csv: loss of the first stage over the rate, a panel a network."""
    style.use()
    fig, panels = style.plt.subplots(1, len(page.networks), figsize=(style.WIDTH, 3.0), sharey=True)
    best = [page.mean(of, rate) for of, rate in page.chosen.items()]
    top = max(best) + ROOM
    rates = sorted({r for at in page.tried.values() for r in at})
    for ax, (network, by_optimizer) in zip(panels, page.networks.items()):
        ax.set_xscale("log")
        for line, (name, of) in enumerate(by_optimizer.items()):
            draw_one(ax, page, of, COLORS[name], top, line)
        ax.set_xticks(rates, [f"{1000 * r:g}" for r in rates])
        ax.set_xlim(rates[0] / 1.3, rates[-1] * 1.3)
        ax.minorticks_off()
        ax.set_title(network)
        ax.set_xlabel("rate / 1e-3")
    panels[0].set_ylim(min(best) - 0.2 * (top - min(best)), top)
    panels[0].set_ylabel(measures.axis_label("final_val_loss"))
    lines = [
        style.plt.Line2D([], [], marker="o", color=color, label=name) for name, color in COLORS.items()
    ]
    fig.get_layout_engine().set(rect=(0, 0.08, 1, 0.92))  # room for the legend
    fig.legend(handles=lines, ncols=len(lines), loc="lower center")
    folder = page.study.folder
    style.save(fig, folder, "muon")
    rows = [
        (of, rate, seed, x)
        for of, at in page.tried.items()
        for rate, losses in sorted(at.items())
        for seed, x in losses.items()
    ]
    style.write_csv(folder / "muon.csv", ("label", "rate", "seed", "loss_nats"), rows)


def draw_one(ax, page, of, color, top, line):
    """line: 0 or 1; of the names of what lies above the panel, and to which side points stand."""
    shown = []
    for rate, losses in sorted(page.tried[of].items()):
        if not losses:
            continue
        mean, half = stats.interval(list(losses.values()))
        if mean > top:
            name, down = f"{mean:.2f} ↑", (0, -10 * line)
            look = {"ha": "center", "va": "top", "fontsize": 7, "color": color}
            ax.annotate(name, (rate, top), down, textcoords="offset points", **look)
        else:
            shown.append((ASIDE[line] * rate, mean, half))
    if not shown:
        return
    rates, means, halves = zip(*shown)
    ax.errorbar(rates, means, yerr=halves, marker="o", ms=3.5, lw=1.2, capsize=2, color=color)
    best = page.chosen[of]
    ax.plot(ASIDE[line] * best, page.mean(of, best), "o", ms=9, mfc="none", mew=1.2, color=color)


# ---- norms by depth ----------------------------------------------------------------------------------


def inner(values):
    """The same with NaN at the embedding and the output."""
    found = np.full_like(values, np.nan)
    found[1:-1] = values[1:-1]
    return found


def curves_of(page, file, column, networks):
    """Curves of the labels of these networks."""
    labels = [of for n in networks for of in page.networks[n].values()]
    found = {of: page.study.profiles(file, of, column).values() for of in labels}
    return Curves.of_seeds(
        measures.describe(column).name, {of: [inner(v) for v in arrays] for of, arrays in found.items()}
    )


def draw_norms(page):
    """norms.svg, .png, .csv: a column a network, a row a measure, attention and MLP apart."""
    style.use()
    drawn = [
        {n: curves_of(page, file, column, page.networks if shared else [n]) for n in page.networks}
        for file, column, shared in ROWS
    ]
    handles = [
        style.plt.Line2D([], [], color=color, marker=marker, ls=dash, ms=3, lw=1.1, label=f"{name}, {kind}")
        for name, color in COLORS.items()
        for (marker, dash), kind in zip(MARKS, map(places.word, places.KINDS))
    ]
    caption = notes([c for row in drawn for c in row.values()])
    sheet = layout.Page(
        None,
        "norms by depth, Muon beside AdamW",
        f"{len(page.seeds)} seeds, last probe; " + "; ".join(caption),
        HEIGHT * len(ROWS) + 0.35,
        handles,
    )
    axes = sheet.panels(len(ROWS), len(page.networks))
    for i, (row, (_, column, shared)) in enumerate(zip(drawn, ROWS)):
        for ax, (network, by_optimizer) in zip(axes[i], page.networks.items()):
            draw_panel(ax, row[network], by_optimizer, label=i == len(ROWS) - 1)
            if i == 0:
                ax.set_title(network)
        layout.y_label(axes[i, 0], measures.axis_label(column), HEIGHT - 0.5)
        for ax in axes[i, 1:]:
            ax.tick_params(axis="y", labelleft=not shared)
    folder = page.study.folder
    sheet.save(folder, "norms")
    style.write_csv(folder / "norms.csv", ("label", "seed", "depth", *(c for _, c, _ in ROWS)), rows_of(page))


def draw_panel(ax, found, by_optimizer, label):
    for name, of in by_optimizer.items():
        middle = found.of[of][0]
        where = places.Layout(len(middle) - 2)
        for (marker, dash), kind in zip(MARKS, where.kinds):
            d = where.depths_of(kind)
            found.fill(ax, d, of, d, color=COLORS[name], alpha=0.15)
            ax.plot(d, middle[d], color=COLORS[name], marker=marker, ls=dash, ms=3, lw=1.1)
    style.depth_axis(ax, where, label=label, ends=False)
    found.set_axis(ax)


def rows_of(page):
    for of in page.labels:
        columns = [page.study.profiles(file, of, column) for file, column, _ in ROWS]
        for seed in page.seeds:
            for depth, values in enumerate(zip(*(c[seed] for c in columns))):
                yield of, seed, depth, *values
