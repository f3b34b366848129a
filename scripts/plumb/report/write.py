"""Everything that `plumb report` writes."""

import argparse
import math
import re
import shutil
from pathlib import Path

from ..comparison.compare import compare
from ..figures import style
from ..figures.cli import draw_all
from ..reading.files import UsageError, printable
from ..reading.runs import load as load_runs
from . import build, gallery, records
from .material import finished, gather

LONGEST = 120  # characters of a heading


def title_of(options, runs):
    """What --title says, the first sentence of the sweep's question, or the name of the folder."""
    if options.title:
        return printable(options.title)
    asked = re.match(r".*?[.?!](?=\s|$)|.*", runs.sweep.hypothesis if runs.sweep else "")[0].strip()
    if 0 < len(asked) <= LONGEST:
        return printable(asked)
    return printable(runs.sweep.name if runs.sweep else Path(options.folders[0]).resolve().name)


def load(options, say):
    """The Material of the folders that were given."""
    folders = options.folders
    if options.margin is not None and not 0 <= options.margin < math.inf:
        raise UsageError("--margin is a distance: a number that is not below 0")
    runs = load_runs(folders, say)
    say(f"reading the logs of {len(runs)} runs")
    runs.experiment()  # finds damaged logs before anything is counted
    say(f"comparing {len(runs)} runs")
    wanted = {k: getattr(options, k) for k in ("baseline", "metric", "margin")}
    comparison = compare(runs, **{k: v for k, v in wanted.items() if v is not None})
    title = title_of(options, runs)
    experiment = runs.experiment(
        {r.label: r.baseline for r in comparison.rows if r.baseline}, title
    )
    return gather(runs, comparison, title, " ".join(folders), experiment)


def figures(m, out, say):
    """The figures for a paper: SVG, PNG and CSV of each that has data."""
    style.use()
    wanted = argparse.Namespace(out=out, figures=None, reference=None)
    return draw_all(wanted, m.experiment, say)[0]


TIMING = ("label", "seed", "id", "run", "time_s", "tok_per_s", "peak_memory_bytes", "device")


def timing_rows(m):
    for row in m.rows:
        for run in finished(row):
            time, memory = (run.timing.get(k, "") for k in ("time_s", "peak_memory_bytes"))
            names = row.label, run.seed, run.id, run.path.name
            yield *names, time, run.tok_per_s, memory, run.device


def copy_sweep(folder, out):
    """What `plumb sweep run` needs to make the runs again."""
    out.mkdir(exist_ok=True)
    names = [n for n in ("sweep.toml", "base.toml", "plan.jsonl") if (folder / n).exists()]
    return [Path(shutil.copyfile(folder / n, out / n)) for n in names]


def report(options, say):
    """Writes the page of options.folders and what lies beside it; returns the paths."""
    m = load(options, say)
    out = Path(options.out)
    numbers = out / "figures"
    numbers.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    text = build.page(m, options.out, say)
    page.write_text(text, encoding="utf-8")
    written = [page, gallery.write_card(m, out)]
    for name, text in (
        ("results.csv", m.comparison.csv()),
        ("table.tex", m.comparison.latex()),
        ("REPRODUCE.md", records.reproduce(m, options.out)),
    ):
        written.append(out / name)
        written[-1].write_text(text, encoding="utf-8")
    if m.runs.sweep:
        written += copy_sweep(m.runs.sweep.path, out / records.SWEEP)
    written.append(style.write_csv(out / "timing.csv", TIMING, timing_rows(m)))
    for name, (header, rows) in m.tables.items():
        written.append(style.write_csv(numbers / f"{name}.csv", header, rows))
    if not options.no_figures:
        written += figures(m, numbers, say)
    return written
