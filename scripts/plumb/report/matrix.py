"""The depth-mixing matrix: small pictures of every variant at the end, and a viewer of any variant,
seed and probe beside its baseline.
"""

import numpy as np

from ..figures import matrix as figure
from ..reading import places
from ..reading.files import Skip
from ..reading.measures import describe
from ..reading.run import WAYS
from . import heat
from .charts import finite
from .markup import data_block, esc
from .material import seeds_and_tokens
from .svg import text, tick_text

QUANTITIES = ("share", "mean")  # measures of a matrix file
TICKS = (-1, -0.2, 0, 0.05, 0.2, 0.5, 1)


def quantities(groups):
    """{key: name} of QUANTITIES, and of those of keys and values where an attention reads for them
    apart.
    """
    ways = {w for runs in groups.values() for r in runs for w in r.ways}
    names = {q: describe(q).name for q in QUANTITIES}
    return names | {f"{q}.{w}": f"{names[q]}: {WAYS[w]}" for w in sorted(ways) for q in QUANTITIES}


def at_step(run, quantity, step):
    """(L+1, L+1) or None. Shares are measured since schema 2; of older runs the end's are made up
    of weights and sizes.
    """
    found = run.matrix(quantity, step)
    if found is None and quantity == "share" and step == run.matrix_steps()[-1]:
        return figure.share_of(run)
    return found


def stacks_of(runs, quantity, steps):
    """({seed text: [matrix a step]} with their mean first, steps): steps that all runs have."""
    by_run, kept = [], []
    runs = [r for r in runs if r.matrix_steps()]
    for step in steps:
        found = [at_step(r, quantity, step) for r in runs]
        if found and all(f is not None and f.shape == found[0].shape for f in found):
            kept.append(step)
            by_run.append(found)
    if not kept:
        return {}, []
    stacks = {"mean": [np.mean(found, axis=0) for found in by_run]}
    if len(runs) > 1:
        for i, run in enumerate(runs):
            stacks[str(run.seed)] = [found[i] for found in by_run]
    else:
        stacks = {str(runs[0].seed): stacks["mean"]}
    return stacks, kept


def shared_steps(runs):
    sets = [set(r.matrix_steps()) for r in runs if r.matrix_steps()]
    return sorted(set.intersection(*sets)) if sets else []


def size_of(groups, n_steps, each_seed):
    """Characters of base64 that the maps of all quantities take, about."""
    total = 0
    for runs in groups.values():
        n = runs[0].n_sublayers + 1
        seeds = len(runs) + 1 if each_seed and len(runs) > 1 else 1
        total += n * (n + 1) // 2 * n_steps * seeds * len(QUANTITIES) * (1 + len(runs[0].ways))
    return total * 4 // 3


def frugal(groups):
    """(probes kept, whether every seed is kept), so that the page stays small."""
    longest = max(len(shared_steps(runs)) for runs in groups.values())
    for each_seed, most in ((True, longest), (True, 6), (False, longest), (False, 6), (False, 2)):
        if most <= longest and size_of(groups, most, each_seed) <= heat.BUDGET:
            return most, each_seed
    return 1, False


def maps_of(m, groups):
    """({quantity: {name: packed}}, {name: last mean share}, words on what was left out)."""
    most, each_seed = frugal(groups)
    maps, last, longest = {}, {}, 0
    for quantity in quantities(groups):
        for label, runs in groups.items():
            every = shared_steps(runs)
            longest = max(longest, len(every))
            steps = heat.fewer(every, most) if most > 1 else every[-1:]
            stacks, steps = stacks_of(runs, quantity, steps)
            if not stacks:
                continue
            if not each_seed:
                stacks = dict([next(iter(stacks.items()))])
            span = (
                1.0
                if quantity.startswith("share")
                else max(np.abs(x).max() for x in sum(stacks.values(), []))
            )
            packed = heat.packed(stacks, steps)
            packed["span"] = float(f"{span or 1.0:.4g}")
            maps.setdefault(quantity, {})[m.names[label]] = packed
            if quantity == "share":
                last[label] = next(iter(stacks.values()))[-1]
    words = "" if each_seed else " Means over seeds only."
    if most < longest:
        words += f" {most} of {longest} probes."
    return maps, last, words


def ramp():
    """The colours and what they stand for."""
    width, o = 330, []
    table = heat.colors()
    for i in range(0, len(table), 3):
        x = 15 + width * i / len(table)
        o.append(f'<rect x="{x:.1f}" y="2" width="4.4" height="12" fill="{table[i]}"/>')
    for t in TICKS:
        x = 15 + width * (np.sign(t) * abs(t) ** 0.5 + 1) / 2
        o.append(text(x, 29, tick_text(t), "tick", "middle"))
    label = "Colours from -1 over 0, which is white, to 1, on a square-root scale"
    return (
        f'<svg class="fig ramp" viewBox="0 0 360 34" role="img" aria-label="{label}">'
        f"{''.join(o)}</svg>"
    )


