"""The folder of a sweep, as `plumb sweep` writes it: sweep.json says what the file stands for now,
plan.jsonl has a line for every run that was ever planned.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from .files import InputError, bad, printable, read_bytes, read_json, read_toml


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


# What sweep.json has: a type, [form of every entry], or {key: form}. Keys may be absent.
FORM = {
    "name": str,
    "hypothesis": str,
    "seeds": [int],
    "looks": [int],
    "baseline": str,
    "metric": str,
    "margin": float,
    "match": str,
    "match_by": str,
    "keys": [str],
    "variants": [{"name": str, "settings": dict}],
    "tune": {
        "keys": [str],
        "per": [str],
        "winners": [
            {"variant": str, "group": dict, "chosen": dict, "edge": str, "key": str},
        ],
    },
    "cull": dict,
    "pending": [
        {"variant": str, "group": dict, "runs": int, "tune_runs": int, "tune_ended": int},
    ],
    "current": [str],
}
MAY_BE_NULL = ("tune", "cull")


def is_sweep(path):
    return (path / "sweep.json").is_file()


def folder_of_file(file):
    """The folder of a sweep file, which `plumb sweep run` writes: [sweep] out, else runs/NAME, seen
    from the current folder; of the copy in a sweep's folder, that folder. Throws InputError.
    """
    if not file.is_file():
        raise InputError(printable(f"no file {file}; give a sweep file, or a folder of runs"))
    says = read_toml(file)
    if not {"sweep", "grid", "zip", "variant", "tune"} & set(says):
        raise bad(file, "is no sweep file (plumb help sweep-file); give a folder of runs")
    table = says.get("sweep")
    out = table.get("out") if isinstance(table, dict) else None
    folder = Path(out if isinstance(out, str) and out else f"runs/{file.stem}")
    if file.name == "sweep.toml" and (file.parent / "plan.jsonl").exists():
        folder = file.parent
    if not is_sweep(folder):
        scales = says.get("scale") if isinstance(says.get("scale"), dict) else {}
        there = [f"{folder}-{s}" for s in scales if is_sweep(Path(f"{folder}-{s}"))]
        make = f"type: plumb sweep run {quote(str(file))}"
        todo = f"give {' or '.join(there)}" if there else make
        raise InputError(printable(f"{folder} has no runs of {file} yet; {todo}"))
    return folder


def misfit(value, form, where):
    """Where in a value of JSON something is not as the form says, "" where all is."""
    if isinstance(form, list):
        if not isinstance(value, list):
            return where
        found = (misfit(x, form[0], f"{where}[{i}]") for i, x in enumerate(value))
        return next(filter(None, found), "")
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return where
        found = (misfit(value[k], f, f"{where}.{k}") for k, f in form.items() if k in value)
        return next(filter(None, found), "")
    right = isinstance(value, form)
    if form in (int, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = number and abs(value) < 1e300 and (form is float or value == int(value))
    return "" if right else where


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
            numerics = isinstance(entry.get("numerics", 1), int)
            whole = isinstance(id, str) and isinstance(directory, str) and directory
            seed = isinstance(entry["seed"], int) and isinstance(entry["variant"], str)
            if not (whole and seed and numerics and isinstance(entry.get("point", {}), dict)):
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
    known = {k: v for k, v in raw.items() if k in FORM and not (v is None and k in MAY_BE_NULL)}
    wrong = misfit(known, FORM, "")
    if wrong:
        raise bad(path, f'has a "{wrong[1:]}" of another kind; plumb sweep plan writes it anew')
    current = frozenset(known.pop("current", ()))
    sweep = Sweep(folder, raw=raw, current=current, **known)
    if not sweep.margin >= 0:
        raise bad(path, "has a margin that is no distance")
    if any("name" not in v for v in sweep.variants):
        raise bad(path, "has a variant without a name")
    if sweep.tune is not None and "keys" not in sweep.tune:
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
