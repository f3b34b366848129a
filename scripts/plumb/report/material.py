"""What every section of the page looks at: the runs, their comparison, and the colour and the name
of each of its rows.
"""

import math
from dataclasses import dataclass, field

from ..figures import style
from ..figures.caption import tokens_text
from ..reading.files import printable
from ..reading.runs import point_words

MOST_LINES = 16  # of a chart
FOLDED = 2_000_000  # characters that the charts of further families may take on a page
ALL_LOOKS = [*style.LOOKS.values(), *style.FURTHER]  # s0, s1, ... of style.css


@dataclass
class Family:
    """Rows that are compared with one baseline: all of one size, say."""

    title: str  # what the rows have in common; "" where there is only one family
    rows: list  # of a comparison, the baseline first
    base: object  # the baseline's row, or None

    @property
    def groups(self):
        """{label: finished runs} of the rows that charts show: all that have some, or where there
        are more than MOST_LINES the baseline and those that differ most from it.
        """
        rows = [row for row in self.rows if finished(row)]
        if len(rows) > MOST_LINES:
            far = sorted(rows, key=lambda r: (not r.is_baseline, -size(r.difference)))
            rows = [row for row in rows if any(row is f for f in far[:MOST_LINES])]
        return {row.label: finished(row) for row in rows}

    @property
    def hidden(self):
        """How many rows with finished runs charts do not show."""
        return sum(bool(finished(row)) for row in self.rows) - len(self.groups)


def size(difference):
    return abs(difference) if math.isfinite(difference) else 0.0


def finished(row):
    return [run for run in row.runs if run.status == "finished"]


def common_point(rows):
    """Settings of the point that all rows have alike."""
    first = rows[0].point
    return {k: v for k, v in first.items() if all(r.point.get(k) == v for r in rows)}


def families_of(rows):
    """[Family] in the order of the comparison; rows without a baseline that are none's baseline
    make one of their own.
    """
    by_base = {}
    for row in rows:
        by_base.setdefault(row.label if row.is_baseline else row.baseline or "", []).append(row)
    found = []
    for members in by_base.values():
        base = next((r for r in members if r.is_baseline), None)
        title = ", ".join(point_words(common_point(members))) if len(by_base) > 1 else ""
        found.append(Family(title, members, base))
    return found


@dataclass
class Material:
    runs: object  # plumb.load
    comparison: object  # plumb.compare
    title: str
    source: str  # the folder, as it was typed
    experiment: object  # what the figures take
    families: list = field(default_factory=list)
    names: dict = field(default_factory=dict)  # label -> short name inside its family
    css: dict = field(default_factory=dict)  # label -> s0, s1, ...
    room: int = 0  # characters left for the charts of further families
    tables: dict = field(default_factory=dict)  # file name -> (header, rows): numbers of the charts

    @property
    def rows(self):
        return self.comparison.rows

    @property
    def many(self):
        """Whether there is more than one family."""
        return len(self.families) > 1

    @property
    def main(self):
        """The family that is shown where one must do: the last that has finished runs, the largest
        of a grid of sizes.
        """
        return next((f for f in reversed(self.families) if f.groups), self.families[-1])

    def variants(self):
        """{name: css}, in order: what the key of the page shows."""
        return {self.names[row.label]: self.css[row.label] for row in self.rows}


def short_names(families):
    """{label: name}: the label less what its whole family has in common."""
    found = {}
    for family in families:
        common = common_point(family.rows) if len(families) > 1 else {}
        for row in family.rows:
            own = point_words({k: v for k, v in row.point.items() if k not in common})
            plain = len(families) == 1 or not row.point
            found[row.label] = printable(row.label if plain else " ".join([row.variant, *own]))
    return found


def colours(rows, names):
    """{label: class}: one name has one colour, a mixer's own where it is free."""
    kinds = {}
    for row in rows:
        kinds.setdefault(names[row.label], row.runs or [])
    looks = style.looks({name: runs or [_NoRun] for name, runs in kinds.items()})
    css = {name: f"s{ALL_LOOKS.index(look)}" for name, look in looks.items()}
    return {row.label: css[names[row.label]] for row in rows}


class _NoRun:
    mixer = ""


def gather(runs, comparison, title, source, experiment):
    families = families_of(comparison.rows)
    names = short_names(families)
    css = colours(comparison.rows, names)
    return Material(runs, comparison, title, source, experiment, families, names, css, FOLDED)


def seeds_and_tokens(groups):
    """`5 seeds, 1.02 M tokens` of label -> runs, ranges where they differ."""
    counts = sorted({len(runs) for runs in groups.values()})
    tokens = sorted({r.tokens for runs in groups.values() for r in runs if r.tokens == r.tokens})
    words = f"{span(counts)} {seed_word(counts[-1])}"
    return words + (f", {span(list(map(tokens_text, tokens)))}" if tokens else "")


def seed_word(n):
    return "seed" if n == 1 else "seeds"


def span(values):
    return f"{values[0]} to {values[-1]}" if len(values) > 1 else f"{values[0]}" if values else "0"
