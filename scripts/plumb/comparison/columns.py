"""The columns of a comparison's table, as texts: what the terminal, Markdown and LaTeX share."""

import math

from ..reading.files import printable
from .provenance import percent


def number(x, digits=4):
    """1.4418; 4,396 of large ones."""
    if not math.isfinite(x):
        return "-"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.{digits}f}"


def signed(x, digits=4):
    return "-" if not math.isfinite(x) else ("+" if x >= 0 else "") + number(x, digits)


def with_half(mean, half, digits=4):
    return number(mean, digits) + ("" if not math.isfinite(half) else f" ±{number(half, digits)}")


def between(low, high, digits=4):
    return "" if not math.isfinite(low) else f" [{signed(low, digits)}, {signed(high, digits)}]"


def digits_of(halves):
    """As many as the narrowest of these intervals needs, 4 at least."""
    halves = [x for x in halves if 0 < x < math.inf]
    return max(4, min(9, 1 - math.floor(math.log10(min(halves))))) if halves else 4


def p_text(p):
    if math.isnan(p):
        return "-"
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def amount(x):
    """2.41 M of parameters."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(x) >= unit:
            return f"{x / unit:.3g}{name}"
    return "-" if math.isnan(x) else f"{x:.0f}"


def parameters(row):
    return amount(row.params) if math.isnan(row.params_change) else percent(row.params_change)


def speed(row):
    if not math.isnan(row.speed):
        return f"{row.speed:.2f}x"
    return "-" if math.isnan(row.tok_per_s) else number(row.tok_per_s, 0)


def notes(row):
    return "; ".join(row.notes)


def minus(comparison):
    bases = {r.baseline for r in comparison.rows} - {None}
    return printable(bases.pop()) if len(bases) == 1 else "baseline"


def pools(row):
    """Whether the pooled interval is another one: of one pair of arms it is the paired one."""
    alike = math.isclose(row.pool_low, row.low, rel_tol=1e-6)
    alike = alike and math.isclose(row.pool_high, row.high, rel_tol=1e-6)
    return math.isfinite(row.pool_low) and not alike


def pooled(row, digits):
    return between(row.pool_low, row.pool_high, digits).strip() if pools(row) else "-"


def columns(comparison):
    """[(title, whether it stands left, row -> text)]"""
    q = comparison.question
    rows = comparison.rows
    d = digits_of([(r.high - r.low) / 2 for r in rows])
    level = digits_of([r.half for r in rows])
    interval = f"[{100 * q.level:.3g} %]"
    found = [
        ("variant", True, lambda r: r.label),
        ("n", False, lambda r: str(r.n if r.is_baseline or not r.baseline else r.n_pairs)),
        ("loss" if q.less_is_better else q.name, False, lambda r: with_half(r.mean, r.half, level)),
        (
            f"minus {minus(comparison)} {interval}",
            False,
            lambda r: signed(r.difference, d) + between(r.low, r.high, d),
        ),
    ]
    if any(pools(r) and (comparison.pool or 2 <= r.n_pairs <= 4) for r in rows):
        found.append(("(pooled)", False, lambda r: pooled(r, d)))
    found += [
        ("q (BH)" if q.exploratory else "p (Holm)", False, lambda r: p_text(r.p_adjusted)),
        ("verdict", True, lambda r: r.verdict_text),
        ("params", False, parameters),
        ("tok/s", False, speed),
    ]
    if any(r.n_diverged for r in rows):
        found.append(
            (
                "P(better)",
                False,
                lambda r: "-" if math.isnan(r.p_better) else f"{r.p_better:.2f}",
            )
        )
    if any(r.notes for r in rows):
        found.append(("", True, notes))
    return found


POOLED = "(pooled): interval of randomised blocks, right only if all arms are equally noisy"
BETTER = "P(better): share of pairs in which the variant is better, a diverged run being the worst"


def explanations(comparison):
    """Lines that say what the table's rarer columns are."""
    titles = {title for title, _, _ in columns(comparison)}
    return [
        line for title, line in (("(pooled)", POOLED), ("P(better)", BETTER)) if title in titles
    ]


def table(comparison):
    """(titles, lefts, [[text]])"""
    cols = columns(comparison)
    rows = [[printable(form(row)) for _, _, form in cols] for row in comparison.rows]
    return [c[0] for c in cols], [c[1] for c in cols], rows
