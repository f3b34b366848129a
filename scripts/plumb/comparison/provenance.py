"""Who made the runs, what was matched between variants, what was left out, and what that means."""

import math
import re
from collections import Counter

from ..reading.files import printable
from ..reading.runs import point_words


def counted(words):
    """`cpu (30), cuda (6)`; one word stands alone."""
    found = Counter(words)
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{word} ({n})" for word, n in found.most_common())


def made_by(runs):
    """`9a0b0c9 (30), 1f2e3d4 (6); numerics 1; cpu`."""
    if not len(runs):
        return ""
    parts = [counted(r.commit or "commit not recorded" for r in runs)]
    numbers = [r.numerics for r in runs]
    parts.append("numerics " + counted("not recorded" if n is None else str(n) for n in numbers))
    parts.append(counted(r.device or "device not recorded" for r in runs))
    return "; ".join(parts)


def mixed(rows, what):
    """Labels of rows made on, or by, something else than their baseline; what(run): a text."""
    by_label = {r.label: r for r in rows}
    found = []
    for row in rows:
        base = by_label.get(row.baseline)
        if base is not None and row.runs and base.runs:
            if {what(r) for r in row.runs} != {what(r) for r in base.runs}:
                found.append(row.label)
    return found


def provenance_warnings(rows):
    """What --strict does not let pass."""
    found = []
    parts = (("on another device", lambda r: r.device), ("by another commit", lambda r: r.commit))
    for name, what in parts:
        labels = mixed(rows, what)
        if labels:
            found.append(f"made {name} than the baseline: {listed(labels)}")
    return found


def listed(words, most=4):
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def spread(rows, name):
    """Largest |ratio - 1| of a row's number to its baseline's; NaN where neither says it."""
    by_label = {r.label: r for r in rows}
    found = [
        getattr(row, name) / getattr(by_label[row.baseline], name) - 1
        for row in rows
        if row.baseline in by_label and getattr(by_label[row.baseline], name) > 0
    ]
    found = [x for x in found if math.isfinite(x)]
    return max(found, key=abs) if found else math.nan


def percent(x):
    if abs(x) < 0.00005:
        return "equal"
    return f"{x:+.1%}" if abs(x) < 0.0995 else f"{x:+.0%}"


def matched(rows, sweep):
    """`matched: tokens; not matched, at most: FLOPs (+2.0%), tokens/s (-19%)`."""
    equal, unequal = [], []
    names = {"tokens": "tokens", "flops": "FLOPs", "params": "parameters", "tok_per_s": "tokens/s"}
    for name, words in names.items():
        x = spread(rows, name)
        if math.isnan(x):
            continue
        near = abs(x) <= (0 if name == "tok_per_s" else 0.01)
        (equal if near else unequal).append(
            words if near and percent(x) == "equal" else f"{words} ({percent(x)})"
        )
    if not equal and not unequal:
        return ""
    how = f" by {printable(sweep.match_by)}" if sweep and sweep.match_by else ""
    text = f"matched{how}: {', '.join(equal) or 'nothing'}"
    return text + (f"; not matched, at most: {', '.join(unequal)}" if unequal else "")


def pairing(rows):
    """`correlation of seeds 0.1..0.7; sd of differences 0.0064..0.0145`."""
    parts = []
    for name, words, form in (
        ("correlation", "correlation of seeds", ".2f"),
        ("sd", "sd of differences", ".2g"),
    ):
        found = [getattr(r, name) for r in rows if r.baseline and math.isfinite(getattr(r, name))]
        if found:
            low, high = format(min(found), form), format(max(found), form)
            parts.append(f"{words} {low}" + (f"..{high}" if high != low else ""))
    return "; ".join(parts)


def left_out(runs):
    """A line for every run that no statistic takes, and why."""
    return [printable(f"{r.path.name}: {why}") for r, why in runs.left_out]


FEW = 3  # runs left out for one reason that have a line each
MOST_LEFT_OUT = 12  # lines


def left_out_told(runs):
    """The same for a reader, who has a few lines for it: orphans in one, and more than FEW of one
    reason in one. Every run is in a count.
    """
    lines, groups = orphans_told([r for r, _ in runs.left_out if r.status == "orphan"]), {}
    for run, why in runs.left_out:
        if run.status != "orphan":
            groups.setdefault(re.split("[,:]", why)[0], []).append((run, why))
    single = []
    for reason, members in groups.items():
        if len(members) > FEW:
            names = Counter(run.variant for run, _ in members if run.variant)
            of = listed([f"{name} ({n})" for name, n in names.items()])
            lines.append(printable(f"{len(members)} {reason}" + (f": {of}" if of else "")))
        else:
            single += [printable(f"{run.path.name}: {why}") for run, why in members]
    room = max(FEW, MOST_LEFT_OUT - len(lines))
    more = [f"{len(single) - room} more (--json lists them)"] if len(single) > room else []
    return single[:room] + lines + more


def orphans_told(orphans):
    """A line of those that were planned once, a line of those that never were."""
    planned = [r for r in orphans if r.plan]
    strays = [r.path.name for r in orphans if not r.plan]
    lines = []
    if planned:
        main = sum(r.stage == "main" for r in planned)  # what --all compares
        shown = "them" if main == len(planned) else str(main)
        words = f"{counted_runs(len(planned))} that the sweep file no longer stands for"
        lines.append(words + (f" (--all shows {shown})" if main else ""))
    if strays:
        words = f"{counted_runs(len(strays))} that plan.jsonl does not have: {listed(strays)}"
        lines.append(printable(words))
    return lines


def counted_runs(n):
    return f"{n} run{'s' if n != 1 else ''}"


def sweep_warnings(sweep):
    """What is still to come."""
    if sweep is None:
        return []
    found = []
    for group in sweep.pending:
        where = " ".join([str(group.get("variant", "")), *point_words(group.get("group", {}))])
        done, all_of = group.get("tune_ended", 0), group.get("tune_runs", 0)
        found.append(
            printable(f"{where}: waits for its first stage, {done} of {all_of} runs ended")
        )
    return found
