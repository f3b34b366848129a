"""Reading run folders (schema 1). A Run is one training run; an Experiment is runs grouped by
label, seeds inside.

Axes: L sublayers (attention, MLP, attention, ...), depth l = 1..L; depth 0 is the embedding, L+1
what the final norm reads.
"""

import json
import math
import struct
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MIXERS = ("standard", "highway", "denseformer", "hyper", "mhc", "attnres", "attnres_block")


class UsageError(Exception):
    """The command was asked for something it cannot mean (exit 2)."""


class InputError(Exception):
    """A file is missing or not what it should be (exit 4)."""


class Skip(Exception):
    """A figure has no data in these runs; the message says how to record it."""


def number(value):
    """JSON number or null -> float, null and absent -> NaN."""
    return math.nan if value is None else float(value)


def read_json(path):
    try:
        return json.loads(path.read_text())
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}") from e
    except ValueError as e:
        raise InputError(
            f"{path} is not JSON ({e}); restore it, or move it away to use config.toml"
        ) from e


def read_jsonl(path, keys):
    """Records by tuple of `keys`. A later record of the same key overwrites field by field, which
    is what a resumed run writes after a rewind. A last line cut off by a kill is dropped; a bad
    line elsewhere raises InputError.
    """
    records = {}
    lines = path.read_text().split("\n") if path.exists() else []
    while lines and not lines[-1].strip():
        lines.pop()
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            key = tuple(int(record[k]) for k in keys)
        except (ValueError, KeyError, TypeError) as e:
            if n == len(lines):
                break
            raise InputError(
                f"{path} line {n} is not a record with {', '.join(keys)}; "
                "delete that line and run again"
            ) from e
        records.setdefault(key, {}).update(record)
    return dict(sorted(records.items()))


def read_safetensors(path):
    """All F32 and F64 tensors of a safetensors file, as {name: array}."""
    blob = path.read_bytes()
    try:
        size = struct.unpack("<Q", blob[:8])[0]
        header = json.loads(blob[8 : 8 + size])
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            kind = {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]
            data = np.frombuffer(blob[8 + size + begin : 8 + size + end], dtype=kind)
            tensors[name] = data.reshape(entry["shape"]).astype(np.float64)
        return tensors
    except (struct.error, ValueError, KeyError, TypeError) as e:
        raise InputError(
            f"{path} is not a whole safetensors file; delete it, the matrix before it is used then"
        ) from e


@dataclass
class Run:
    path: Path
    mixer: str
    label: str
    seed: int
    status: str  # finished | unfinished | diverged
    summary: dict
    metrics: dict  # (step,) -> record
    depth: dict = field(repr=False)  # (step, depth) -> record

    def series(self, name):
        """(steps, tokens, values) of a metric, finite values only; int, float, float arrays."""
        rows = [
            (s, number(r.get("tokens")), number(r.get(name))) for (s,), r in self.metrics.items()
        ]
        rows = [r for r in rows if math.isfinite(r[2])]
        return tuple(np.array(column) for column in zip(*rows)) if rows else (np.array([]),) * 3

    @property
    def n_sublayers(self):
        """L, or 0 when nothing was probed."""
        return max((d for _, d in self.depth), default=1) - 1

    def probe_steps(self):
        """Steps whose probe is whole (depth 0..L+1): a kill may leave part of one."""
        count = {}
        for step, _ in self.depth:
            count[step] = count.get(step, 0) + 1
        return [s for s, n in count.items() if n == self.n_sublayers + 2]

    def by_depth(self, name, step=None):
        """(L+2) values of a probe field, NaN where absent; at the last whole probe unless a step is
        given. None: no probe.
        """
        steps = self.probe_steps()
        if not steps:
            return None
        step = steps[-1] if step is None else step
        return np.array(
            [number(self.depth[step, d].get(name)) for d in range(self.n_sublayers + 2)]
        )

    def quantiles(self):
        """(L+2, 6) parameter-gradient quantiles p5 p25 p50 p75 p95 max of the last whole probe, NaN
        where absent, or None.
        """
        steps = self.probe_steps()
        if not steps:
            return None
        rows = [
            self.depth[steps[-1], d].get("pgrad_q") or [None] * 6
            for d in range(self.n_sublayers + 2)
        ]
        return np.array([[number(q) for q in row] for row in rows])

    def matrix(self):
        """(step, mean) with mean (L+1, L+1) of the last stored depth-mixing matrix, or None."""
        files = sorted((self.path / "matrix").glob("step_*.safetensors"))
        if not files:
            return None
        tensors = read_safetensors(files[-1])
        if "mean" not in tensors or tensors["mean"].ndim != 2:
            raise InputError(f"{files[-1]} has no (L+1, L+1) tensor `mean`")
        return int(files[-1].stem.split("_")[1]), tensors["mean"]


