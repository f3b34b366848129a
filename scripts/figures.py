#!/usr/bin/python3
"""Figures and tables from Plumb run folders: `plumb figures` under its older name."""

import sys

from plumb.figures.cli import main

if __name__ == "__main__":
    sys.exit(main())
