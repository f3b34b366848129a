"""What the numbers of a run are. The table stands in the program; every run has it beside its numbers
(measures.json). Runs that are older take the program's (program.py), and where there is none their
keys serve as names.
"""

import functools
import json
from dataclasses import dataclass

from . import program
from .files import InputError, read_text


@dataclass(frozen=True)
class Measure:
    key: str
    name: str
    unit: str = ""
    comparable: bool | None = None  # None: nobody said
    less_is_better: bool | None = None  # None: neither
    meaning: str = ""


def of_rows(rows):
    """{key: Measure}, {} of what is no table of measures."""
    try:
        found = {}
        for row in rows:
            key, name, unit = (str(row[k]) for k in ("key", "name", "unit"))
            less = {"less": True, "more": False}.get(row.get("better"))
            meaning = str(row.get("meaning", ""))
            found[key] = Measure(key, name, unit, bool(row["comparable"]), less, meaning)
        return found
    except (AttributeError, KeyError, TypeError):
        return {}


def parse(text):
    """The same of JSON."""
    try:
        return of_rows(json.loads(text))
    except (ValueError, RecursionError):
        return {}


@functools.cache
def of_program():
    return of_rows(program.listed("measures"))


_of_runs = {}


def learn(folders):
    """Takes the table of the first run folder that has one."""
    _of_runs.clear()
    for folder in folders:
        try:
            _of_runs.update(parse(read_text(folder / "measures.json")))
        except InputError:
            continue
        if _of_runs:
            return


def describe(key):
    return _of_runs.get(key) or of_program().get(key) or Measure(key, key.replace("_", " "))


def with_unit(words, key):
    """`words (unit of the measure)`; no brackets for a pure number."""
    unit = describe(key).unit
    return f"{words} ({unit})" if unit not in ("", "1") else words


def axis_label(key):
    return with_unit(describe(key).name, key)