def status_of(path, summary):
    words = str(summary.get("status", "")) + " "
    if (path / "STATUS").exists():
        words += (path / "STATUS").read_text()
    if "diverge" in words.lower():
        return "diverged"
    partial = any(w in words.lower() for w in ("running", "interrupt", "unfinished"))
    return "finished" if summary and not partial else "unfinished"


def load_run(path):
    """Reads one run folder; throws InputError when it is not one."""
    summary_file, config_file = path / "summary.json", path / "config.toml"
    if not summary_file.exists() and not config_file.exists():
        raise InputError(
            f"{path} holds neither summary.json nor config.toml; "
            "give a folder made by: plumb train --out DIR"
        )
    summary = read_json(summary_file) if summary_file.exists() else {}
    config = {}
    if config_file.exists():
        try:
            config = tomllib.loads(config_file.read_text())
        except tomllib.TOMLDecodeError as e:
            raise InputError(f"{config_file} is not TOML: {e}") from e
    mixer = summary.get("mixer") or config.get("mixer", {}).get("name") or "standard"
    seed = summary.get("seed", config.get("train", {}).get("seed", 1))
    return Run(
        path,
        mixer,
        summary.get("label") or config.get("label") or mixer,
        int(seed),
        status_of(path, summary),
        summary,
        read_jsonl(path / "metrics.jsonl", ("step",)),
        read_jsonl(path / "depth.jsonl", ("step", "depth")),
    )


def is_run(path):
    return any((path / name).exists() for name in ("summary.json", "config.toml", "metrics.jsonl"))


def find_runs(path):
    """The run folder itself, or every run folder below a folder of runs."""
    if not path.is_dir():
        raise InputError(f"no run folder {path}; make one with: plumb train --out {path}")
    if is_run(path):
        return [path]
    below = sorted({f.parent for name in ("summary.json", "config.toml") for f in path.rglob(name)})
    if not below:
        raise InputError(f"no run in {path}; give a folder made by: plumb train --out DIR")
    return below


@dataclass
class Experiment:
    groups: dict  # label -> [Run, ...] sorted by seed
    baseline: str | None  # label the differences are taken to, None when it is not among the runs
    title: str = ""

    @property
    def runs(self):
        return [run for group in self.groups.values() for run in group]


def load(paths, baseline="standard", title=""):
    """Reads all runs and groups them by label: the known mixers in their order, then the others by
    name.
    """
    folders = list(dict.fromkeys(f.resolve() for p in paths for f in find_runs(Path(p))))
    groups = {}
    for run in (load_run(f) for f in folders):
        groups.setdefault(run.label, []).append(run)
    for label, group in groups.items():
        check_group(label, group)
        group.sort(key=lambda r: r.seed)
    rank = {m: i for i, m in enumerate(MIXERS)}
    order = sorted(
        groups, key=lambda k: (rank.get(groups[k][0].mixer, len(MIXERS)), k not in rank, k)
    )
    if baseline not in groups:
        same = [k for k in order if groups[k][0].mixer == baseline]
        baseline = same[0] if len(same) == 1 else None
    return Experiment({k: groups[k] for k in order}, baseline, title)


def check_group(label, group):
    seen = {}
    for run in group:
        if run.seed in seen:
            raise UsageError(
                f"two runs are '{label}' with seed {run.seed}: {seen[run.seed]} and {run.path}; "
                'leave one out, or give one another "label" in its summary.json'
            )
        seen[run.seed] = run.path
    depths = {r.n_sublayers for r in group if r.n_sublayers}
    if len(depths) > 1:
        raise UsageError(
            f"runs labelled '{label}' have {sorted(depths)} sublayers; "
            'give each depth its own "label" in summary.json'
        )


def healthy(runs):
    """Runs that did not diverge; when all did, all of them."""
    return [r for r in runs if r.status != "diverged"] or runs


def over_seeds(arrays):
    """Arrays of one shape -> (mean, min, max, n), or None for none. NaN where every seed is NaN."""
    arrays = [a for a in arrays if a is not None]
    if not arrays:
        return None
    stack = np.stack(arrays)
    return stack.mean(axis=0), stack.min(axis=0), stack.max(axis=0), len(arrays)
