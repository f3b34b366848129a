"""Reports of made-up runs, for the tests of `plumb report`: seven mixers with five seeds, and a
sweep over sizes with a first stage, runs that failed and texts that no page should trust.
"""

import contextlib
import io
import json
import math

import sweeps
import synthetic

HOSTILE = "<script>window.hacked=1</script>$x_1$ \"q' & \x1b[31m\u202e"


def seven_mixers(folder, seeds=(1, 2, 3, 4, 5), mixers=synthetic.MIXERS, n=24, steps=1000):
    """Plain runs, a folder each."""
    synthetic.make_set(folder, mixers=mixers, seeds=seeds, n=n, steps=steps, schema=2)
    for path in sorted(folder.iterdir()):
        add_manifest(path, dirty=path.name.endswith("-1"))
        add_probe(path, n, steps // 2)
    return folder


def add_manifest(path, dirty=False, commit="9a0b0c9" + "0" * 33):
    found = {
        "command_line": ["plumb", "train", "--out", f"runs/{path.name}"],
        "git": {"commit": commit, "dirty": dirty},
        "machine": {"host": "box", "cpu": "a cpu"},
        "run": {"device": "cpu", "threads": 1, "precision": "fp32"},
        "numerics": 1,
        "data": {"description": "data/austen (austen), 9 train", "fingerprint": "f00d" * 16},
    }
    (path / "manifest.json").write_text(json.dumps(found))


def add_probe(path, n, step):
    """A second matrix file, at an earlier step."""
    import numpy as np

    rng = np.random.default_rng(list(path.name.encode()))
    m = synthetic.matrix("hyper", n, rng)
    tensors = {"mean": m, "share": synthetic.shares(m, n, rng)}
    file = path / "matrix" / f"step_{step:08d}.safetensors"
    synthetic.write_safetensors(file, tensors, {"step": str(step)})


def add_run(sweep, variant, mixer, seed, size, rate, stage):
    """A planned run of `size` blocks, made up so that 1e-3 is the best rate and size helps."""
    index, steps = len(sweep.plan), 200
    params = size * 200_000 + 10 * len(mixer)
    plan = {
        "dir": f"run{index}-s{seed}",
        "params": params,
        "flops_per_token": 6.0 * params,
        "tokens": steps * 8192,
        "steps": steps,
    }
    point = {"model.layers": size, "train.lr": rate}
    entry = sweep.add(variant, seed, sweeps.ABSENT, point, stage, plan=plan)
    synthetic.make_run(
        sweep.folder / entry["dir"],
        mixer,
        seed,
        n=2 * size,
        steps=steps,
        probe_every=steps // 2 if stage == "main" else 0,
        schema=2,
        settings={"train.lr": rate},
        drift=0.02 * abs(math.log2(rate / 1e-3)) - 0.004 * size * (2 if mixer == "attnres" else 1),
    )
    return entry


def sweep_of_sizes(folder, variants, sizes, rates, seeds):
    """variants: {name: mixer}. The first stage tries the rates on seeds of its own, the second has
    the middle one.
    """
    chosen = rates[len(rates) // 2]
    tune = {
        "keys": ["train.lr"],
        "values": {"train.lr": list(rates)},
        "seeds": [100 + s for s in seeds],
        "per": ["variant", "model.layers"],
        "winners": [
            {"variant": v, "group": {"model.layers": n}, "chosen": {"train.lr": chosen}, "edge": ""}
            for v in variants
            for n in sizes
        ],
    }
    more = {"hypothesis": "Does it keep its gain? Yes.", "keys": ["model.layers"], "margin": 0.005}
    sweep = sweeps.Sweep(folder, list(variants), seeds, tune=tune, **more)
    for size in sizes:
        for name, mixer in variants.items():
            for rate in rates:
                for seed in tune["seeds"]:
                    add_run(sweep, name, mixer, seed, size, rate, "tune")
            for seed in seeds:
                add_run(sweep, name, mixer, seed, size, chosen, "main")
    (folder / "sweep.toml").write_text("# Does it keep its gain? Yes.\n[sweep]\n")
    (folder / "base.toml").write_text("[model]\nlayers = 4\n")
    sweep.write()
    return sweep


def hostile_sweep(folder):
    """Sizes 2 and 4, three learning rates in a first stage; one run diverged, one stopped."""
    variants = {"standard": "standard", HOSTILE: "attnres", "block4": "attnres_block"}
    sweep = sweep_of_sizes(folder, variants, (2, 4), (5e-4, 1e-3, 2e-3), (1, 2, 3))
    diverged, stopped = (folder / line["dir"] for line in sweep.plan[-1:-3:-1])
    summary = json.loads((diverged / "summary.json").read_text())
    summary.update(status="diverged", final_val_loss=None)
    (diverged / "summary.json").write_text(json.dumps(summary))
    (diverged / "STATUS").write_text("diverged\n")
    (diverged / "log.txt").write_text(f"step 190\n{HOSTILE}\n")
    (stopped / "STATUS").write_text("running\n")
    (stopped / "summary.json").unlink()
    return folder


def write_report(runs, out, *options):
    """Exit code of `plumb report`; what it prints is dropped."""
    from plumb.report import cli

    with contextlib.redirect_stdout(io.StringIO()):
        return cli.main([str(runs), "-o", str(out), "-q", *options])


def reports(folder):
    """[report folders] of both."""
    found = []
    for name, make in (("mixers", seven_mixers), ("sweep", hostile_sweep)):
        (folder / f"{name}-runs").mkdir()
        write_report(make(folder / f"{name}-runs"), folder / name)
        found.append(folder / name)
    return found