def small_maps(m, last):
    o = []
    for label, share in last.items():
        name = m.names[label]
        alt = f"Heat map of the shares of {name}: rows are reads from the first to the output"
        o.append(
            f'<figure><img src="{heat.png_uri(share, 1.0)}" width="{len(share)}" '
            f'height="{len(share)}" alt="{esc(alt)}" role="img" aria-label="{esc(alt)}">'
            f'<figcaption class="{m.css[label]}">{esc(name)}</figcaption></figure>'
        )
    return f'<div class="maps">{"".join(o)}</div>'


VIEWER = """<div id="viewer" class="unit" hidden><h3>Any probe, beside the baseline</h3>
<p class="controls">
<label>show <select id="viewer-what"></select></label>
<label>variant <select id="viewer-variant"></select></label>
<label>seed <select id="viewer-seed"></select></label>
<label>probe <input id="viewer-step" type="range" min="0" value="0">
<output id="viewer-at"></output></label></p>
<p class="caption lead" id="viewer-words"></p><div class="side">
<figure><figcaption id="viewer-left-title"></figcaption>
<canvas id="viewer-left" width="600" height="600" role="img" tabindex="0"></canvas></figure>
<figure><figcaption id="viewer-right-title"></figcaption>
<canvas id="viewer-right" width="600" height="600" role="img"></canvas></figure></div>
<p class="caption" id="viewer-scale"></p>
<p id="viewer-cell" aria-live="polite">Point at a cell, or give the left map the focus and use the
arrow keys.</p></div>"""

SCALES = {
    "share": "Colours as above, from −1 to 1. Values to about 1 % of the largest in a map.",
    "mean": "Colours as above with 1 standing for SPAN, the largest weight of this variant. Sizes "
    "of weights depend on how a mixer keeps its books: compare patterns, not sizes.",
}


def words_of(runs):
    """What stands at depth 0..L+1."""
    run = next(r for r in runs if r.matrix_steps())
    layout = places.of(run, len(run.tensors["mean"]) - 1)
    return [layout.words(depth) for depth in range(layout.n_sublayers + 2)]


def scale_words(quantity):
    return f"{describe(quantity).meaning} {SCALES[quantity]}".strip()


def viewer(m, family, maps):
    base = m.names[family.base.label] if family.base else ""
    names = [m.names[label] for label in family.groups]
    shown = set(maps[next(iter(maps))])
    of_maps = [(k, m.names[k]) for k in family.groups if any(m.names[k] in x for x in maps.values())]
    rows = sorted(family.rows, key=lambda r: -abs(r.difference) if finite(r.difference) else 0)
    data = {
        "names": quantities(family.groups),
        "scales": {q: scale_words(q.split(".")[0]) for q in maps},
        "colors": heat.colors(),
        "sublayers": {name: words_of(family.groups[label]) for label, name in of_maps},
        "maps": maps,
        "base": {name: base if base != name and base in shown else "" for name in names},
        "first": next((n for r in rows if (n := m.names[r.label]) in shown and n != base), ""),
    }
    return VIEWER + data_block("data-viewer", data)


def matrix(m):
    family = m.main
    groups = {k: v for k, v in family.groups.items() if any(r.matrix_steps() for r in v)}
    groups = {k: [r for r in v if r.matrix_steps()] for k, v in groups.items()}
    if not groups:
        raise Skip("no finished run has a depth-mixing matrix; train with record.probe_every=100")
    maps, last, words = maps_of(m, groups)
    if not maps:
        raise Skip("the runs of no variant have a depth-mixing matrix at one probe step")
    at = f" At {family.title}." if family.title else ""
    order = places.order_of(places.of(runs[0]) for runs in groups.values())
    caption = (
        "Rows: reads, from the first sublayer's at the top to the output's; columns: sources, "
        f"from the embedding at the left ({order}). A cell is the "
        "share of the source in the read, <M v, h> / <h, h>, comparable between mixers. Last "
        f"probe, mean over {seeds_and_tokens(groups)}.{at}{words} Numbers: figures/matrix.csv."
    )
    o = [f'<p class="caption lead">{esc(caption)}</p>{ramp()}'] if last else []
    return "".join(o) + (small_maps(m, last) if last else "") + viewer(m, family, maps)
