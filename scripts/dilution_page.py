#!/usr/bin/python3
"""Writes results/dilution/README.md from the CSV files beside it: every number of the page is
computed here, and a sentence whose numbers no longer say so is an error.

example:
  scripts/dilution_page.py results/dilution
"""

import argparse
import sys
from pathlib import Path

from plumb.pages.dilution_text import page
from plumb.pages.study import StudyError


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="dilution_page.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="with the CSV files of the study")
    folder = parser.parse_args(argv).folder
    try:
        text = page(folder)
    except (StudyError, OSError) as e:
        print(f"dilution_page.py: {e}", file=sys.stderr)
        return 4
    (folder / "README.md").write_text(text)
    print(f"wrote: {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
