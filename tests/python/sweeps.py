"""Folders of sweeps with made-up losses, as `plumb sweep` and `plumb train` write them, a few small
files a run.
"""

import json
from pathlib import Path

DIVERGED, RUNNING, ABSENT = "diverged", "running", "absent"  # instead of a loss


def config_text(settings):
    tables = {}
    for key, value in settings.items():
        table, name = key.split(".")
        tables.setdefault(table, []).append(f"{name} = {json.dumps(value)}\n")
    return "".join(f"[{t}]\n{''.join(lines)}\n" for t, lines in tables.items())


def write_run(path, loss, seed, settings=None, params=1000, tokens=1000.0, speed=100.0, made=None,
              curve=(), **summary):  # fmt: skip
    """loss: a number, None, DIVERGED or RUNNING. made: manifest.json. curve: (tokens, loss)s."""
    path.mkdir(parents=True)
    settings = {"mixer.name": "standard", "train.seed": seed, "train.steps": 10, **(settings or {})}
    (path / "config.toml").write_text(config_text(settings))
    status = loss if isinstance(loss, str) else "done"
    (path / "STATUS").write_text(status + "\n")
    if made:
        (path / "manifest.json").write_text(json.dumps(made))
    if curve:
        lines = [{"step": i, "tokens": t, "val/loss": x} for i, (t, x) in enumerate(curve, 1)]
        (path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
        summary.setdefault("steps", len(curve))
    if status == RUNNING:
        return
    found = {"mixer": settings["mixer.name"], "seed": seed, "status": status, "params": params,
             "tokens": tokens, "tok_per_s": speed,
             "final_val_loss": None if isinstance(loss, str) else loss, **summary}  # fmt: skip
    (path / "summary.json").write_text(json.dumps(found))


class Sweep:
    """Collects runs, then writes the folder's own files."""

    def __init__(self, folder, variants, seeds, **more):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.says = {
            "schema": 1, "name": self.folder.name, "hypothesis": "Is it so?", "seeds": list(seeds),
            "looks": [len(seeds)], "baseline": variants[0], "metric": "final_val_loss",
            "margin": 0, "match": "tokens", "match_by": "train.steps", "keys": [],
            "variants": [{"name": v, "settings": {}} for v in variants],
            "tune": None, "cull": None, "current": [], "pending": [], **more,
        }  # fmt: skip
        self.plan = []

    def add(self, variant, seed, loss, point=None, stage="main", current=True, plan=None, **run):
        index = len(self.plan)
        entry = {
            "index": index, "id": f"{index:05x}{'a' * 5}", "variant": variant, "stage": stage,
            "point": point or {}, "seed": seed, "settings": {}, "dir": f"{variant}-s{seed}-{index}",
            **(plan or {}),
        }  # fmt: skip
        self.plan.append(entry)
        if current:
            self.says["current"].append(entry["id"])
        if loss != ABSENT:
            write_run(self.folder / entry["dir"], loss, seed, **run)
        return entry

    def add_losses(self, losses, **more):
        """losses: {variant: {seed: loss}}"""
        for variant, by_seed in losses.items():
            for seed, loss in by_seed.items():
                self.add(variant, seed, loss, **more)
        return self

    def write(self):
        (self.folder / "sweep.json").write_text(json.dumps(self.says))
        lines = "".join(json.dumps(entry) + "\n" for entry in self.plan)
        (self.folder / "plan.jsonl").write_text(lines)
        return self.folder
