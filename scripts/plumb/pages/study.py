"""Numbers of a study from the CSV files that figures.py wrote: means over depths by seed, paired
differences, Holm's correction by family. Labels are those of the CSV files.
"""

import csv
import math
from functools import cache
from pathlib import Path

import numpy as np

from .. import stats


class StudyError(Exception):
    """A file or a variant is missing, or a sentence is not what the numbers say (exit 4)."""


def claim(holds, sentence):
    """`sentence`, or a StudyError when it is not so (any more)."""
    if not holds:
        raise StudyError(f"the numbers do not say this (any more): {sentence}")
    return sentence


def numeric(text):
    return float(text) if text else math.nan


class Study:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.rows = cache(self.rows)

    def rows(self, name):
        """The records of NAME.csv, as texts."""
        path = self.folder / f"{name}.csv"
        if not path.exists():
            raise StudyError(f"{path} is missing; scripts/dilution makes it")
        with path.open(newline="") as f:
            return list(csv.DictReader(f))

    def result(self, label):
        """The row of results.csv."""
        found = [r for r in self.rows("results") if r["label"] == label]
        if not found:
            raise StudyError(f"{self.folder}/results.csv has no variant '{label}'")
        return found[0]

    def differences(self, label):
        """{seed: final validation loss minus the baseline's}."""
        rows = [r for r in self.rows("forest") if r["label"] == label]
        return {int(r["seed"]): float(r["difference_nats"]) for r in rows}

    def profiles(self, file, label, column):
        """{seed: array over depths 0..L+1, NaN where absent}, of the last probe in the file."""
        rows = [r for r in self.rows(file) if r["label"] == label]
        if not rows:
            raise StudyError(f"{self.folder}/{file}.csv has no variant '{label}'")
        step = max(int(r["step"]) for r in rows)
        found = {}
        for r in rows:
            if int(r["step"]) == step:
                found.setdefault(int(r["seed"]), []).append(numeric(r[column]))
        return {seed: np.array(values) for seed, values in found.items()}

    def by_seed(self, file, label, column, figure):
        """{seed: figure(profile)}."""
        return {s: float(figure(p)) for s, p in self.profiles(file, label, column).items()}


def families(study, groups):
    """{label: (mean, half, n, p, p after Holm over its own family)}; groups: lists of labels, as they
    were declared: a test that could not be made counts, as one with p = 1.
    """
    found = {}
    for labels in groups:
        tests = []
        for label in labels:
            values = list(study.differences(label).values())
            tests.append((*stats.interval(values), len(values), stats.t_test(values)))
        adjusted = stats.holm([1.0 if math.isnan(t[-1]) else t[-1] for t in tests])
        for label, test, p in zip(labels, tests, adjusted):
            found[label] = (*test, test[-1] if math.isnan(test[-1]) else p)
    return found


def loss_differences(study, label, base):
    """{step: largest |difference| over seeds of the validation losses of `label` and `base`}."""
    losses = {}
    for r in study.rows("loss_curves"):
        if r["split"] == "val":
            key = r["seed"], int(r["step"])
            losses.setdefault(r["label"], {})[key] = float(r["loss_nats"])
    mine, theirs = losses.get(label, {}), losses.get(base, {})
    found = {}
    for key in set(mine) & set(theirs):
        found[key[1]] = max(found.get(key[1], 0.0), abs(mine[key] - theirs[key]))
    if not found:
        raise StudyError(f"{study.folder}: '{label}' and '{base}' share no validation loss")
    return dict(sorted(found.items()))
