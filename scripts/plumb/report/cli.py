"""`plumb report DIR -o OUT`: one offline page that answers a sweep, with figures, tables and how to
repeat it. `plumb report --gallery REPORT_DIR... -o OUT`: one page of cards over several reports.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from ..reading.files import printable, told


def arguments(argv, prog):
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="DIR",
        help="the folder or file of a sweep, a run folder, or a folder of runs; with --gallery: of "
        "reports",
    )
    parser.add_argument(
        "-o", "--out", required=True, metavar="OUT", help="where the page goes; made if absent"
    )
    parser.add_argument("--gallery", action="store_true", help="one page over reports")
    parser.add_argument("--title", default="", help="heading of the page (the sweep's question)")
    parser.add_argument("--baseline", metavar="LABEL", help="variant the others are compared with")
    parser.add_argument(
        "--metric", metavar="NAME", help="what is compared (the sweep's, or final_val_loss)"
    )
    parser.add_argument(
        "--margin", type=float, metavar="X", help="smallest difference that matters"
    )
    parser.add_argument(
        "--no-figures", action="store_true", help="the page alone: no figures/ for a paper"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")
    return parser.parse_args(argv)


class Progress:
    """Lines on standard error, from the third second on."""

    def __init__(self, prog, quiet):
        self.prog, self.quiet, self.start = prog, quiet, time.monotonic()

    def __call__(self, line):
        if not self.quiet and time.monotonic() - self.start > 2:
            print(f"{self.prog}: {printable(line)}", file=sys.stderr, flush=True)


def run_gallery(options, say):
    from . import gallery

    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    return [gallery.write(options.folders, out, options.title or "Reports", say)]


def run(options, say):
    if options.gallery:
        written = run_gallery(options, say)
    else:
        from . import write

        written = write.report(options, say)
    print(*(f"wrote: {printable(path)}" for path in written), sep="\n", flush=True)


def main(argv=None, prog="plumb report"):
    options = arguments(argv, prog)
    return told(prog, lambda: run(options, Progress(prog, options.quiet)))
