"""The top of the page: the answer in one sentence, what to beware of, the forest, the table, and
what was held equal.
"""

import math
import statistics

from ..comparison.baseline import only_baseline
from ..comparison.columns import amount
from ..reading.files import Skip
from .charts import swatch
from .intervals import Row, forest, forest_scale
from .markup import (
    capital,
    cell,
    details,
    esc,
    number,
    prose,
    question,
    row_head,
    table,
    unit,
)
from .material import finished, seed_word

VERDICT_CSS = {"better": "good", "worse": "bad", "not resolved": "open", "too few": "open"}


def counts(m):
    """`35 of 37 runs done · 1 diverged · 1 not finished · 2 of other settings (orphans) left
    alone`, of 37 that the sweep file stands for now.
    """
    planned = [run for run in m.runs.all if run.stage == "main"]
    every = [run for run in planned if run.status != "orphan"]
    done = sum(run.status == "finished" for run in every)
    words = [f"{done} of {len(every)} runs done"]
    for name, status in (("diverged", "diverged"), ("stopped early", "culled")):
        n = sum(run.status == status for run in every)
        words += [f"{n} {name}"] if n else []
    n = sum(run.status not in ("finished", "diverged", "culled") for run in every)
    words += [f"{n} not finished"] if n else []
    n = len(planned) - len(every)
    return " · ".join(words + ([f"{n} of other settings (orphans) left alone"] if n else []))


def header(m):
    asked = m.runs.sweep.hypothesis if m.runs.sweep else ""
    more = asked.removeprefix(m.title).strip()
    body = f'<p class="lead">{question(more)}</p>' if more else ""
    return (
        f'<header><p class="kicker">plumb report · {esc(m.source)} · {esc(counts(m))}</p>'
        f'<h1>{question(m.title)}</h1>{body}<p class="answer">{prose(sentence(m))}</p></header>'
    )


SAID = (  # verdict, what is said of one and of several
    ("better", "is better than {base}", "are better than {base}"),
    ("worse", "is worse than {base}", "are worse than {base}"),
    ("same", "is the same as {base} within {margin:g}", "are the same as {base} within {margin:g}"),
    ("identical", "is identical to {base}", "are identical to {base}"),
    ("no worse", "is no worse than {base} by {margin:g}", "are no worse than {base} by {margin:g}"),
    ("not resolved", "is not resolved", "are not resolved"),
    ("too few", "has too few pairs to say", "have too few pairs to say"),
    ("interim", "is not at a planned look yet", "are not at a planned look yet"),
    ("exploratory", "is explored, not tested", "are explored, not tested"),
)
SHOWN = 3  # variants of one verdict that the sentence names


def named(row, name, unit):
    """A variant and its difference."""
    if not math.isfinite(row.difference) or row.verdict in ("not resolved", "too few", "interim"):
        return name
    words = f"{number(row.difference, 4, True)} {unit}".strip()
    if math.isfinite(row.low):
        words += f", {number(row.low, 4, True)} to {number(row.high, 4, True)}"
    return f"{name} ({words})"


