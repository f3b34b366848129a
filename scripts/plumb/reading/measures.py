"""What the numbers of depth.jsonl are. The table stands in the program; every run has it beside its
numbers (measures.json). Runs that are older take the program's (`plumb list measures --json`), and
where there is none their keys serve as names.
"""

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .files import InputError, read_text

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Measure:
    key: str
    name: str
    unit: str = ""
    comparable: bool | None = None  # None: nobody said


def parse(text):
    """{key: Measure}, {} for a text that is no table of measures."""
    try:
        found = {}
        for row in json.loads(text):
            key, name, unit = (str(row[k]) for k in ("key", "name", "unit"))
            found[key] = Measure(key, name, unit, bool(row["comparable"]))
        return found
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


@functools.cache
def of_program():
    """The table of $PLUMB, build/release/plumb or the plumb on the PATH, {} without one."""
    built = ROOT / "build" / "release" / "plumb"
    plumb = os.environ.get("PLUMB") or (built if built.exists() else shutil.which("plumb"))
    if not plumb:
        return {}
    try:
        command = [plumb, "list", "measures", "--json"]
        return parse(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    except (OSError, subprocess.SubprocessError):
        return {}


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


def axis_label(key):
    """`name (unit)`; no brackets for a pure number."""
    m = describe(key)
    return f"{m.name} ({m.unit})" if m.unit not in ("", "1") else m.name
