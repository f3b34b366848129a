"""One training run, read from its folder (schema 1 and 2).

Axes: L sublayers (attention, MLP, attention, ...), depth l = 1..L; depth 0 is the embedding, L+1
what the final norm reads.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .files import (
    InputError,
    as_count,
    as_number,
    bad,
    printable,
    read_json,
    read_jsonl,
    read_safetensors,
    read_text,
    read_toml,
)


@dataclass
class Run:
    path: Path
    mixer: str
    seed: int
    status: str = "finished"  # finished | unfinished | diverged | damaged
    config: dict = field(default_factory=dict)  # dotted key -> value
    summary: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict, repr=False)  # (step,) -> record
    depth: dict = field(default_factory=dict, repr=False)  # (step, depth) -> record
    tensors: dict = field(default_factory=dict, repr=False)  # of the last matrix file
    given_label: str | None = None  # what --label said
    data: str = ""  # fingerprint of the tokens it was trained on; "" when it is not recorded
    why: str = ""  # why it is not finished
    keeps_numbers: frozenset | None = None  # settings no loss depends on; None: not recorded

    def series(self, name):
        """(steps, tokens, values) of a metric, finite values only; float arrays."""
        rows = [
            (s, r.get("tokens", math.nan), r.get(name, math.nan))
            for (s,), r in self.metrics.items()
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
        given. None: no probe, or the field is at no depth of it.
        """
        steps = self.probe_steps()
        if not steps:
            return None
        step = steps[-1] if step is None else step
        depths = range(self.n_sublayers + 2)
        values = np.array([self.depth[step, d].get(name, math.nan) for d in depths])
        return None if np.isnan(values).all() else values

    def matrix(self, name="mean"):
        """(L+1, L+1) tensor of the last stored depth-mixing matrix: row l-1, column i; None when
        there is none of this name.
        """
        return self.tensors.get(name)

    @property
    def tokens(self):
        """Tokens trained on, NaN when unknown."""
        return self.summary.get("tokens", math.nan)


SUMMARY_NUMBERS = ("steps", "tokens", "params", "final_val_loss", "best_val_loss", "tok_per_s")


def read_summary(path):
    """summary.json with its texts checked and its numbers as floats; {} when there is none."""
    if not path.exists():
        return {}
    found = read_json(path)
    for name in ("mixer", "label", "status"):
        if not isinstance(found.get(name, ""), str):
            raise bad(path, f'has a "{name}" that is not a text')
    try:
        if "seed" in found:
            found["seed"] = as_count(found["seed"])
        for name in SUMMARY_NUMBERS:
            if name in found:
                found[name] = as_number(found[name])
    except ValueError as e:
        raise bad(path, f"has a damaged number: {e}") from e
    return found


def flat(table, prefix=""):
    """Nested tables -> {dotted key: value}."""
    found = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def read_config(path):
    """config.toml by dotted keys, the few that are used here checked; {} when there is none."""
    if not path.exists():
        return {}
    found = flat(read_toml(path))
    if not isinstance(found.get("mixer.name", ""), str):
        raise bad(path, "has a mixer.name that is not a text")
    seed = found.get("train.seed", 1)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise bad(path, "has a train.seed that is not a whole number")
    return found


def read_tensors(folder, n_sublayers):
    """(tensors of the newest matrix file, checked to be (L+1, L+1)), {} when there is none."""
    files = sorted(folder.glob("step_*.safetensors"))
    if not files:
        return {}
    tensors = read_safetensors(files[-1])
    if "mean" not in tensors or tensors["mean"].ndim != 2:
        raise bad(files[-1], "has no (L+1, L+1) tensor `mean`")
    rows = len(tensors["mean"])
    if tensors["mean"].shape != (rows, rows) or n_sublayers and rows != n_sublayers + 1:
        raise bad(files[-1], f"has a `mean` of another shape than its {n_sublayers} sublayers need")
    return {k: v for k, v in tensors.items() if v.shape == (rows, rows)}


