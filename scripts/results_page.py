#!/usr/bin/python3
"""Writes results/NAME/README.md from the CSV and JSON files beside it, and the figures that only this
page has: every number of the page is computed here, and a sentence whose numbers no longer say so is
an error.

example:
  scripts/results_page.py results/dilution
"""

import argparse
import importlib
import sys
from pathlib import Path

from plumb.pages.study import StudyError

PAGES = ("dilution", "noise", "block_size", "tuned", "muon")


def write(folder):
    """Figures and page of the study whose name the folder has; returns the page."""
    name = folder.resolve().name
    if name not in PAGES:
        raise StudyError(f"{folder}: there is no page '{name}', there are {', '.join(PAGES)}")
    module = importlib.import_module(f"plumb.pages.{name}")
    text = module.page(folder)
    if hasattr(module, "draw"):
        module.draw(folder)
    (folder / "README.md").write_text(text)
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="results_page.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="results/NAME")
    folder = parser.parse_args(argv).folder
    try:
        write(folder)
    except (StudyError, OSError) as e:
        print(f"results_page.py: {e}", file=sys.stderr)
        return 4
    print(f"wrote: {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
