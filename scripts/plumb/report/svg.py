"""Static SVG, readable without scripts: scales, ticks, the frame of a chart.

A chart that is one picture scaled to the window has six-pixel text on a phone, so each is drawn at
two widths, WIDE and NARROW, and the page's style shows one of them. Colours are classes: the style
gives each its value for light, dark and paper.
"""

import math
import unicodedata
from dataclasses import dataclass, replace

from .markup import esc

WIDE, NARROW = 720, 360
SIZE = 12  # px of the text
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _em(c):
    if unicodedata.east_asian_width(c) in "WF" or c in "mwMW@%":
        return 1.0
    return 0.38 if c in "iljI.,:;'|!() []" else 0.66


def text_width(text, size=SIZE):
    """About what a text takes, rather more than less: DejaVu Sans is the widest of the usual."""
    return size * sum(map(_em, text))


def fit(text, width, size=SIZE):
    """The text, or its ends with `…` between them, so that it takes at most `width`."""
    if text_width(text, size) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        short = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
        if text_width(short, size) <= width:
            return short
    return "…"


def xy(v):
    """A coordinate, to a tenth of a pixel."""
    return f"{v:.1f}".removesuffix(".0")


def path(points):
    return "M" + "L".join(f"{xy(x)} {xy(y)}" for x, y in points)


def tick_text(v):
    """3, 0.02, −0.5, 2·10⁻⁵."""
    if v == 0 or 1e-3 <= abs(v) < 1e5:
        return f"{v:g}".replace("-", "\N{MINUS SIGN}")
    digits, power = f"{v:.1e}".split("e")
    power = str(int(power)).translate(SUPERSCRIPT)
    front = f"{float(digits):g}".replace("-", "\N{MINUS SIGN}")
    return f"10{power}" if front == "1" else f"{front}·10{power}"


def linear_ticks(low, high, n):
    """About n round numbers between low and high."""
    step = 10.0 ** math.floor(math.log10((high - low) / n))
    step *= min((1, 2, 5, 10), key=lambda k: abs((high - low) / (step * k) - n))
    first = math.ceil(low / step - 1e-9)
    count = int(high / step + 1e-9) - first + 1
    return [float(f"{(first + i) * step:.10g}") for i in range(max(count, 0))]


def log_ticks(low, high, n):
    """Round numbers of a positive range: 1, 2, 5 of each decade, or powers of ten alone."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    best = []
    for parts in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,)):
        best = [p * 10.0**d for d in decades for p in parts if low <= p * 10.0**d <= high]
        if len(best) <= n + 1:
            break
    while len(best) > n + 1:
        best = best[::2]
    return [float(f"{t:.6g}") for t in best] if len(best) > 1 else linear_ticks(low, high, n)


@dataclass
class Scale:
    """Numbers -> pixels. kind: linear, log, or symlog, which is linear between -knee and knee."""

    low: float
    high: float
    start: float = 0.0  # pixel of low
    end: float = 1.0
    kind: str = "linear"
    knee: float = 1.0
    whole: bool = False  # of things that are counted: no tick between two of them

    @staticmethod
    def around(values, kind="linear", knee=1.0, pad=0.04):
        """From the smallest to the largest finite one, and some room."""
        values = [v for v in values if v is not None and math.isfinite(v)]
        if kind == "log":
            values = [v for v in values if v > 0]
        s = Scale(min(values, default=1.0), max(values, default=2.0), kind=kind, knee=knee)
        a, b = s.place(s.low), s.place(s.high)
        room = pad * (b - a) if b > a else 0.1 * abs(b) or 0.5
        return Scale(s.value(a - room), s.value(b + room), kind=kind, knee=knee)

    def place(self, v):
        if self.kind == "log":
            return math.log10(max(v, 1e-300))
        return math.asinh(v / self.knee) if self.kind == "symlog" else v

    def value(self, p):
        if self.kind == "log":
            return 10.0**p
        return math.sinh(p) * self.knee if self.kind == "symlog" else p

    def at(self, start, end):
        return replace(self, start=start, end=end)

    def __call__(self, v):
        """Pixel of v, kept inside the frame."""
        a, b = self.place(self.low), self.place(self.high)
        part = (self.place(v) - a) / (b - a)
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)

    def ticks(self, n):
        if self.kind == "log":
            return log_ticks(self.low, self.high, n)
        if self.kind == "symlog":
            ends = [t for t in log_ticks(self.knee, max(abs(self.low), abs(self.high)), 3)]
            both = [-t for t in reversed(ends)] + [0.0] + ends
            return [t for t in both if self.low <= t <= self.high]
        found = linear_ticks(self.low, self.high, n)
        return [t for t in found if t.is_integer()] if self.whole else found


def text(x, y, words, css, anchor="", extra=""):
    anchor = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{css}" x="{xy(x)}" y="{xy(y)}"{anchor}{extra}>{esc(words)}</text>'


def spread(places, gap, low, high):
    """Heights near the wanted ones, at least `gap` apart, inside low..high if they fit."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    y = [places[i] for i in order]
    for i in range(1, len(y)):
        y[i] = max(y[i], y[i - 1] + gap)
    if y and y[-1] > high:
        y[-1] = high
        for i in range(len(y) - 2, -1, -1):
            y[i] = min(y[i], y[i + 1] - gap)
    if y and y[0] < low:  # too many to fit: they run past the end
        y[0] = low
        for i in range(1, len(y)):
            y[i] = max(y[i], y[i - 1] + gap)
    found = [0.0] * len(places)
    for i, v in zip(order, y):
        found[i] = v
    return found


