"""One training run, read from its folder (schema 1 and 2).

Axes: L sublayers (attention, MLP, attention, ...), depth l = 1..L; depth 0 is the embedding, L+1
what the final norm reads.
"""

import math
import re
from functools import cached_property

import numpy as np

from .files import (
    InputError,
    UsageError,
    as_count,
    as_number,
    bad,
    finite,
    last_record,
    printable,
    read_json,
    read_jsonl,
    read_safetensors,
    read_tail,
    read_text,
)
from .settings import read_config

SEEDS = re.compile(r"train\.seed(_\w+)?|seeds?\.\w+")


class Run:
    """Its small files are read at once, the logs when they are asked for: a log that is damaged
    raises InputError then.
    """

    def __init__(self, path, mixer, seed, status="finished", why="", **known):
        """known: any of config, summary, timing, manifest, plan, metrics, depth, tensors."""
        self.path, self.mixer, self.seed = path, mixer, seed
        self.status = status  # finished | unfinished | diverged | damaged, or set aside (runs.py)
        self.why = why  # why it is not finished
        self.id = path.name
        self.variant, self.stage, self.point = mixer, "main", {}
        self.config = {}  # dotted key -> value
        self.summary, self.timing, self.manifest = {}, {}, {}
        self.plan = {}  # its line of a sweep's plan.jsonl
        self.given_label = None  # what --label said
        self.__dict__.update(known)

    def __repr__(self):
        return f"<run {self.id}: {self.variant} seed {self.seed}, {self.status}>"

    @cached_property
    def metrics(self):
        """(step,) -> record"""
        return read_jsonl(self.path / "metrics.jsonl", ("step",))

    @cached_property
    def depth(self):
        """(step, depth) -> record"""
        return read_jsonl(self.path / "depth.jsonl", ("step", "depth"))

    @cached_property
    def tensors(self):
        """Of the last matrix file, {} when there is none."""
        steps = self.matrix_steps()
        return read_tensors(self.matrix_file(steps[-1])) if steps else {}

    @property
    def data(self):
        """Fingerprint of the tokens it was trained on, "" when it is not recorded."""
        found = self.manifest.get("data")
        return str(found.get("fingerprint", "")) if isinstance(found, dict) else ""

    @cached_property
    def keeps_numbers(self):
        """Settings no loss depends on; None when that is not recorded."""
        made = self.manifest.get("run")
        keeps = made.get("keeps_numbers") if isinstance(made, dict) else None
        return frozenset(map(str, keeps)) if isinstance(keeps, list) else None

    @cached_property
    def pair_key(self):
        """What pairs it with the baseline's: all its seeds."""
        own = {k: v for k, v in self.config.items() if SEEDS.fullmatch(k) and k != "train.seed"}
        return (
            self.seed,
            *(f"{k}={v}" for k, v in sorted(own.items()) if v not in (-1, self.seed)),
        )

    @property
    def commit(self):
        """Of the program, "" when it is not recorded; a + follows where it had been changed."""
        git = self.manifest.get("git")
        if not isinstance(git, dict) or not git.get("commit"):
            return ""
        return printable(str(git["commit"])[:7]) + ("+" if git.get("dirty") is True else "")

    @property
    def numerics(self):
        """Number of the arithmetic that made it; None when it is not recorded."""
        found = self.manifest.get("numerics")
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def device(self):
        made = self.manifest.get("run")
        made = made.get("device") if isinstance(made, dict) else None
        return printable(self.timing.get("device") or made or "")

    @property
    def tok_per_s(self):
        return self.summary.get("tok_per_s", math.nan)

    @property
    def flops_per_token(self):
        """Of training, forward and backward; NaN when it is not recorded."""
        x = finite(self.plan.get("flops_per_token", self.summary.get("flops_per_token")))
        return x if x > 0 else math.nan

    def number(self, name):
        """A number of summary.json, or tok_per_s; NaN when it is not there."""
        return finite(self.summary.get(name))

    def series(self, name):
        """(steps, tokens, values) of a metric, finite values only; float arrays."""
        rows = [
            (s, r.get("tokens", math.nan), r.get(name, math.nan))
            for (s,), r in self.metrics.items()
        ]
        rows = [r for r in rows if math.isfinite(r[2])]
        return tuple(np.array(column) for column in zip(*rows)) if rows else (np.array([]),) * 3

    @cached_property
    def val_curve(self):
        """(tokens, validation losses), ascending and finite; only lines that have one are read."""
        if "metrics" in vars(self):
            records = self.metrics.values()
        else:
            path = self.path / "metrics.jsonl"
            records = read_jsonl(path, ("step",), having=b'"val/loss"').values()
        points = [(r.get("tokens", math.nan), r.get("val/loss", math.nan)) for r in records]
        points = sorted({t: x for t, x in points if math.isfinite(t) and math.isfinite(x)}.items())
        return tuple(np.array(column) for column in zip(*points)) if points else (np.array([]),) * 2

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

    def matrix_file(self, step):
        return self.path / "matrix" / f"step_{step:08d}.safetensors"

    def matrix_steps(self):
        """Steps at which the depth-mixing matrix was stored, ascending."""
        names = (f.stem[5:] for f in (self.path / "matrix").glob("step_*.safetensors"))
        return sorted(int(n) for n in names if n.isdecimal())

    def matrix(self, name="mean", step=None):
        """(L+1, L+1) tensor of the depth-mixing matrix stored at `step`, the last one without: row
        l-1, column i. None when there is none of this name.
        """
        if step is None:
            return self.tensors.get(name)
        if step not in self.matrix_steps():
            stored = ", ".join(map(str, self.matrix_steps())) or "none"
            raise UsageError(
                printable(f"{self.path} has no matrix of step {step}; stored: {stored}")
            )
        return read_tensors(self.matrix_file(step)).get(name)

    @property
    def ways(self):
        """Further ways in which attention reads, whose tensors are called `mean.k`: () mostly."""
        return tuple(w for w in WAYS if f"mean.{w}" in self.tensors)

    def log_tail(self, n=3):
        """The last lines of what its process printed (log.txt of a sweep), [] without."""
        path = self.path / "log.txt"
        if not path.exists():
            return []
        lines = read_tail(path).decode("utf-8", "replace").splitlines()
        return [printable(line) for line in lines if line.strip()][-n:]

    @property
    def tokens(self):
        """Tokens trained on, NaN when unknown."""
        return self.summary.get("tokens", math.nan)


