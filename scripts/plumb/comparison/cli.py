"""`plumb compare`: the table of a sweep, or of folders of runs."""

import argparse
import json
import os
import shutil
import sys

from ..reading.files import UsageError, told

EXAMPLES = """examples:
  plumb compare runs/blocks
  plumb compare runs/standard-s* runs/mhc-s* --margin 0.005
  plumb compare runs/blocks --by model.layers --latex > table.tex

Unit is the seed. Every difference is paired by seed, its 95 % interval is Student's t, p is
adjusted by Holm over the rows that share a baseline. Verdicts: better, worse, same within the
margin, no worse than the margin, or not resolved and how many more seeds would do. Runs that
diverged are counted and never scored; what is left out is named.
"""


def arguments(argv, prog):
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compares variants with a baseline: a sweep's folder, or folders of runs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="DIR",
        help="a sweep's folder or file, a folder of runs, runs, a glob")  # fmt: skip
    add(
        "--baseline",
        metavar="NAME",
        help="variant the others are compared with, or a row: its label, or settings (lr=0.005)",
    )
    add(
        "--metric",
        metavar="NAME,...",
        help="a number of summary.json; those after the first are exploratory",
    )
    add("--margin", type=float, metavar="X", help="smallest difference that matters")
    add(
        "--by",
        metavar="KEY,...",
        help="keys of the grid that rows keep apart (all); `variant`: none",
    )
    add("--at", metavar="AXIS=X", help="the validation curve at tokens=X, time=SECONDS or flops=X")
    add("--to-loss", type=float, metavar="LOSS", help="loss that curves have to reach")
    add("--family", choices=("baseline", "all"), default="baseline",
        help="what p is adjusted over: rows that share a baseline, or all")  # fmt: skip
    add("--pool", action="store_true", help="also the interval that pools the noise of all arms")
    add(
        "--all", action="store_true", dest="everything", help="runs too that the file no longer has"
    )
    add(
        "--strict",
        action="store_true",
        help="exit 1 if a variant and its baseline were made by other commits or on other devices",
    )
    form = parser.add_mutually_exclusive_group()
    for name, what in FORMS.items():
        form.add_argument(f"--{name}", action="store_const", const=name, dest="form", help=what)
    add(
        "--width",
        type=int,
        metavar="N",
        help="columns of the text (of the terminal; 120 in a file)",
    )
    add("-q", "--quiet", action="store_true", help="no progress on standard error")
    return parser.parse_args(argv)


FORMS = {
    "json": "everything, as JSON",
    "csv": "one row a variant, in full precision",
    "markdown": "the table for a page",
    "latex": "the table for a paper (booktabs)",
}


def width_of(options):
    if options.width:
        return max(options.width, 20)
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return max(shutil.get_terminal_size((80, 24)).columns, 20)
    return 120


def printed(found, options):
    if options.form == "json":
        return json.dumps(found.as_dict(), indent=1, allow_nan=False)
    if options.form:
        return getattr(found, options.form)().rstrip("\n")
    return found.text(width_of(options))


def run(options, prog):
    from ..reading.runs import load
    from .compare import compare

    def say(line):
        if not options.quiet:
            print(f"{prog}: {line}", file=sys.stderr, flush=True)

    if options.margin is not None and not 0 <= options.margin < float("inf"):
        raise UsageError("--margin is a distance: a number that is not below 0")
    runs = load(options.runs, say)
    if len(runs) > 1000:
        say(f"comparing {len(runs)} runs")
    found = compare(
        runs,
        baseline=options.baseline,
        metric=options.metric,
        margin=options.margin,
        by=options.by.split(",") if options.by else None,
        at=options.at,
        family=options.family,
        pool=options.pool,
        to_loss=options.to_loss,
        everything=options.everything,
    )
    print(printed(found, options), flush=True)
    if options.strict and found.mixed:
        print(f"{prog}: --strict: {'; '.join(found.mixed)}", file=sys.stderr)
        return 1
    return 0


def main(argv=None, prog="plumb compare"):
    options = arguments(argv, prog)
    return told(prog, lambda: run(options, prog))
