"""A comparison as JSON, CSV, Markdown and LaTeX, and as a table for notebooks."""

import csv
import dataclasses
import io
import math

import numpy as np

from ..reading.files import printable
from ..reading.frames import frame
from ..wording import in_markdown
from .columns import explanations, table

HIDDEN = ("runs", "cell", "values", "differences", "point", "tuned", "notes", "more_seeds")
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def plain(value):
    """What JSON can hold: null for numbers that are none."""
    if dataclasses.is_dataclass(value):
        fields = (f.name for f in dataclasses.fields(value) if f.name not in ("runs", "cell"))
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


TEXTS = ("hypothesis", "headline", "metric", "metric_name", "unit", "baseline", "margin", "looks",
         "level", "alpha", "exploratory", "family", "matched", "made_by", "pairing")  # fmt: skip
LISTS = (
    "rows",
    "overall",
    "curves",
    "scaling",
    "tuning",
    "secondary",
    "warnings",
    "notes",
    "left_out",
)


def as_dict(c):
    return {"schema": 1, **{name: plain(getattr(c, name)) for name in TEXTS + LISTS}}


def flat_rows(c):
    """(columns, [{column: value}])"""
    keys = list(dict.fromkeys(k for r in c.rows for k in (*r.point, *r.tuned)))
    names = (
        [f.name for f in dataclasses.fields(c.rows[0]) if f.name not in HIDDEN] if c.rows else []
    )
    names = [n for n in names if n != "variant"]
    columns = ["variant", *keys, *names, "more_seeds_low", "more_seeds_high", "notes"]
    rows = []
    for r in c.rows:
        row = {"variant": r.variant, **r.point, **r.tuned, **{n: getattr(r, n) for n in names}}
        low, high = r.more_seeds or (math.nan, math.nan)
        row.update(more_seeds_low=low, more_seeds_high=high, notes="; ".join(r.notes))
        rows.append(row)
    return columns, rows


def frame_of(c):
    return frame(*flat_rows(c))


def csv_text(c):
    """Numbers in full, empty where there is none; texts on one line."""
    columns, rows = flat_rows(c)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [plain(row.get(k)) for k in columns]
        writer.writerow([printable(x) if isinstance(x, str) else x for x in cells])
    return out.getvalue()


def markdown(c):
    titles, lefts, rows = table(c)
    lines = [[in_markdown(x) for x in line] for line in (titles, *rows)]
    lines.insert(1, ["---" if left else "---:" for left in lefts])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    above = [in_markdown(x) for x in (c.hypothesis, c.headline) if x]
    below = [c.made_by and f"made by {c.made_by}", c.matched, c.pairing and f"pairing: {c.pairing}"]
    below += (
        explanations(c) + [f"warning: {w}" for w in c.warnings] + [f"note: {n}" for n in c.notes]
    )
    below += [f"left out: {line}" for line in c.left_out_told]
    tail = "".join(f"- {in_markdown(line)}\n" for line in below if line)
    return "\n\n".join(above) + f"\n\n{body}\n\n{tail}"


def in_latex(text):
    return "".join(LATEX.get(c, c) for c in text)


def latex(c):
    """A tabular of booktabs, with what it shows as comments above it."""
    titles, lefts, rows = table(c)
    comments = [c.hypothesis, c.headline, c.made_by and f"made by {c.made_by}", c.matched]
    comments += [f"warning: {w}" for w in c.warnings]
    lines = [f"% {line}" for line in comments if line]
    lines += [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{" + "".join("l" if left else "r" for left in lefts) + "}",
        r"\toprule",
        " & ".join(map(in_latex, titles)) + r" \\",
        r"\midrule",
        *(" & ".join(map(signs, map(in_latex, row))) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def signs(text):
    """A leading minus as a minus and not as a hyphen, in `-0.03 [-0.04, -0.02]` too."""
    words = []
    for word in text.split(" "):
        head, rest = (word[:1], word[1:]) if word[:1] == "[" else ("", word)
        minus = rest[:1] == "-" and rest[1:2].isdigit()
        words.append(head + ("$-$" + rest[1:] if minus else rest))
    return " ".join(words)