WAYS = {"k": "keys", "v": "values"}  # of what an attention reads for its queries: no suffix
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


def read_tensors(path):
    """Those tensors of a matrix file that are (L+1, L+1) as its `mean`."""
    tensors = read_safetensors(path)
    if "mean" not in tensors or tensors["mean"].ndim != 2:
        raise bad(path, "has no (L+1, L+1) tensor `mean`")
    rows = len(tensors["mean"])
    if tensors["mean"].shape != (rows, rows):
        raise bad(path, "has a `mean` that is not square")
    return {k: v for k, v in tensors.items() if v.shape == (rows, rows)}


def read_timing(path, summary):
    """timing.json, {} when there is none. Speed stands there since schema 2, by attempt; in
    summary.json before: `summary` has tok_per_s afterwards.
    """
    if not path.exists():
        return {}
    found = read_json(path)
    attempts = found.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else found
    if not isinstance(last, dict):
        raise bad(path, "has an attempt that is not an object")
    try:
        speed = as_number(found.get("tok_per_s", last.get("tok_per_s")))
    except ValueError as e:
        raise bad(path, f"has a damaged number: {e}") from e
    summary.setdefault("tok_per_s", speed)
    return found


def given_label(config, summary, mixer):
    """The label a user gave: another one than the program makes of mixer and options."""
    label = config.get("record.label") or config.get("label") or summary.get("label") or ""
    made = re.fullmatch(r"[\w-]+( [\w.-]+=\S*)*", label) and label.split(" ")[0] == mixer
    return None if made or not isinstance(label, str) else printable(label) or None