def listed(words):
    if len(words) > SHOWN:
        words = [*words[:SHOWN], f"{len(words) - SHOWN} more"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"


def said_of(rows, m, base):
    """`attnres (−0.044 nats, ...) is better than standard; hyper and mhc are not resolved`."""
    parts = []
    for verdict, one, several in SAID:
        found = [r for r in rows if r.verdict == verdict]
        found.sort(key=lambda r: -abs(r.difference) if math.isfinite(r.difference) else 0)
        if found:
            words = listed(
                [named(r, m.names.get(r.label, r.label), m.comparison.unit) for r in found]
            )
            form = one if len(found) == 1 else several
            parts.append(f"{words} {form.format(base=base, margin=m.comparison.margin or 0)}")
    return "; ".join(parts)


def alone(m, rows):
    """Of a sweep in which nothing is compared, over learning rates of one variant say."""
    c = m.comparison
    said = f"No variant shares a seed with the baseline {c.baseline}: nothing is compared."
    if only_baseline(rows, c.question):
        said = f"All are the baseline {c.baseline}: nothing is compared."
    if not rows:
        return said
    rows = sorted(rows, key=lambda r: r.mean if c.question.less_is_better else -r.mean)
    words = "; ".join(spread(r, c.unit) for r in rows[:SHOWN])
    way = "Lowest" if c.question.less_is_better else "Highest"
    first = f"{way} {c.metric_name}" if len(rows) > SHOWN else c.metric_name
    return f"{capital(first).rstrip('.')}: {words}. {said}"


def spread(row, unit):
    """`standard layers=12 1.5463 ±0.0151 nats, standard deviation 0.0163 (7 seeds)`."""
    words = f"{row.label} {number(row.mean)}"
    if math.isfinite(row.half):
        sd = statistics.stdev(row.values.values())
        words += f" ±{number(row.half)} {unit}, standard deviation {sd:.2g}"
    return f"{words} ({row.n} {seed_word(row.n)})"


def answers(m):
    """[(where, what is said there)]: over all points of a grid where they are enough to test, else
    of each family, or of the main one of many.
    """
    c = m.comparison
    tested = [r for r in c.overall if not r.is_baseline]
    if any(r.verdict != "too few" for r in tested):
        points = max(r.n for r in tested)
        return [(f"over {points} points of the grid", said_of(tested, m, c.baseline))]
    families = m.families if len(m.families) <= SHOWN else [m.main]
    found = [
        (
            f"at {f.title}" if f.title else "",
            said_of([r for r in f.rows if r is not f.base], m, c.baseline),
        )
        for f in families
    ]
    return [(where, said) for where, said in found if said]


def sentence(m):
    """The answer."""
    if not any(finished(r) for r in m.rows):
        return "No run has finished yet."
    found = answers(m)
    if not found:
        return alone(m, [r for r in m.rows if math.isfinite(r.mean)])
    seeds = [r.n for r in m.rows if r.n]
    count = f"{min(seeds)} to {max(seeds)}" if min(seeds) != max(seeds) else str(max(seeds))
    (where, words), *others = found
    first = f"With {count} {seed_word(max(seeds))}{', ' + where if where else ''}: {words}"
    more = "".join(f". A{where[1:]}: {words}" for where, words in others)  # At ...
    return f"{first}{more} ({m.comparison.metric_name})."


def warnings(m):
    return "".join(
        f'<p class="warn" role="note">{prose(capital(words))}</p>'
        for words in m.comparison.warnings
    )


def forest_rows(m, family):
    return [
        Row(
            m.names[row.label],
            m.css[row.label],
            row.difference,
            row.low,
            row.high,
            seeds_of(row.differences),
        )
        for row in family.rows
        if not row.is_baseline and math.isfinite(row.difference)
    ]


def forest_of(m, family, x):
    """HTML, "" where nothing has a difference; x: the axis that all families share."""
    rows = forest_rows(m, family)
    if not rows:
        return ""
    base, c = m.names[family.base.label], m.comparison
    side = "left" if c.question.less_is_better else "right"
    label = f"minus {base}, {c.unit or c.metric_name}; {side} is better"
    told = "; ".join(
        f"{r.label} {number(r.mean, 4, True)}, from {number(r.low, 4, True)} to "
        f"{number(r.high, 4, True)}"
        for r in rows
    )
    aria = f"Forest plot: {c.metric_name} minus {base}. {told}"
    drawn = f'<div class="forest">{forest(rows, label, c.margin or 0, aria, x)}</div>'
    return unit(family.title, drawn, "")


def alone_forest(m):
    """The values themselves, where nothing is compared."""
    rows = [
        Row(
            r.label,
            m.css[r.label],
            r.mean,
            r.mean - r.half,
            r.mean + r.half,
            seeds_of(r.values),
            False,
        )
        for r in m.rows
        if math.isfinite(r.mean)
    ]
    if not rows:
        return ""
    c = m.comparison
    label = f"{c.metric_name}, {c.unit}" if c.unit else c.metric_name
    told = "; ".join(f"{r.label} {number(r.mean)}" for r in rows)
    aria = f"{c.metric_name}: {told}"
    note = f"Square and bar: mean and {100 * c.level:g}&nbsp;% t interval; dots below: seeds."
    return unit("", f'<div class="forest">{forest(rows, label, 0, aria)}</div>', note)


def seeds_of(values):
    return sorted(values.items(), key=lambda item: str(item[0]))


def forests(m):
    """Of every family, on one axis."""
    rows = [r for f in m.families for r in forest_rows(m, f)]
    if not rows:
        return alone_forest(m)
    x = forest_scale(rows, m.comparison.margin or 0)
    return "".join(forest_of(m, family, x) for family in m.families) + forest_caption(m)


def forest_caption(m):
    c = m.comparison
    words = [
        f"{c.metric_name[:1].upper()}{c.metric_name[1:]} minus the baseline's, paired by seed.",
        f"Square and bar: mean and {100 * c.level:g} % t interval; dots below: seeds.",
    ]
    if c.margin:
        words.append(f"Grey band: differences within {c.margin:g}, which do not matter.")
    return f'<p class="caption">{prose(" ".join(words))}</p>'


def loss_cell(row):
    half = f" <small>±{number(row.half)}</small>" if math.isfinite(row.half) else ""
    return cell(f"{number(row.mean)}{half}", row.mean, True, "num")


def difference_cell(row):
    if not math.isfinite(row.difference):
        return cell("–", math.nan, True, "num")
    words = number(row.difference, 4, True)
    if math.isfinite(row.low):
        words += f" <small>[{number(row.low, 4, True)}, {number(row.high, 4, True)}]</small>"
    return cell(words, row.difference, True, "num")


def p_cell(p):
    words = "–" if math.isnan(p) else "&lt;0.0001" if p < 1e-4 else f"{p:.4f}"
    return cell(words, p, True, "num")


def verdict_cell(row):
    css = VERDICT_CSS.get(row.verdict, "")
    notes = "".join(f"<br><small>{esc(n)}</small>" for n in row.notes)
    return cell(f'<span class="{css}">{esc(row.verdict_text)}</span>{notes}', kind="words")


def cost_cells(row):
    change = row.params_change
    more = ""
    if not row.is_baseline and math.isfinite(change):
        more = f" <small>{100 * change:+.1f}&nbsp;%</small>"
    known = f"{row.speed:.2f}×" if math.isfinite(row.speed) else "–"
    speed = "1×" if row.is_baseline else known
    return [
        cell(amount(row.params) + more.replace("-", "\N{MINUS SIGN}"), row.params, True, "num"),
        cell(speed, row.speed, True, "num"),
    ]


def results(m):
    c = m.comparison
    bases = {m.names[f.base.label] for f in m.families if f.base}
    minus = f"minus {bases.pop()}" if len(bases) == 1 else "minus baseline"
    head = ["variant", "n", "loss" if c.question.less_is_better else c.metric_name, minus]
    head += ["p, adjusted", "verdict", "parameters", "speed"]
    where = ["at"] if m.many else []
    rows = []
    for family in m.families:
        for row in family.rows:
            at = [cell(esc(family.title))] if m.many else []
            css = m.css[row.label]
            n = row.n_pairs if row.baseline else row.n
            n = cell(str(n), n, True, "num")
            rows.append(
                [row_head(m.names[row.label], swatch(css)), *at, n, loss_cell(row)]
                + [difference_cell(row), p_cell(row.p_adjusted), verdict_cell(row)]
                + cost_cells(row)
            )
    head = head[:1] + where + head[1:]
    words = {"verdict", "at", "variant"}
    caption = (
        f"{c.headline}. Brackets and ±: t intervals, not adjusted; p adjusted by "
        f"{'Benjamini and Hochberg' if c.exploratory else 'Holm'}; speed: tokens/s over the "
        "baseline's. Click a heading to sort."
    )
    keys = [m.css[row.label] for family in m.families for row in family.rows]
    numeric = [i for i, h in enumerate(head) if h not in words]
    return table("results", prose(capital(caption)), head, rows, keys, numeric)


def overall(m):
    """Effects over all sizes: the sizes are the unit."""
    found = [o for o in m.comparison.overall if not o.is_baseline]
    if not found:
        return ""
    rows = [
        [
            row_head(o.label),
            cell(str(o.n), o.n, True, "num"),
            difference_cell(o),
            p_cell(o.p_adjusted),
            verdict_cell(o),
        ]
        for o in found
    ]
    head = ("variant", "points", "mean difference", "p, adjusted", "verdict")
    caption = (
        "Over all points together: t interval over the points' means, which are the unit here."
    )
    return unit("Over all points", table("overall", caption, head, rows, (), (1, 2, 3)), "")


def secondary(m):
    """Other metrics: explored, not tested."""
    found = [r for r in m.comparison.secondary if not r.is_baseline]
    if not found:
        return ""
    rows = [
        [
            row_head(r.label),
            cell(esc(r.metric)),
            cell(f"{r.mean:.5g}", r.mean, True, "num"),
            cell(
                f"{r.difference:+.4g} <small>[{r.low:+.4g}, {r.high:+.4g}]</small>",
                r.difference,
                True,
                "num",
            ),
            p_cell(r.p_adjusted),
        ]
        for r in found
    ]
    head = ("variant", "metric", "mean", "minus baseline", "q")
    caption = "Exploratory: metrics that were not declared; q after Benjamini and Hochberg."
    body = table("secondary", caption, head, rows, (), (2, 3, 4))
    return details("Other metrics", body)


def answer(m):
    if not any(finished(row) for row in m.rows):
        raise Skip("no run has finished")
    body = [warnings(m), forests(m), results(m), overall(m)]
    body += [f'<p class="note">{prose(capital(words))}</p>' for words in m.comparison.notes]
    return "".join(body) + secondary(m)


def matched(m):
    c = m.comparison
    words = [w for w in (c.matched, c.pairing, c.made_by) if w]
    if not words:
        raise Skip("nothing is known of what was held equal")
    labels = ("", "Pairing: ", "Made by: ")
    pairs = zip(labels, (c.matched, c.pairing, c.made_by))
    said = [label + w for label, w in pairs if w]
    return "".join(f"<p>{prose(capital(w))}</p>" for w in said)
