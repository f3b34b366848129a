"""What a reader would complain of in a figure: text that leaves the page or lies on other text or
on another panel, a key on a panel.
"""

import warnings

from matplotlib.collections import PolyCollection
from matplotlib.legend import Legend
from matplotlib.text import Text

SLACK = 1.5  # pixels that boxes may share: side bearings of letters


def tick_labels(figure):
    """({id: axes} of tick labels that are drawn, ids of those that are not)."""
    drawn, hidden = {}, set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            ticks = [t for k in axis.majorTicks + axis.minorTicks for t in (k.label1, k.label2)]
            hidden |= {id(t) for t in ticks}
            if ax.axison:
                shown = [t for k in axis._update_ticks() for t in (k.label1, k.label2)]
                drawn.update({id(t): ax for t in shown})
    return drawn, hidden - set(drawn)


def texts_of(figure):
    """[(text, box in pixels, its axes or None)] of all visible, non-empty texts."""
    renderer = figure.canvas.get_renderer()
    ticks, hidden = tick_labels(figure)
    found = []
    for text in figure.findobj(Text):
        own = ticks.get(id(text), text.axes)
        switched_off = own is not None and not own.axison and text not in own.texts
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden:
            if not switched_off:
                found.append((text, text.get_window_extent(renderer), own))
    return found


def overlap(a, b):
    """Width and height of the shared part of two boxes, shrunk by the slack, both positive if they
    overlap.
    """
    w = min(a.x1, b.x1) - max(a.x0, b.x0) - SLACK
    h = min(a.y1, b.y1) - max(a.y0, b.y0) - SLACK
    return w > 0 and h > 0


def complaints(figure):
    """One line for each; [] is a good figure."""
    with warnings.catch_warnings():  # a figure without a grid has no layout to compute
        warnings.simplefilter("ignore", UserWarning)
        figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    texts = texts_of(figure)
    found = []
    for text, box, _ in texts:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1:
            found.append(f"leaves the page: {text.get_text()!r}")
    for i, (a, box, _) in enumerate(texts):
        for b, other, _ in texts[i + 1 :]:
            if overlap(box, other):
                found.append(f"overlap: {a.get_text()!r} and {b.get_text()!r}")
    panels = [ax for ax in figure.axes if ax.get_visible() and ax.axison]
    for text, box, own in texts:
        for ax in panels:
            if ax is not own and overlap(box, ax.get_window_extent(renderer)):
                found.append(f"on another panel: {text.get_text()!r}")
    for key in figure.findobj(Legend):
        for ax in panels:
            if overlap(key.get_window_extent(renderer), ax.get_window_extent(renderer)):
                found.append("the key lies on a panel")
    return found


def bands_outside(ax):
    """Whether a band reaches beyond the limits of its axes."""
    y0, y1 = sorted(ax.get_ylim())
    bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
    ys = [y for c in bands for path in c.get_paths() for _, y in path.vertices]
    return any(y < y0 or y > y1 for y in ys)


def curves_outside(ax):
    """Number of points of lines that lie outside the limits of their axes."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    outside = 0
    for line in ax.lines:
        if line.get_transform() == ax.transData:
            x, y = line.get_data()
            outside += sum(
                not (min(x0, x1) <= u <= max(x0, x1) and min(y0, y1) <= v <= max(y0, y1))
                for u, v in zip(x, y)
                if u == u and v == v
            )
    return outside
