#!/usr/bin/python3
"""E0 as a table on stdout: runs that read the weights of `standard` with frozen zero-query AttnRes,
beside ones that read them with `standard` itself. One row a variant, seed and step of `standard`:
the losses' difference in nats, how many times as large |output| / |read| of the last sublayer is,
and of every comparable measure the largest difference over depth, over its largest value.

example:
  scripts/dilution_twins.py runs/dilution-twins > twins.csv
"""

import argparse
import csv
import re
import sys
from pathlib import Path

import numpy as np

from plumb.figures import bookkeeping
from plumb.figures.style import cell
from plumb.reading import groups, measures
from plumb.reading.files import InputError

NOT_TRAINED = "update_ratio"  # of the one step at a rate of nothing
HEAD = ("variant", "seed", "step", "standard_loss_nats", "difference_nats", "raw_ratio")


def start_of(variant):
    """The step of `standard` whose weights it has; 0 for its initial values."""
    found = re.search(r"@(\d+)$", variant.settings.get("train.init_from", ""))
    return int(found[1]) if found else 0


def name_of(variant):
    block = variant.settings.get("mixer.block_size", "")
    return variant.mixer + (f" block_size={block}" if block else "")


def comparable(run):
    """Keys of its probe that may be compared between mixers, by name."""
    keys = {k for record in run.depth.values() for k, v in record.items() if np.isscalar(v)}
    return [k for k in sorted(keys) if measures.describe(k).comparable and k != NOT_TRAINED]


def first_loss(run):
    steps, _, values = run.series("val/loss")
    if len(steps) == 0 or steps[0] != 0:
        raise InputError(f"{run.path}: no validation loss of step 0")
    return values[0]


def profile(run, key):
    values = run.by_depth(key, 0)
    if values is None:
        raise InputError(f"{run.path}: no {key} at step 0")
    return values


def relative(mine, base):
    return np.nanmax(np.abs(mine - base)) / np.nanmax(np.abs(base))


def rows(experiment):
    """The head, then the rows by variant, step and seed."""
    variants = experiment.variants.values()
    bases = {start_of(v): v.seeds for v in variants if v.mixer == "standard"}
    frozen = [v for v in variants if bookkeeping.is_frozen(v) and v.runs]
    if not frozen or not bases:
        raise InputError("no run of standard with one of frozen AttnRes beside it")
    keys = comparable(frozen[0].runs[0])
    yield *HEAD, *keys
    for v in sorted(frozen, key=lambda v: (name_of(v), start_of(v))):
        step = start_of(v)
        for seed, run in v.seeds.items():
            base = bases.get(step, {}).get(seed)
            if base is None:
                continue
            loss = first_loss(base)
            raw = [profile(r, "contribution")[-2] for r in (run, base)]
            yield (
                name_of(v),
                run.seed,
                step,
                loss,
                first_loss(run) - loss,
                raw[0] / raw[1],
                *(relative(profile(run, k), profile(base, k)) for k in keys),
            )


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="dilution_twins.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="with the runs")
    try:
        experiment = groups.load([parser.parse_args(argv).folder])
        for line in experiment.left_out():
            print(f"dilution_twins.py: left out: {line}", file=sys.stderr)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        for row in rows(experiment):
            writer.writerow([cell(x) for x in row])
    except InputError as e:
        print(f"dilution_twins.py: {e}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
