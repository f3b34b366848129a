"""Figures and tables from Plumb run folders.

Reads one or many run folders (or folders of runs) and writes every figure as SVG and PNG with the
CSV behind it, and results.csv / results.md. Runs whose configs differ in the seed alone are one
variant; unfinished, diverged and damaged runs are named and left out.

examples:
  scripts/figures.py runs/demo -o results/demo
  scripts/figures.py runs/standard runs/attnres_block -o figs --title "12 blocks, 256 wide"
  scripts/figures.py runs/sweep -o figs --baseline highway --without freeze
"""

import argparse
import functools
import importlib.util
import os
import re
import sys
from pathlib import Path


def pattern(text):
    try:
        return re.compile(text)
    except re.error as e:
        raise argparse.ArgumentTypeError(f"'{text}' is not a regular expression: {e}") from e


def arguments(argv, prog="figures.py"):
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN_DIR", help="a run folder, or a folder of run folders"
    )
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="DIR",
        type=Path,
        help="where figures and tables go; made if absent",
    )
    parser.add_argument("--title", default="", help="first words of every figure's heading")
    parser.add_argument(
        "--baseline",
        metavar="LABEL",
        help="variant, or mixer, the differences are taken to (standard, or the sweep's)",
    )
    parser.add_argument(
        "--without",
        metavar="REGEX",
        type=pattern,
        help="variants to leave out: those whose label has this in it",
    )
    parser.add_argument(
        "--figures",
        metavar="NAME,...",
        help="write these alone; `table` is results.csv and results.md",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="JSON with a paper's Fig. 5 values, for the figure `reference`",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")
    options = parser.parse_args(argv)
    options.prog = prog
    return options


def missing_packages():
    return [p for p in ("numpy", "scipy", "matplotlib") if importlib.util.find_spec(p) is None]


def figure_jobs(options, experiment):
    """{name: a call that writes the figure and returns its files}, in the order of writing."""
    from . import (
        bookkeeping,
        forest,
        loss_curves,
        magnitudes,
        matrix,
        over_training,
        profiles,
        reference,
    )

    modules = (loss_curves, forest, matrix, over_training, magnitudes, bookkeeping)
    jobs = {m.NAME: functools.partial(m.make, experiment, options.out) for m in modules}
    for name in profiles.FIGURES:
        jobs[name] = functools.partial(profiles.make, name, experiment, options.out)
    if options.reference:
        make = functools.partial(reference.make, experiment, options.out, options.reference)
        jobs[reference.NAME] = make
    return jobs


def asked(options):
    """Names given to --figures, [] without."""
    return options.figures.split(",") if options.figures else []


def draw_all(options, experiment, say):
    """Writes every figure asked for that has data; returns (files, [(figure, why skipped)]). say:
    told what is done.
    """
    from ..reading.files import Skip, UsageError

    jobs = figure_jobs(options, experiment)
    wanted = asked(options) or list(jobs)
    for name in wanted:
        if name not in (*jobs, "table"):
            raise UsageError(f"--figures {name}: there are {', '.join(jobs)}, table")
    files, skipped = [], []
    drawn = [n for n in wanted if n != "table"]
    for i, name in enumerate(drawn, 1):
        say(f"drawing {name} ({i} of {len(drawn)})")
        try:
            files += jobs[name]()
        except Skip as reason:
            skipped.append((name, str(reason)))
    return files, skipped


def read(options, say):
    """An Experiment: of a sweep the runs that its file stands for, of folders all."""
    from ..comparison.compare import compare
    from ..reading import files, groups, runs, sweep

    folders = runs.folders_of(options.runs)
    if len(folders) == 1 and sweep.is_sweep(folders[0]):
        found = runs.load(folders, say)
        rows = compare(found, baseline=options.baseline).rows
        baselines = {row.label: row.baseline for row in rows if row.baseline}
        return found.experiment(baselines, options.title)
    baseline = options.baseline or "standard"
    experiment = groups.load(folders, baseline, options.title, say)
    if options.baseline and not experiment.has(baseline):
        raise files.UsageError(
            f"--baseline {baseline} is no variant here; there are: "
            + ", ".join(experiment.variants)
        )
    return experiment


def run(options):
    from ..reading import files
    from . import results, style

    def say(line):
        if not options.quiet:
            print(f"{options.prog}: {line}", file=sys.stderr, flush=True)

    experiment = read(options, say)
    if options.without:
        experiment = experiment.without(options.without)
    options.out.mkdir(parents=True, exist_ok=True)
    style.use()
    written, skipped = draw_all(options, experiment, say)
    table = results.results(experiment)
    if "table" in asked(options) or not asked(options):
        written += results.write(experiment, table, options.out)
    print(
        results.text(experiment, table),
        results.EXPLANATION,
        *(f"left out {line}" for line in experiment.left_out()),
        *(f"skipped {name}: {reason}" for name, reason in skipped),
        *(f"wrote: {file}" for file in written),
        sep="\n",
        flush=True,
    )


def main(argv=None, prog="figures.py"):
    options = arguments(argv, prog)
    missing = missing_packages()
    if missing:
        print(
            f"{prog}: needs Python's {', '.join(missing)}; type: "
            f"sudo apt-get install {' '.join('python3-' + p for p in missing)}",
            file=sys.stderr,
        )
        return 4
    from ..reading.files import told

    return told(prog, lambda: run(options))
