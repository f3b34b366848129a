"""What the program says of itself: `plumb list KIND --json`. Nothing of it is kept here a second
time. What a number of a run means, and which settings change none, stands in the run's own folder
(measures.json, manifest.json), so that runs can be read where there is no program; the rest is
asked of it.
"""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@functools.cache
def listed(kind):
    """Rows of $PLUMB, build/release/plumb or the plumb on the PATH; [] without one, or of one that
    does not know the kind.
    """
    built = ROOT / "build" / "release" / "plumb"
    plumb = os.environ.get("PLUMB") or (built if built.exists() else shutil.which("plumb"))
    if not plumb:
        return []
    try:
        command = [plumb, "list", kind, "--json"]
        said = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
        rows = json.loads(said)
    except (OSError, subprocess.SubprocessError, ValueError, RecursionError):
        return []
    return rows if isinstance(rows, list) else []


def mixer_rank():
    """{mixer: its place in the program's table}"""
    names = [row.get("name") for row in listed("mixers") if isinstance(row, dict)]
    return {name: i for i, name in enumerate(names)}


def sublayer_titles():
    """{kind of sublayer: what it is called in a sentence}"""
    rows = [row for row in listed("sublayers") if isinstance(row, dict)]
    return {str(row["name"]): str(row["title"]) for row in rows if {"name", "title"} <= set(row)}


def numerics_changes():
    """[(since, about)]: the changes of the program that gave some runs other losses, and with them
    numerics of `since` at least; about(config): whether it concerns a run of these settings.
    """
    found = []
    for row in listed("numerics"):
        if isinstance(row, dict) and isinstance(row.get("since"), int):
            key, usual = row.get("key"), row.get("default")
            found.append((row["since"], functools.partial(is_chosen, key, usual)))
    return found


def is_chosen(key, usual, config):
    """Whether a setting is not at its default; no key stands for every run."""
    return not key or config.get(key, usual) != usual
