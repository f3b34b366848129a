"""The charts of the page: lines with bands, a forest of differences, a cloud of named points. Each is
HTML: the picture at two widths, and for a chart of lines the numbers that the read-out shows.
"""

import math
from dataclasses import dataclass

from . import svg
from .markup import data_block, esc, number
from .svg import NARROW, WIDE, Frame, Scale, fit, path, spread, text, text_width, xy

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
    """Indices of at most `most` points: of each stretch the lowest and the highest, so that no spike
    is lost; the ends stay.
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
            f'<circle class="dot {s.css}" data-s="{s.css}" cx="{xy(x(a))}" cy="{xy(y(b))}" r="2.6"/>'
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
    x = Scale.around([v for s in series for v in s.x], chart.x_kind, pad=0.0)
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
    return f'<p class="{css}">' + "".join(
        f'<span class="{s.css}" data-s="{s.css}">{swatch(s.css)}{esc(s.label)}</span> '
        for s in series
    ) + "</p>"


def swatch(css):
    """A short piece of the line, in its colour and dash."""
    return f'<svg class="swatch" aria-hidden="true" width="26" height="10"><path class="line {css}" d="M1 5H25"/></svg>'


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


@dataclass
class Row:
    """One line of a forest."""

    label: str
    css: str
    mean: float
    low: float  # NaN: no interval
    high: float
    seeds: list  # [(seed, difference)]
    note: str = ""


def forest_text(row, digits):
    if not finite(row.low):
        return number(row.mean, digits, True)
    low, high = number(row.low, digits, True), number(row.high, digits, True)
    return f"{number(row.mean, digits, True)} [{low}, {high}]"


def interval_marks(row, x, y):
    """Bar, seeds below it, square at the mean."""
    o = []
    if finite(row.low):
        a, b = xy(x(row.low)), xy(x(row.high))
        o.append(
            f'<path class="ci {row.css}" d="M{a} {xy(y)}H{b}M{a} {xy(y - 5)}v10M{b} {xy(y - 5)}v10"/>'
        )
    o += [
        f'<circle class="seed {row.css}" cx="{xy(x(v))}" cy="{xy(y + 8)}" r="2.8">'
        f"<title>seed {esc(seed)}: {number(v, 4, True)}</title></circle>"
        for seed, v in row.seeds
    ]
    o.append(f'<rect class="dot {row.css}" x="{xy(x(row.mean) - 4.5)}" y="{xy(y - 4.5)}" width="9" height="9"/>')
    return f'<g data-s="{row.css}">{"".join(o)}</g>'


def forest_axis(x, frame, margin, label, n):
    o = []
    if margin:
        a, b = x(-margin), x(margin)
        o.append(
            f'<rect class="margin" x="{xy(a)}" y="{xy(frame.top)}" width="{xy(b - a)}" '
            f'height="{xy(frame.bottom - frame.top)}"/>'
        )
    for t, _ in frame.x_ticks(x, n):
        o.append(f'<path class="grid" d="M{xy(x(t))} {xy(frame.top)}V{xy(frame.bottom)}"/>')
    o.append(f'<path class="zero" d="M{xy(x(0))} {xy(frame.top)}V{xy(frame.bottom)}"/>')
    o.append(f'<path class="axis" d="M{xy(frame.left)} {xy(frame.bottom)}H{xy(frame.right)}"/>')
    o += frame.x_axis(x, n)
    o.append(text((frame.left + frame.right) / 2, frame.bottom + 36, label, "lab", "middle"))
    return o


def forest_wide(rows, x, label, margin, digits):
    numbers = [forest_text(r, digits) for r in rows]
    right = max(map(text_width, numbers)) + 16
    left = min(max(text_width(r.label) * 1.08 for r in rows) + 14, 230)
    step = 34
    frame = Frame(WIDE, step * len(rows) + 56, left, WIDE - right, 6, step * len(rows) + 10)
    x = x.at(frame.left + 6, frame.right - 6)
    o = forest_axis(x, frame, margin, label, 6)
    for i, (r, words) in enumerate(zip(rows, numbers)):
        y = frame.top + step * (i + 0.5) - 2
        name = fit(r.label, left - 14, svg.SIZE * 1.08)
        o.append(text(left - 10, y + 4, name, f"end {r.css}", "end", f' data-s="{r.css}"'))
        o.append(interval_marks(r, x, y) + text(frame.right + 12, y + 4, words, "num"))
    return frame, o


def forest_narrow(rows, x, label, margin, digits):
    """Name and numbers above each interval, on one line where every name has room there."""
    numbers = [forest_text(r, digits) for r in rows]
    rooms = [NARROW - 30 - text_width(words) for words in numbers]
    big = svg.SIZE * 1.08
    short = all(text_width(r.label, big) <= room for r, room in zip(rows, rooms))
    step, down = (50, 0) if short else (66, 16)
    frame = Frame(NARROW, step * len(rows) + 56, 8, NARROW - 8, 4, step * len(rows) + 8)
    x = x.at(frame.left + 6, frame.right - 6)
    o = forest_axis(x, frame, margin, label, 4)
    for i, (r, words) in enumerate(zip(rows, numbers)):
        y = frame.top + step * i + 31 + down
        name = fit(r.label, NARROW - 16, big)
        o.append(text(frame.left, y - 15 - down, name, f"end {r.css}", "", f' data-s="{r.css}"'))
        o.append(text(frame.right, y - 15, words, "num", "end") + interval_marks(r, x, y))
    return frame, o


def forest_scale(rows, margin):
    """The x axis on which these rows and the margin have room."""
    values = [v for r in rows for v in (r.mean, r.low, r.high, *(d for _, d in r.seeds))]
    return Scale.around([*values, 0.0, -margin, margin])


def forest(rows, label, margin, aria, x=None, digits=4, narrow=False):
    """Differences with their intervals, one line a variant; the margin as a band round 0. x: a scale
    that several forests share. narrow: at any width.
    """
    x, found = x or forest_scale(rows, margin), []
    for css, make in (("wide", forest_wide), ("narrow", forest_narrow)):
        frame, o = make(rows, x, label, margin, digits)
        found.append(f'<div class="{css}">{frame.svg("".join(o), aria)}</div>')
    return found[1].replace(' class="narrow"', "", 1) if narrow else "".join(found)


@dataclass
class Point:
    label: str
    css: str
    x: float
    y: float
    half: float = math.nan  # of the interval of y


def name_places(points, names, x, y, frame):
    """[(x, y, anchor)] of names round their points: of some places the one that covers least of the
    other points, of their bars and of the names placed before.
    """
    taken = []
    for p in points:
        half = abs(y(p.y + p.half) - y(p.y)) if finite(p.half) else 0
        taken.append((x(p.x) - 6, x(p.x) + 6, y(p.y) - max(half, 6), y(p.y) + max(half, 6)))
    found = []
    for p, name in zip(points, names):
        a, b, w = x(p.x), y(p.y), text_width(name) * 1.08
        places = []
        for up in (4, -8, 16, -20, 28):
            places += [(a + 10, b + up, ""), (a - 10, b + up, "end")]
        boxes = [(u - w, u, v - 11, v + 3) if end else (u, u + w, v - 11, v + 3) for u, v, end in places]
        best = min(range(len(places)), key=lambda i: covered(boxes[i], taken, frame))
        taken.append(boxes[best])
        found.append(places[best])
    return found


def covered(box, taken, frame):
    """Pixels of the others that a box lies on; much more where it leaves the frame."""
    left, right, top, bottom = box
    out = max(0, frame.left - left) + max(0, right - frame.w) + max(0, frame.top - 8 - top)
    area = 1e4 * (out + max(0, bottom - frame.bottom))
    for a, b, c, d in taken:
        area += max(0, min(right, b) - max(left, a)) * max(0, min(bottom, d) - max(top, c))
    return area


def cloud(name, points, x_label, y_label, aria, x_kind="linear"):
    """Named points with an interval of y; "" without any."""
    points = [p for p in points if finite(p.x) and finite(p.y)]
    if not points:
        return ""
    found = []
    for css, w, h in (("wide", WIDE, 320), ("narrow", NARROW, 300)):
        ends = [p.y + k * p.half for p in points for k in (-1, 1) if finite(p.half)]
        y = Scale.around([p.y for p in points] + ends)
        frame = Frame(w, h, svg.left_room(y, 5), w - 14, 30, h - 46)
        x = Scale.around([p.x for p in points], x_kind, pad=0.12).at(frame.left, frame.right)
        y = y.at(frame.bottom, frame.top)
        o = [frame.axes(x, y, x_label, y_label, 6 if w > NARROW else 4, 5)]
        names = [fit(p.label, w * 0.45, svg.SIZE * 1.08) for p in points]
        places = name_places(points, names, x, y, frame)
        for p, words, (tx, ty, anchor) in zip(points, names, places):
            a = xy(x(p.x))
            if finite(p.half):
                o.append(f'<path class="ci {p.css}" d="M{a} {xy(y(p.y - p.half))}V{xy(y(p.y + p.half))}"/>')
            o.append(f'<circle class="dot {p.css}" cx="{a}" cy="{xy(y(p.y))}" r="4.5"/>')
            o.append(text(tx, ty, words, f"end {p.css}", anchor, f' data-s="{p.css}"'))
        found.append(f'<div class="{css}">{frame.svg("".join(o), aria)}</div>')
    return f'<div class="chart-plain" id="{esc(name)}">{"".join(found)}</div>'
