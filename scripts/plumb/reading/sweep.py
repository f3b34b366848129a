"""The folder of a sweep, as `plumb sweep` writes it: sweep.json says what the file stands for now,
plan.jsonl has a line for every run that was ever planned.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from .files import InputError, as_number, bad, printable, read_bytes, read_json


@dataclass
class Sweep:
    path: Path
    name: str = ""
    hypothesis: str = ""
    seeds: list = field(default_factory=list)
    looks: list = field(default_factory=list)
    baseline: str = ""
    metric: str = "final_val_loss"
    margin: float = 0.0
    match: str = "tokens"
    match_by: str = ""
    keys: list = field(default_factory=list)  # of grid and zip, in the order of the file
    variants: list = field(default_factory=list)  # {"name", "settings"}
    tune: dict | None = None
    cull: dict | None = None
    pending: list = field(default_factory=list)
    numerics: int | None = None
    current: frozenset = frozenset()  # ids of what the file stands for now
    plan: dict = field(default_factory=dict, repr=False)  # id -> line of plan.jsonl
    raw: dict = field(default_factory=dict, repr=False)  # sweep.json

    @property
    def names(self):
        return [v["name"] for v in self.variants]

    @property
    def tuned(self):
        """Keys that the first stage chooses."""
        return list(self.tune["keys"]) if self.tune else []


# key of sweep.json: its type, and what a list holds
FORM = {
    "name": (str, None), "hypothesis": (str, None), "seeds": (list, int), "looks": (list, int),
    "baseline": (str, None), "metric": (str, None), "match": (str, None), "match_by": (str, None),
    "keys": (list, str), "variants": (list, dict), "pending": (list, dict), "current": (list, str),
}  # fmt: skip


def is_sweep(path):
    return (path / "sweep.json").is_file()


def checked_form(found, path):
    """The keys of FORM that the object has, each of its type."""
    known = {}
    for key, (kind, of) in FORM.items():
        if key not in found:
            continue
        value = found[key]
        right = isinstance(value, kind)
        if right and of is not None:
            right = all(isinstance(x, of) and not isinstance(x, bool) for x in value)
        if not right:
            raise bad(path, f'has a "{key}" of another type; plumb sweep plan writes it anew')
        known[key] = value
    return known


def read_plan(path):
    """{id: line}; a last line cut short is ignored."""
    lines = read_bytes(path).split(b"\n") if path.exists() else []
    found = {}
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line.decode("utf-8"))
            id, directory = entry["id"], entry["dir"]
            whole = isinstance(id, str) and isinstance(directory, str) and directory
            seed = isinstance(entry["seed"], int) and isinstance(entry["variant"], str)
            if not (whole and seed and isinstance(entry.get("point", {}), dict)):
                raise ValueError("a field of another type")
        except (ValueError, KeyError, TypeError, RecursionError) as e:
            if n == len(lines):
                break
            why = f"lacks {e}" if isinstance(e, KeyError) else e
            raise bad(path, f"line {n} is not a planned run ({why})") from e
        found[id] = entry
    return found


def read_sweep(folder):
    """Throws InputError."""
    path = folder / "sweep.json"
    raw = read_json(path)
    known = checked_form(raw, path)
    sweep = Sweep(folder, raw=raw, **{k: v for k, v in known.items() if k != "current"})
    sweep.current = frozenset(known.get("current", ()))
    try:
        sweep.margin = as_number(raw.get("margin", 0.0))
        sweep.numerics = (
            int(as_number(raw["numerics"])) if raw.get("numerics") is not None else None
        )
    except (ValueError, OverflowError) as e:
        raise bad(path, f"has a damaged number: {e}") from e
    if not (math.isfinite(sweep.margin) and sweep.margin >= 0):
        raise bad(path, "has a margin that is no distance")
    if any(not isinstance(v.get("name"), str) for v in sweep.variants):
        raise bad(path, "has a variant without a name")
    for key in ("tune", "cull"):
        value = raw.get(key)
        if value is not None and not isinstance(value, dict):
            raise bad(path, f'has a "{key}" of another type')
        setattr(sweep, key, value)
    if sweep.tune is not None and not isinstance(sweep.tune.get("keys"), list):
        raise bad(path, "has a tune without keys")
    sweep.plan = read_plan(folder / "plan.jsonl")
    unknown = sweep.current - set(sweep.plan)
    if unknown:
        raise InputError(
            printable(
                f"{folder}/plan.jsonl lacks {len(unknown)} runs that sweep.json names "
                f"({sorted(unknown)[0]}, ...); type: plumb sweep plan {folder}/sweep.toml"
            )
        )
    return sweep
