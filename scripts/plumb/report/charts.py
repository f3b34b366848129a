"""Charts of lines with bands, as HTML: the picture at two widths and the numbers that the read-out
of the page shows.
"""

import math
from dataclasses import dataclass

from . import svg
from .markup import data_block, esc
from .svg import NARROW, WIDE, Frame, Scale, path, spread, text, text_width, xy

MOST_POINTS = 400  # of one line; longer ones are thinned
MARKED = 14  # lines of at most so many points show them
LINE = 14  # px from one label of a line's end to the next


@dataclass
class Series:
    label: str
    css: str  # its colour and dash: s0, s1, ...
    x: list
    y: list
    low: list | None = None  # of the band
    high: list | None = None


def finite(v):
    return v is not None and math.isfinite(v)


def thinned(values, most=MOST_POINTS):
    """Indices of at most `most` points: of each stretch the lowest and the highest, so that no
    spike is lost; the ends stay.
    """
    n = len(values)
    if n <= most:
        return list(range(n))
    kept, stretches = {0, n - 1}, most // 2 - 1
    for k in range(stretches):
        part = range(k * n // stretches, (k + 1) * n // stretches)
        part = [i for i in part if finite(values[i])]
        if part:
            kept |= {min(part, key=values.__getitem__), max(part, key=values.__getitem__)}
    return sorted(kept)


def thin(series):
    keep = thinned(series.y)
    if len(keep) == len(series.y):
        return series
    parts = (p and [p[i] for i in keep] for p in (series.x, series.y, series.low, series.high))
    return Series(series.label, series.css, *parts)


@dataclass
class Chart:
    """What a chart of lines needs beside its series."""

    name: str
    x_label: str
    y_label: str
    label: str  # what a reader who does not see the picture is told
    kind: str = "linear"  # scale of y
    knee: float = 1.0
    x_kind: str = "linear"
    digits: int = 4  # significant ones in the read-out; `decimals` of differences
    signed: bool = False
    zero: bool = False  # a line at 0
    y_range: tuple | None = None
    half: bool = False  # one of two beside each other: narrow at any width
    half_height: int = 270
    margin: float = 0.0  # a band of -margin..margin
    height: int = 340


def runs_of(points):
    """Stretches of points without a gap: a missing value breaks the line."""
    found, part = [], []
    for p in points:
        if all(map(finite, p)):
            part.append(p)
        elif part:
            found.append(part)
            part = []
    return found + [part] if part else found


def draw_band(s, x, y):
    if s.low is None or s.high is None:
        return ""
    o = []
    for part in runs_of(zip(s.x, s.low, s.high)):
        if len(part) > 1:
            upper = [(x(a), y(c)) for a, _, c in part]
            lower = [(x(a), y(b)) for a, b, _ in reversed(part)]
            o.append(f'<path class="band {s.css}" data-s="{s.css}" d="{path(upper + lower)}Z"/>')
    return "".join(o)


def draw_line(s, x, y):
    o = [
        f'<path class="line {s.css}" data-s="{s.css}" '
        f'd="{path([(x(a), y(b)) for a, b in part])}"/>'
        for part in runs_of(zip(s.x, s.y))
    ]
    if len(s.x) <= MARKED:
        o += [
            f'<circle class="dot {s.css}" data-s="{s.css}" cx="{xy(x(a))}" cy="{xy(y(b))}" '
            'r="2.6"/>'
            for a, b in zip(s.x, s.y)
            if finite(b)
        ]
    return "".join(o)


def end_labels(series, y, frame):
    """Names at the ends of lines, moved apart."""
    ends = [(s, next((v for v in reversed(s.y) if finite(v)), None)) for s in series]
    ends = [(s, v) for s, v in ends if v is not None]
    heights = spread([y(v) for _, v in ends], LINE, frame.top + 4, frame.bottom)
    return "".join(
        text(frame.right + 8, h + 4, s.label, f"end {s.css}", extra=f' data-s="{s.css}"')
        for (s, _), h in zip(ends, heights)
    )


def label_room(series, w):
    """Pixels for names at the ends of lines; 0: they do not fit and a key stands below."""
    widest = max(text_width(s.label) * 1.08 for s in series)  # they are bold
    return widest + 14 if widest <= w * 0.28 and len(series) <= 12 else 0


def draw(chart, series, w, h, labelled):
    """(svg, frame for the read-out) at width w."""
    values = [v for s in series for part in (s.y, s.low, s.high) if part for v in part]
    values += [0.0] if chart.zero else []
    y = Scale(*chart.y_range, kind=chart.kind, knee=chart.knee) if chart.y_range else None
    y = y or Scale.around(values, chart.kind, chart.knee)
    at = [v for s in series for v in s.x]
    x = Scale.around(at, chart.x_kind, pad=0.0)
    x.whole = all(float(v).is_integer() for v in at)  # blocks, sublayers, steps
    n_y = 5 if w > NARROW else 4
    room = label_room(series, w) if labelled else 0
    frame = Frame(w, h, svg.left_room(y, n_y), w - (room or 14), 30, h - 46)
    x, y = x.at(frame.left, frame.right), y.at(frame.bottom, frame.top)
    o = []
    if chart.margin:
        a, b = y(chart.margin), y(-chart.margin)
        o.append(
            f'<rect class="margin" x="{xy(frame.left)}" y="{xy(a)}" '
            f'width="{xy(frame.right - frame.left)}" height="{xy(b - a)}"/>'
        )
    n_x = 7 if w > NARROW else 4
    o.append(frame.axes(x, y, chart.x_label, chart.y_label, n_x, n_y))
    if chart.zero:
        o.append(f'<path class="zero" d="M{xy(frame.left)} {xy(y(0))}H{xy(frame.right)}"/>')
    o += [draw_band(s, x, y) for s in series] + [draw_line(s, x, y) for s in series]
    o += [end_labels(series, y, frame)] if room else []
    o.append('<path class="cross" d=""/>')
    box = [frame.w, *(round(v, 1) for v in (frame.left, frame.right, frame.top, frame.bottom))]
    return frame.svg("".join(o), chart.label), box


def rounded(values):
    return values and [float(f"{v:.7g}") if finite(v) else None for v in values]


def key_of(series, css="key"):
    """Names and colours, where they do not stand beside the lines."""
    return (
        f'<p class="{css}">'
        + "".join(
            f'<span class="{s.css}" data-s="{s.css}">{swatch(s.css)}{esc(s.label)}</span> '
            for s in series
        )
        + "</p>"
    )


def swatch(css):
    """A short piece of the line, in its colour and dash."""
    line = f'<path class="line {css}" d="M1 5H25"/>'
    return f'<svg class="swatch" aria-hidden="true" width="26" height="10">{line}</svg>'


def lines(chart, series):
    """A chart of lines; "" without any."""
    series = [s for s in map(thin, series) if any(map(finite, s.y))]
    if not series:
        return ""
    if chart.half:
        drawn = [draw(chart, series, NARROW, chart.half_height, False)]
        pictures = drawn[0][0]
    else:
        drawn = [
            draw(chart, series, WIDE, chart.height, True),
            draw(chart, series, NARROW, 310, True),
        ]
        pictures = f'<div class="wide">{drawn[0][0]}</div><div class="narrow">{drawn[1][0]}</div>'
    x = Scale.around([v for s in series for v in s.x], chart.x_kind, pad=0.0)
    same = all(s.x == series[0].x for s in series)
    numbers = {
        "boxes": [box for _, box in drawn],
        "x": [x.low, x.high, chart.x_kind == "log"],
        "label": chart.x_label,
        "digits": chart.digits,
        "signed": chart.signed,
        "at": rounded(series[0].x) if same else None,
        "series": [
            [s.label, s.css, None if same else rounded(s.x), rounded(s.y)]
            + ([rounded(s.low), rounded(s.high)] if s.low is not None else [])
            for s in series
        ],
    }
    block = data_block(f"data-{chart.name}", numbers)
    kinds = [w for w, css in ((WIDE, "wide"), (NARROW, "narrow")) if not label_room(series, w)]
    key = ""
    if kinds and not chart.half:
        key = key_of(series, "key" if len(kinds) == 2 else "key narrow")
    return (
        f'<div class="chart" id="{esc(chart.name)}">{pictures}<div class="tip" hidden></div>'
        f"{block}</div>{key}"
    )