def last_step(run):
    """Of metrics.jsonl, 0 without one; of what is read of it, if anything is."""
    if "metrics" in vars(run):
        return max((s for (s,) in run.metrics), default=0)
    return last_record(run.path / "metrics.jsonl").get("step", 0)


def last_probe(run):
    """Step of the last whole probe, 0 where none is whole; None when nothing was probed. Of a log
    that is not read, the step of its last line.
    """
    if "depth" in vars(run):
        return max(run.probe_steps(), default=0) if run.depth else None
    return last_record(run.path / "depth.jsonl").get("step")


NO_SUMMARY = "finished, but its summary.json is gone"


def judge(run):
    """(status, why): a finished run says so, and its logs reach the step of its summary."""
    words = f"{run.summary.get('status', '')} "
    if (run.path / "STATUS").exists():
        words += read_text(run.path / "STATUS")
    words = words.lower()
    if "diverge" in words:
        return "diverged", f"diverged by step {last_step(run)}"
    if not run.summary and words.split() == ["done"]:
        return "damaged", NO_SUMMARY
    if not run.summary or any(
        w in words for w in ("running", "interrupt", "unfinished", "stopped", "failed")
    ):
        goal = run.config.get("train.steps")
        return "unfinished", f"unfinished, its log is at step {last_step(run)}" + (
            f" of {goal}" if goal else ""
        )
    steps = run.summary.get("steps", math.nan)
    if math.isfinite(steps) and last_step(run) < steps:
        return (
            "damaged",
            f"metrics.jsonl ends at step {last_step(run)}, summary.json says {steps:.0f}",
        )
    probe = last_probe(run)
    if probe is not None and math.isfinite(steps) and probe < steps:
        at = f"step {probe}" if probe else "no whole probe"
        return "damaged", f"depth.jsonl ends at {at}, summary.json says {steps:.0f}"
    return "finished", ""


def open_run(path):
    """One run folder, its logs unread; throws InputError when it is not one."""
    summary_file, config_file = path / "summary.json", path / "config.toml"
    if not summary_file.exists() and not config_file.exists():
        raise bad(
            path,
            "holds neither summary.json nor config.toml; "
            "give a folder made by: plumb train --out DIR",
        )
    summary, config = read_summary(summary_file), read_config(config_file)
    timing = read_timing(path / "timing.json", summary)
    mixer = summary.get("mixer") or config.get("mixer.name") or "standard"
    manifest = read_json(path / "manifest.json") if (path / "manifest.json").exists() else {}
    run = Run(
        path,
        printable(mixer),
        summary.get("seed", config.get("train.seed", 1)),
        config=config,
        summary=summary,
        timing=timing,
        manifest=manifest,
        given_label=given_label(config, summary, mixer),
    )
    run.status, run.why = judge(run)
    return run


def load_run(path):
    """One run folder, all of it read; throws InputError when it is not one."""
    run = open_run(path)
    rows, sublayers = len(run.tensors.get("mean", ())), run.n_sublayers
    if rows and sublayers and rows != sublayers + 1:
        at = run.matrix_file(run.matrix_steps()[-1])
        raise bad(at, f"has a `mean` of another shape than its {sublayers} sublayers need")
    if run.metrics or run.depth:  # read by now: judged by all of it
        run.status, run.why = judge(run)
    return run


def try_load(path, read=load_run):
    """read(path), or a Run of status `damaged` that says why."""
    try:
        return read(path)
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
    hidden = [d for d in below if any(p.startswith(".") for p in d.relative_to(path).parts)]
    below = [d for d in below if d not in hidden]  # .old, .merged: set aside
    if not below:
        raise bad(path, "holds no run; give a folder made by: plumb train --out DIR")
    return below
