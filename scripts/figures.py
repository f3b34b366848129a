#!/usr/bin/python3
"""Figures and tables from Plumb run folders.

Reads one or many run folders (or folders of runs; seeds of one label are averaged) and writes every
figure as SVG, PDF and PNG with the CSV behind it, and results.csv / results.md.

examples:
  scripts/figures.py runs/demo -o results/demo
  scripts/figures.py runs/standard runs/attnres_block -o figs --title "12 blocks, 256 wide"
  scripts/figures.py runs/sweep -o figs --baseline highway --reference paper-figures.json
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="figures.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
        default="standard",
        metavar="LABEL",
        help="label the differences are taken to (standard)",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="JSON with a paper's Fig. 5 values, for the figure `reference`",
    )
    return parser.parse_args(argv)


def missing_packages():
    return [p for p in ("numpy", "scipy", "matplotlib") if importlib.util.find_spec(p) is None]


def draw_all(options, experiment):
    """Writes every figure there is data for; returns (files, [(figure, why skipped)])."""
    from plumbplot import dilution, gradients, loss_curves, matrix, norm_over_training, reference
    from plumbplot.data import Skip

    jobs = [
        (m.NAME, m.make, ()) for m in (loss_curves, dilution, gradients, matrix, norm_over_training)
    ]
    if options.reference:
        jobs.append((reference.NAME, reference.make, (options.reference,)))
    files, skipped = [], []
    for name, make, more in jobs:
        try:
            files += make(experiment, options.out, *more)
        except Skip as reason:
            skipped.append((name, str(reason)))
    return files, skipped


def run(options):
    from plumbplot import data, style, table

    experiment = data.load(options.runs, options.baseline, options.title)
    if options.baseline != "standard" and experiment.baseline is None:
        raise data.UsageError(
            f"--baseline {options.baseline} is not among the labels: {', '.join(experiment.groups)}"
        )
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        style.use()
        files, skipped = draw_all(options, experiment)
        results = table.results(experiment)
        files += table.write(experiment, results, options.out)
    except OSError as e:
        raise data.InputError(
            f"cannot write {e.filename or options.out}: {e.strerror}; choose another folder with -o"
        ) from e
    print(
        table.text(experiment, results),
        table.EXPLANATION,
        *(f"skipped {name}: {reason}" for name, reason in skipped),
        *(f"wrote: {file}" for file in files),
        sep="\n",
        flush=True,
    )


def main(argv=None):
    options = arguments(argv)
    missing = missing_packages()
    if missing:
        print(
            f"figures.py: needs Python's {', '.join(missing)}; type: "
            f"sudo apt-get install {' '.join('python3-' + p for p in missing)}",
            file=sys.stderr,
        )
        return 4
    from plumbplot.data import InputError, UsageError

    try:
        run(options)
    except BrokenPipeError:  # the reader, `head` say, has gone: every file is written by then
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UsageError as e:
        print(f"figures.py: {e}", file=sys.stderr)
        return 2
    except InputError as e:
        print(f"figures.py: {e}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