@dataclass
class Frame:
    """The box in which a chart of width w draws: left, right, top and bottom pixels."""

    w: int
    h: int
    left: float
    right: float
    top: float
    bottom: float

    def axes(self, x, y, x_label, y_label, n_x, n_y):
        """Grid, ticks and labels. The y axis has its label above it, where no tick can touch it."""
        o = [text(0, self.top - 12, y_label, "lab")]
        for t in y_ticks(y, n_y):
            o.append(f'<path class="grid" d="M{xy(self.left)} {xy(y(t))}H{xy(self.right)}"/>')
            o.append(text(self.left - 7, y(t) + 4, tick_text(t), "tick", "end"))
        o.append(
            f'<path class="axis" d="M{xy(self.left)} {xy(self.top)}V{xy(self.bottom)}'
            f'H{xy(self.right)}"/>'
        )
        o += self.x_axis(x, n_x)
        middle = (self.left + self.right) / 2
        o.append(text(middle, self.bottom + 36, x_label, "lab", "middle"))
        return "".join(o)

    def x_axis(self, x, n):
        """Numbers below the frame."""
        o = []
        for value, words in self.x_ticks(x, n):
            o.append(f'<path class="axis" d="M{xy(x(value))} {xy(self.bottom)}v4"/>')
            inside = min(x(value), self.w - text_width(words) / 2)
            o.append(text(inside, self.bottom + 18, words, "tick", "middle"))
        return o

    def x_ticks(self, x, n):
        """[(value, text)] of about n numbers, or of as many as have room beside each other."""
        for wanted in range(n, 1, -1):
            found = [(t, tick_text(t)) for t in x.ticks(wanted)]
            ends = [(x(t) - text_width(w) / 2, x(t) + text_width(w) / 2) for t, w in found]
            if all(b[0] >= a[1] + 6 for a, b in zip(ends, ends[1:])):
                return found
        return found[:: max(1, len(found) - 1)]

    def svg(self, body, label):
        """role=img: a reader of screens hears the label, the table beside it has the numbers."""
        return (
            f'<svg viewBox="0 0 {self.w} {self.h}" width="{self.w}" height="{self.h}" role="img" '
            f'aria-label="{esc(label)}" class="fig">{body}</svg>'
        )


def y_ticks(y, n):
    """About n numbers, at least a line of text apart; 0 is the last to go."""
    kept = []
    for t in sorted(y.ticks(n), key=abs):
        if all(abs(y(t) - y(k)) >= SIZE + 2 for k in kept):
            kept.append(t)
    return sorted(kept)


def left_room(y, n):
    """Pixels that the widest tick of the y axis takes, and some."""
    return max((text_width(tick_text(t)) for t in y.ticks(n)), default=20) + 10
