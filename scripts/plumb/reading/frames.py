"""Tables for notebooks: a pandas DataFrame where pandas is installed, else a Table of the same
columns.
"""

import csv
import io

import numpy as np


class Table:
    """Columns of equal length. t["loss"]: an array; iteration and `rows`: {column: value}."""

    def __init__(self, columns, rows):
        self.columns = list(columns)
        self.rows = [{c: row.get(c) for c in self.columns} for row in rows]

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)

    def __getitem__(self, column):
        if column not in self.columns:
            raise KeyError(f"no column '{column}'; there are {', '.join(self.columns)}")
        return np.array([row[column] for row in self.rows])

    def to_csv(self):
        out = io.StringIO()
        writer = csv.DictWriter(out, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def __repr__(self):
        return f"{len(self)} rows of {', '.join(self.columns)}\n{self.to_csv()}"


def frame(columns, rows):
    """rows: {column: value} each. pandas is not needed: a program without it gets a Table."""
    try:
        import pandas
    except ImportError:
        return Table(columns, rows)
    return pandas.DataFrame(
        [{c: row.get(c) for c in columns} for row in rows], columns=list(columns)
    )
