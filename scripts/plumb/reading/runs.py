"""Runs as one collection: plumb.load. Small files are read at once, logs when they are asked for.

A sweep's runs are what sweep.json stands for now; a folder of runs is grouped by what differs in
the runs' settings. Either way the runs fall into cells, one variant at one point of the grid each.
"""

import glob
import math
import os
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import groups, measures, program
from .files import RESTORE, InputError, UsageError, printable
from .frames import frame
from .run import NO_SUMMARY, Run, find_runs, open_run, try_load
from .sweep import folder_of_file, is_sweep, read_sweep

# Set aside: no statistic takes runs of these, and each is named.
ASIDE = ("orphan", "outdated", "culled", "unfinished", "damaged")
LEADING = ("id", "variant", "stage", "seed", "status", "why")
MEASURED = ("tok_per_s", "time_s", "peak_memory_bytes", "device", "commit", "numerics", "flops")


@dataclass
class Cell:
    """Runs that differ in their seeds alone."""

    variant: str
    point: dict  # key -> value, of the keys that its variant reads
    label: str
    runs: list = field(default_factory=list)  # of any status
    settings: dict = field(default_factory=dict)  # groups.identity, of folders without a sweep

    @property
    def mixer(self):
        return self.settings["mixer.name"]

    @property
    def ended(self):
        return [r for r in self.runs if r.status in ("finished", "diverged")]

    def count(self, status):
        return sum(r.status == status for r in self.runs)


def seed_key(run):
    """What pairs a run with its baseline's: its seed; a text where it has several seeds."""
    key = run.pair_key
    return key[0] if len(key) == 1 else " ".join(map(str, key))


