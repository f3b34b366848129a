"""A forest of differences with their intervals, and a cloud of named points, as HTML."""

import math
from dataclasses import dataclass

from . import svg
from .charts import finite
from .markup import esc, number
from .svg import NARROW, WIDE, Frame, Scale, fit, text, text_width, xy


@dataclass
class Row:
    """One line of a forest."""

    label: str
    css: str
    mean: float
    low: float  # NaN: no interval
    high: float
    seeds: list  # [(seed, difference)]
    signed: bool = True  # a difference


def forest_text(row, digits):
    mean, low, high = (number(v, digits, row.signed) for v in (row.mean, row.low, row.high))
    return f"{mean} [{low}, {high}]" if finite(row.low) else mean


def interval_marks(row, x, y):
    """Bar, seeds below it, square at the mean."""
    o = []
    if finite(row.low):
        a, b = xy(x(row.low)), xy(x(row.high))
        o.append(
            f'<path class="ci {row.css}" '
            f'd="M{a} {xy(y)}H{b}M{a} {xy(y - 5)}v10M{b} {xy(y - 5)}v10"/>'
        )
    o += [
        f'<circle class="seed {row.css}" cx="{xy(x(v))}" cy="{xy(y + 8)}" r="2.8">'
        f"<title>seed {esc(seed)}: {number(v, 4, row.signed)}</title></circle>"
        for seed, v in row.seeds
    ]
    a = xy(x(row.mean) - 4.5)
    o.append(f'<rect class="dot {row.css}" x="{a}" y="{xy(y - 4.5)}" width="9" height="9"/>')
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
    if x.low <= 0 <= x.high:
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
    """Name and numbers above each interval, on one line where there is room."""
    numbers = [forest_text(r, digits) for r in rows]
    rooms = [NARROW - 30 - text_width(words) for words in numbers]
    big = svg.SIZE * 1.08
    downs = [0 if text_width(r.label, big) <= room else 16 for r, room in zip(rows, rooms)]
    height = sum(50 + down for down in downs)
    frame = Frame(NARROW, height + 56, 8, NARROW - 8, 4, height + 8)
    x = x.at(frame.left + 6, frame.right - 6)
    o = forest_axis(x, frame, margin, label, 4)
    y = frame.top - 19
    for r, words, down in zip(rows, numbers, downs):
        y += 50 + down
        name = fit(r.label, NARROW - 16, big)
        o.append(text(frame.left, y - 15 - down, name, f"end {r.css}", "", f' data-s="{r.css}"'))
        o.append(text(frame.right, y - 15, words, "num", "end") + interval_marks(r, x, y))
    return frame, o


def forest_scale(rows, margin):
    """The x axis on which these rows have room, of differences also 0 and the margin."""
    values = [v for r in rows for v in (r.mean, r.low, r.high, *(d for _, d in r.seeds))]
    return Scale.around([*values, 0.0, -margin, margin] if any(r.signed for r in rows) else values)


def forest(rows, label, margin, aria, x=None, digits=4, narrow=False):
    """Differences with their intervals, one line a variant; the margin as a band round 0. x: a
    scale that several forests share. narrow: at any width.
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
        boxes = [
            (u - w, u, v - 11, v + 3) if end else (u, u + w, v - 11, v + 3) for u, v, end in places
        ]
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
                ends = f"M{a} {xy(y(p.y - p.half))}V{xy(y(p.y + p.half))}"
                o.append(f'<path class="ci {p.css}" d="{ends}"/>')
            o.append(f'<circle class="dot {p.css}" cx="{a}" cy="{xy(y(p.y))}" r="4.5"/>')
            o.append(text(tx, ty, words, f"end {p.css}", anchor, f' data-s="{p.css}"'))
        found.append(f'<div class="{css}">{frame.svg("".join(o), aria)}</div>')
    return f'<div class="chart-plain" id="{esc(name)}">{"".join(found)}</div>'
