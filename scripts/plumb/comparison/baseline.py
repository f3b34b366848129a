"""Which row --baseline names, and what to type where nothing is compared."""

import shlex

from ..reading.files import UsageError, printable
from ..reading.runs import shown

MOST_NAMED = 12


def named(runs):
    """What --baseline takes beside settings: variants, labels of rows, mixers of folders."""
    names = [c.variant for c in runs.cells] + [c.label for c in runs.cells]
    return list(dict.fromkeys(names + ([] if runs.sweep else [r.mixer for r in runs])))


def settings_of(runs, cell):
    """{key: value} of a row: its variant's, its own, its point of the grid."""
    variants = runs.sweep.variants if runs.sweep else ()
    own = next((v.get("settings", {}) for v in variants if v["name"] == cell.variant), {})
    return {**own, **cell.settings, **cell.point}


def has(settings, word):
    """Whether `lr=0.005` or `train.lr=0.005` is so here."""
    key, _, wanted = word.partition("=")
    found = [v for k, v in settings.items() if key in (k, k.rsplit(".", 1)[-1])]
    return any(wanted == shown(v) or same_number(wanted, v) for v in found)


def same_number(a, b):
    try:
        return float(a) == float(b)
    except (TypeError, ValueError):
        return False


def baseline_named(runs, asked):
    """The variant or the label of the row that `asked` stands for; None of None."""
    names = named(runs)
    if not asked or asked in names:
        return asked
    found = []
    for cell in runs.cells:
        words = asked.removeprefix(f"{cell.variant} ").split()
        if words and all("=" in w and has(settings_of(runs, cell), w) for w in words):
            found.append(cell.label)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(printable(f"--baseline {asked} may be one of: {shortened(found)}"))
    raise UsageError(
        printable(f"--baseline {asked} is no variant here; there are: {shortened(names)}")
    )


def shortened(names):
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def only_baseline(rows, question):
    """Whether all rows are the baseline variant's, at several points of a grid."""
    alone = all(r.variant == question.baseline and r.baseline is None for r in rows)
    return len(rows) > 1 and alone


def warnings(runs, rows, question):
    """One line where no row has a baseline."""
    if only_baseline(rows, question):
        how = "give each value a [[variant]] of the sweep file, with one as baseline; or "
        return [
            f"nothing is compared, all rows are the baseline '{question.baseline}'. For a "
            f"comparison {how if runs.sweep else ''}type --baseline {shlex.quote(rows[0].label)}"
        ]
    if rows and not any(r.baseline or r.is_baseline for r in rows):
        labels = shortened([r.label for r in rows])
        return [f"no baseline '{question.baseline}' here; --baseline NAME takes one of: {labels}"]
    return []
