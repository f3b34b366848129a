"""A comparison for the terminal: tables where they fit, a paragraph per row where they do not."""

import math
import textwrap

from ..reading.files import printable
from ..reading.runs import point_words
from .columns import between, explanations, number, p_text, signed, table, with_half
from .curves import HEADINGS


def grid(titles, lefts, rows):
    """Lines of a table."""
    lines = [titles, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    return [
        "  ".join(
            c.ljust(w) if left else c.rjust(w) for c, w, left in zip(line, widths, lefts)
        ).rstrip()
        for line in lines
    ]


def stacked(titles, rows, width):
    """The same with every row as a paragraph: its name, then `title value` pairs."""
    lines = []
    for row in rows:
        lines += textwrap.wrap(row[0], width, break_on_hyphens=False)
        pairs = []
        for title, value in zip(titles[1:], row[1:]):
            if value and value != "-":
                pairs.append(value if title in ("verdict", "") else f"{title} {value}")
        lines += flow(pairs, width)
    return lines


def flow(pairs, width, indent="  "):
    """Pairs side by side where they fit; one that does not fit at all is broken at its spaces."""
    lines = []
    for pair in pairs:
        if lines and len(lines[-1]) + 2 + len(pair) <= width:
            lines[-1] += "  " + pair
        else:
            lines += textwrap.wrap(
                pair, width, initial_indent=indent, subsequent_indent=indent * 2,
                break_on_hyphens=False,
            )  # fmt: skip
    return lines


def fitted(titles, lefts, rows, width):
    rows = [[printable(cell) for cell in row] for row in rows]
    lines = grid(titles, lefts, rows)
    return lines if max(map(len, lines)) <= width else stacked(titles, rows, width)


def paragraph(name, words, width):
    return textwrap.wrap(
        f"{name}{words}", width, subsequent_indent="  ", break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def overall_lines(c, width):
    rows = [
        [
            r.label, str(r.n_pairs), signed(r.difference) + between(r.low, r.high),
            p_text(r.p_adjusted), r.verdict_text,
        ]
        for r in c.overall
        if not r.is_baseline
    ]  # fmt: skip
    if not rows:
        return []
    titles = ["over all points", "points", "difference", "p (Holm)", "verdict"]
    return ["", *fitted(titles, [True, False, False, False, True], rows, width)]


def ratio_text(row):
    if math.isnan(row.ratio):
        return f"{row.reached} of {row.of} seeds get there"
    ends = "" if math.isnan(row.low) else f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{row.ratio:.3f}x{ends}"


def curve_lines(c, width):
    """Ratios to the baseline, one row a variant; steps only where they are not the tokens'."""
    found = {}
    for row in c.curves:
        found.setdefault(row.label, {})[row.measure] = row
    if not found:
        return []
    measures = [m for m in HEADINGS if any(m in by for by in found.values())]
    if all(close(by["tokens"].ratio, by["steps"].ratio) for by in found.values() if "steps" in by):
        measures = [m for m in measures if m != "steps"]
    rows = []
    for label, by in found.items():
        target = next((r.target for r in by.values() if math.isfinite(r.target)), math.nan)
        ratios = [ratio_text(by[m]) if m in by else "-" for m in measures]
        rows.append([label, number(target), *ratios])
    titles = ["curves", "to loss", *(HEADINGS[m] for m in measures)]
    head = (
        "curves, as ratios to the baseline (exploratory): what it costs to reach the loss that "
        "every seed of the baseline reaches, and the mean loss over the logarithm of the tokens"
    )
    lines = fitted(titles, [True] + [False] * (len(titles) - 1), rows, width)
    return ["", *paragraph("", head, width), *lines]


def close(a, b):
    return a == b or math.isnan(a) and math.isnan(b) or abs(a / b - 1) < 1e-9


def scaling_lines(c, width):
    if not c.scaling:
        return []
    rows = []
    for s in c.scaling:
        ends = "" if math.isnan(s.low) else f" [{s.low:.2f}, {s.high:.2f}]"
        m = "-" if math.isnan(s.multiplier) else f"{s.multiplier:.3f}x{ends}"
        law = "-" if math.isnan(s.exponent) else f"{number(s.A, 3)} C^{-s.exponent:.4f}"
        rows.append([s.variant, str(s.n_sizes), law, s.E, m, s.note])
    titles = ["scaling", "sizes", "L =", "E", "compute multiplier", ""]
    return ["", *fitted(titles, [True, False, True, True, True, True], rows, width)]


def tuning_lines(c, width):
    if not c.tuning:
        return []
    rows = []
    for t in c.tuning:
        words = [f"{t.n_diverged} diverged"] if t.n_diverged else []
        words += [f"{t.n_culled} culled"] if t.n_culled else []
        words += ["chosen"] if t.chosen else []
        words += [f"the {t.edge} tried"] if t.edge else []
        rows.append(
            [
                t.label,
                " ".join(point_words(t.values)),
                str(t.n),
                with_half(t.mean, t.half),
                ", ".join(words),
            ]
        )
    titles = ["first stage", "", "n", "loss", ""]
    return ["", *fitted(titles, [True, True, False, False, True], rows, width)]


def secondary_lines(c, width):
    rows = [
        [
            f"{r.label}: {r.metric}",
            number(r.mean),
            signed(r.difference) + between(r.low, r.high),
            p_text(r.p_adjusted),
        ]
        for r in c.secondary
        if r.baseline
    ]
    if not rows:
        return []
    titles = ["exploratory", "mean", "difference", "q (BH)"]
    return ["", *fitted(titles, [True, False, False, False], rows, width)]


def text(c, width=80):
    lines = paragraph("", c.hypothesis, width) if c.hypothesis else []
    lines += paragraph("", c.headline, width)
    lines += paragraph("made by ", c.made_by, width) if c.made_by else []
    lines += [""] + fitted(*table(c), width) + [""]
    if c.matched:
        lines += paragraph("", c.matched, width)
    if c.pairing:
        lines += paragraph("pairing: ", c.pairing, width)
    lines += [line for e in explanations(c) for line in paragraph("", e, width)]
    for part in (overall_lines, curve_lines, scaling_lines, tuning_lines, secondary_lines):
        lines += part(c, width)
    tail = [line for w in c.warnings for line in paragraph("warning: ", w, width)]
    tail += [line for n in c.notes for line in paragraph("note: ", n, width)]
    tail += [line for x in c.left_out_told for line in paragraph("left out: ", x, width)]
    return "\n".join(lines + ([""] + tail if tail else []))