def shown(value):
    """A value of a setting, short: 0.001, swiglu, 64,128."""
    if isinstance(value, list):
        return ",".join(map(shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else printable(value)


def point_words(point, keys=None):
    """`layers=12 width=64`; keys: which of them, in order."""
    keys = [k for k in (point if keys is None else keys) if k in point]
    return [f"{groups.name_of(k, keys)}={shown(point[k])}" for k in keys]


class Runs(Sequence):
    """plumb.load(...): the runs that count, in their order; `left_out` has the others."""

    def __init__(self, every, sweep=None, cells=()):
        self.all = list(every)
        self.sweep = sweep
        self.cells = list(cells)
        self._counted = [
            r for r in self.all if r.stage == "main" and r.status in ("finished", "diverged")
        ]

    def __len__(self):
        return len(self._counted)

    def __getitem__(self, key):
        if not isinstance(key, str):
            return self._counted[key]
        same = [r for r in self.all if key in (r.id, r.path.name)]
        found = same or [r for r in self.all if r.id.startswith(key)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise KeyError(f"no run '{printable(key)}'; .table has their ids")
        raise KeyError(f"'{key}' may be {', '.join(r.id for r in found[:4])}")

    def __repr__(self):
        aside = f", {len(self.left_out)} left out" if self.left_out else ""
        return f"<{len(self)} runs of {len(self.cells)} variants{aside}>"

    @property
    def tune(self):
        """Runs of a sweep's first stage that ended."""
        return [r for r in self.all if r.stage == "tune" and r.status in ("finished", "diverged")]

    @property
    def left_out(self):
        """[(Run, why)] of what no statistic takes."""
        return [(r, r.why) for r in self.all if r.status in ASIDE]

    @property
    def table(self):
        """One row a run, whatever became of it."""
        settings = sorted({k for r in self.all for k in r.config})
        numbers = sorted(
            {
                k
                for r in self.all
                for k, v in r.summary.items()
                if isinstance(v, (int, float)) and k not in ("schema", "seed", *MEASURED)
            }
        )
        rows = []
        for r in self.all:
            row = {c: getattr(r, c) for c in LEADING}
            row.update(r.config)
            row.update({k: r.number(k) for k in numbers})
            row.update({k: r.timing.get(k, math.nan) for k in ("time_s", "peak_memory_bytes")})
            row.update(tok_per_s=r.tok_per_s, device=r.device, commit=r.commit)
            row.update(numerics=r.numerics, flops=r.flops_per_token * r.tokens, path=str(r.path))
            rows.append(row)
        return frame([*LEADING, *settings, *numbers, *MEASURED, "path"], rows)

    def metrics(self, names):
        """Every recorded value of these metrics, unsampled, of the runs that count."""
        rows = []
        for r in self:
            for (step,), record in r.metrics.items():
                tokens = record.get("tokens", math.nan)
                for name in names:
                    if name in record:
                        rows.append(
                            {
                                "id": r.id,
                                "variant": r.variant,
                                "seed": r.seed,
                                "step": step,
                                "tokens": tokens,
                                "time_s": tokens / (r.tok_per_s or math.nan),
                                "metric": name,
                                "value": record[name],
                            }  # fmt: skip
                        )
        columns = ("id", "variant", "seed", "step", "tokens", "time_s", "metric", "value")
        return frame(columns, rows)

    def depth(self, name):
        """One measure of depth.jsonl at every probe and depth, of the runs that count."""
        rows = []
        for r in self:
            for (step, depth), record in r.depth.items():
                if name in record:
                    row = {"id": r.id, "variant": r.variant, "seed": r.seed, "step": step}
                    row.update(depth=depth, site=record.get("site"), kind=record.get("kind"))
                    rows.append({**row, "value": record[name]})
        columns = ("id", "variant", "seed", "step", "depth", "site", "kind", "value")
        return frame(columns, rows)

    def experiment(self, baselines=None, title=""):
        """What the modules of figures/ take, by the labels of the cells; all logs are read, and a
        run whose log is damaged is left out. baselines: {label: label}.
        """
        variants = {}
        for cell in self.cells:
            known = next((r for r in cell.runs if r.config), cell.runs[0])
            found = groups.Variant(cell.label, groups.identity(known))
            for run in cell.runs:
                try:
                    if run.status == "finished":
                        _ = run.metrics, run.depth, run.tensors
                except InputError as e:
                    run.status, run.why = "damaged", str(e)
            mark_other_depths(cell.runs)
            for run in sorted(cell.runs, key=groups.pair_key):
                (found.runs if run.status == "finished" else found.left_out).append(run)
            variants[cell.label] = found
        measures.learn([r.path for r in self])
        placed = {id(r) for cell in self.cells for r in cell.runs}
        others = [r for r, _ in self.left_out if id(r) not in placed]
        return groups.Experiment(variants, dict(baselines or {}), printable(title), others)


def mark_other_depths(runs):
    """Seeds of one variant have as many sublayers: a run whose probes say another number than most
    of them is damaged.
    """
    depths = Counter(r.n_sublayers for r in runs if r.status == "finished" and r.n_sublayers)
    usual = max(depths, key=depths.get, default=0)
    for run in runs:
        if run.status == "finished" and run.n_sublayers not in (0, usual):
            words = f"depth.jsonl has {run.n_sublayers} sublayers, other seeds have {usual}"
            run.status, run.why = "damaged", words


def folders_of(where):
    """Folders that a path, a glob, a sweep file, or a list of these stands for."""
    if not isinstance(where, (str, os.PathLike)):
        return list(dict.fromkeys(f for one in where for f in folders_of(one)))
    path = Path(where)
    if path.suffix == ".toml" and not path.is_dir() and "*" not in str(where):
        return [folder_of_file(path)]
    if path.is_dir() or not any(c in str(where) for c in "*?["):
        return [path]
    found = [Path(p) for p in sorted(glob.glob(str(where), recursive=True)) if Path(p).is_dir()]
    if not found:
        raise InputError(printable(f"no folder matches {where}"))
    return found


def watched(items, say):
    """The items, and a word every two seconds on how many of them are read."""
    last = time.monotonic()
    for i, item in enumerate(items):
        if time.monotonic() - last > 2:
            last = time.monotonic()
            say(f"reading runs, {i} of {len(items)}")
        yield item


def load(where, say=lambda line: None):
    """Runs of a sweep's folder or file, a folder of runs, a run, a glob or a list of these. say:
    told what is done. Throws InputError.
    """
    folders = folders_of(where)
    if not folders:
        raise InputError("no folder was given")
    if len(folders) == 1 and is_sweep(folders[0]):
        return load_sweep(folders[0], say)
    paths = list(dict.fromkeys(f.resolve() for folder in folders for f in find_runs(folder)))
    return collect([try_load(p, open_run) for p in watched(paths, say)])


def mark_outdated(run, numerics):
    run.why = f"made with numerics {run.numerics}, now it is {numerics}"
    run.status = "outdated"


def mark_older(runs):
    """Of runs whose numbers one change of the program altered, those of before, where one of after
    is here. Which runs a change is about, the program says; that runs of the same settings are
    alike needs no program. Other runs may have unlike numerics.
    """
    known = [r for r in runs if r.mixer and r.numerics is not None]
    if len({r.numerics for r in known}) < 2:
        return
    alike = {}
    for run in known:
        alike.setdefault(tuple(sorted(groups.identity(run).items())), []).append(run)
    kinds = [(of, max(r.numerics for r in of)) for of in alike.values()]
    kinds += [([r for r in known if about(r.config)], n) for n, about in program.numerics_changes()]
    for of, since in kinds:
        if any(r.numerics >= since for r in of):
            for run in of:
                if run.numerics < since:
                    mark_outdated(run, since)


def mark_culled(run):
    if run.status != "damaged" and (run.path / "CULLED").exists():
        run.status, run.why = "culled", "culled: stopped early for its loss"


def collect(runs):
    """Runs that no sweep file describes, grouped by what differs in their settings."""
    if all(not r.mixer for r in runs):
        raise InputError(runs[0].why)
    for run in runs:
        mark_culled(run)
    mark_older(runs)
    known = [r for r in runs if r.mixer and r.status != "outdated"]
    variants = groups.in_order(groups.make_variants(known))
    varied = groups.varied_keys([v.settings for v in variants])
    cells = []
    for v in variants:
        own = {k for k in varied[v.mixer] if k.startswith("mixer.")}
        keys = [k for k in sorted(varied[v.mixer] - own) if k in v.settings]
        point = {k: v.runs[0].config.get(k, v.settings[k]) for k in keys}
        words = [v.mixer, *groups.differences(v.settings, v.runs, own)]
        name = v.runs[0].given_label or printable(" ".join(words))
        for run in v.runs:
            run.variant, run.point = name, point
        cells.append(Cell(name, point, v.label, v.runs, v.settings))
    for cell in cells:
        check_seeds(cell)
    order = {id(r): i for i, r in enumerate(r for c in cells for r in c.runs)}
    return Runs(sorted(runs, key=lambda r: order.get(id(r), len(order))), None, cells)


def check_seeds(cell):
    seen = {}
    for run in cell.ended:
        other = seen.setdefault(seed_key(run), run)
        if other is not run:
            raise UsageError(
                printable(
                    f"two runs are '{cell.label}' with seed {run.seed}: {other.path} and "
                    f"{run.path}; leave one out"
                )
            )


WRITTEN = ("config.toml", "summary.json", "metrics.jsonl")  # by a run that began


def never_began(path, seed):
    """A run that failed before its first write: its folder has its log, or empty folders."""
    try:
        said = Run(path, "", seed).log_tail(1)
    except InputError as e:
        said = [str(e)]
    why = f"failed before it began: {said[0] if said else 'it printed nothing'}"
    return Run(path, "", seed, "unfinished", why)


def say_rerun(sweep, run):
    """What gives back a run that ended and whose summary.json is gone or damaged."""
    if run.why.startswith(str(run.path / "summary.json")) or run.why == NO_SUMMARY:
        file = shlex.quote(str(sweep.path / "sweep.toml"))
        why = run.why.removesuffix(f"; {RESTORE}")
        run.why = f"{why}; type: plumb sweep run {file} --rerun {run.id}"


def open_planned(sweep, entry):
    path = sweep.path / entry["dir"]
    if any((path / name).exists() for name in WRITTEN):
        run = try_load(path, open_run)
    elif path.is_dir():
        run = never_began(path, entry["seed"])
    else:
        run = Run(path, "", entry["seed"], "unfinished", "not started")
    run.id, run.plan, run.seed = entry["id"], entry, entry["seed"]
    run.variant, run.stage = entry["variant"], entry.get("stage", "main")
    run.point = {k: v for k, v in entry.get("point", {}).items() if k not in sweep.tuned}
    mark_culled(run)
    planned = entry.get("numerics", 1)  # of all runs, before plans said it
    if run.numerics not in (None, planned):
        mark_outdated(run, planned)
    say_rerun(sweep, run)
    return run


def load_sweep(folder, say=lambda line: None):
    sweep = read_sweep(folder)
    entries = list(sweep.plan.values())
    runs = [open_planned(sweep, entry) for entry in watched(entries, say)]
    for run in runs:
        if run.id not in sweep.current:
            run.judged = run.status, run.why
            run.status, run.why = "orphan", "orphan: the sweep file no longer has it"
    planned = {r.path.name for r in runs}
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if name not in planned and not name.startswith(".") and (path / "config.toml").exists():
            stray = Run(path, "", 0, "orphan", "orphan: plan.jsonl does not have it")
            runs.append(stray)
    return Runs(runs, sweep, sweep_cells(sweep, runs))


def sweep_cells(sweep, runs):
    """Cells of the main stage, variants in the order of the file."""
    main = [r for r in runs if r.stage == "main" and r.status not in ("orphan", "outdated")]
    values = {k: {shown(r.point[k]) for r in main if k in r.point} for k in sweep.keys}
    keys = [k for k in sweep.keys if len(values[k]) > 1]
    cells = {}
    for run in main:
        at = (run.variant, tuple(sorted((k, shown(v)) for k, v in run.point.items())))
        if at not in cells:
            label = printable(" ".join([run.variant, *point_words(run.point, keys)]))
            cells[at] = Cell(run.variant, run.point, label)
        cells[at].runs.append(run)
    for cell in cells.values():
        check_seeds(cell)
    rank = {name: i for i, name in enumerate(sweep.names)}
    return sorted(cells.values(), key=lambda c: rank.get(c.variant, len(rank)))
