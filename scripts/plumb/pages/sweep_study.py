"""A sweep's answer from comparison.json, which `plumb compare SWEEP --json` wrote."""

import json
from functools import cached_property

import numpy as np
from scipy import stats as scipy_stats

from .. import stats
from ..wording import with_interval
from .study import Study, StudyError


class SweepStudy(Study):
    @cached_property
    def answer(self):
        path = self.folder / "comparison.json"
        if not path.exists():
            raise StudyError(f"{path} is missing; scripts/study {self.folder.name} makes it")
        return json.loads(path.read_text())

    def row(self, label):
        """The comparison's row of this label."""
        found = [r for r in self.answer["rows"] if r["label"] == label]
        if not found:
            raise StudyError(f"{self.folder}/comparison.json has no variant '{label}'")
        return found[0]

    def values(self, label):
        """{seed: value of the metric}."""
        return {int(s): x for s, x in self.row(label)["values"].items()}

    def differences(self, label):
        """{seed: value minus the baseline's}."""
        return {int(s): x for s, x in self.row(label)["differences"].items()}

    @property
    def compared(self):
        """Labels of the rows that have a baseline."""
        return [r["label"] for r in self.answer["rows"] if not r["is_baseline"]]

    def losses_by_step(self, label):
        """{step: [validation loss, one a seed]} from loss_curves.csv."""
        found = {}
        for r in self.rows("loss_curves"):
            if r["label"] == label and r["split"] == "val":
                found.setdefault(int(r["step"]), []).append(float(r["loss_nats"]))
        return dict(sorted(found.items()))


def standard_deviation(groups, level=0.95):
    """(sd, low, high) of normal values whose groups have means of their own: the chi-square interval."""
    n = sum(len(g) - 1 for g in groups)
    squares = sum(np.var(g, ddof=1) * (len(g) - 1) for g in groups)
    low, high = (
        np.sqrt(squares / scipy_stats.chi2.ppf(q, n)) for q in (0.5 + level / 2, 0.5 - level / 2)
    )
    return float(np.sqrt(squares / n)), float(low), float(high)


def interval_text(values, digits=4):
    return with_interval(*stats.interval(list(values)), digits)


def between(x, low, high, digits=4):
    """`x [low, high]` of a number that has no sign."""
    return f"{x:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