def read_timing(path, summary):
    """Speed stands in timing.json since schema 2, by attempt; in summary.json before."""
    if "tok_per_s" in summary or not path.exists():
        return
    found = read_json(path)
    attempts = found.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else found
    if not isinstance(last, dict):
        raise bad(path, "has an attempt that is not an object")
    try:
        summary["tok_per_s"] = as_number(found.get("tok_per_s", last.get("tok_per_s")))
    except ValueError as e:
        raise bad(path, f"has a damaged number: {e}") from e


def given_label(config, summary, mixer):
    """The label a user gave: another one than the program makes of mixer and options."""
    label = config.get("record.label") or config.get("label") or summary.get("label") or ""
    made = re.fullmatch(r"[\w-]+( [\w.-]+=\S*)*", label) and label.split(" ")[0] == mixer
    return None if made or not isinstance(label, str) else printable(label) or None


def judge(run):
    """(status, why): a finished run says so, and its logs reach the step of its summary."""
    words = f"{run.summary.get('status', '')} "
    if (run.path / "STATUS").exists():
        words += read_text(run.path / "STATUS")
    words = words.lower()
    last = max((s for (s,) in run.metrics), default=0)
    if "diverge" in words:
        return "diverged", f"diverged by step {last}"
    if not run.summary or any(
        w in words for w in ("running", "interrupt", "unfinished", "stopped")
    ):
        goal = run.config.get("train.steps")
        return "unfinished", f"unfinished, its log is at step {last}" + (
            f" of {goal}" if goal else ""
        )
    steps = run.summary.get("steps", math.nan)
    if math.isfinite(steps) and last < steps:
        return "damaged", f"metrics.jsonl ends at step {last}, summary.json says {steps:.0f}"
    probes = run.probe_steps()
    if run.depth and math.isfinite(steps) and (not probes or probes[-1] < steps):
        at = f"step {probes[-1]}" if probes else "no whole probe"
        return "damaged", f"depth.jsonl ends at {at}, summary.json says {steps:.0f}"
    return "finished", ""


def load_run(path):
    """Reads one run folder; throws InputError when it is not one."""
    summary_file, config_file = path / "summary.json", path / "config.toml"
    if not summary_file.exists() and not config_file.exists():
        raise bad(
            path,
            "holds neither summary.json nor config.toml; "
            "give a folder made by: plumb train --out DIR",
        )
    summary, config = read_summary(summary_file), read_config(config_file)
    read_timing(path / "timing.json", summary)
    mixer = summary.get("mixer") or config.get("mixer.name") or "standard"
    manifest = read_json(path / "manifest.json") if (path / "manifest.json").exists() else {}
    data, made = manifest.get("data"), manifest.get("run")
    keeps = made.get("keeps_numbers") if isinstance(made, dict) else None
    run = Run(
        path,
        printable(mixer),
        summary.get("seed", config.get("train.seed", 1)),
        config=config,
        summary=summary,
        metrics=read_jsonl(path / "metrics.jsonl", ("step",)),
        depth=read_jsonl(path / "depth.jsonl", ("step", "depth")),
        given_label=given_label(config, summary, mixer),
        data=str(data.get("fingerprint", "")) if isinstance(data, dict) else "",
        keeps_numbers=frozenset(map(str, keeps)) if isinstance(keeps, list) else None,
    )
    run.tensors = read_tensors(path / "matrix", run.n_sublayers)
    run.status, run.why = judge(run)
    return run


def try_load(path):
    """load_run, or a Run of status `damaged` that says why."""
    try:
        return load_run(path)
    except InputError as e:
        return Run(path, "", 0, status="damaged", why=str(e))


def is_run(path):
    return any((path / name).exists() for name in ("summary.json", "config.toml", "metrics.jsonl"))


def find_runs(path):
    """The run folder itself, or every run folder below a folder of runs."""
    if not path.is_dir():
        raise InputError(
            printable(f"no run folder {path}; make one with: plumb train --out {path}")
        )
    if is_run(path):
        return [path]
    below = sorted({f.parent for name in ("summary.json", "config.toml") for f in path.rglob(name)})
    if not below:
        raise bad(path, "holds no run; give a folder made by: plumb train --out DIR")
    return below
