#!/usr/bin/env python3
"""Trains on a GPU beside the CPU and times whole steps there: the second half of scripts/gpu_check.

Every mixer named trains on the CPU, on the device, there again, there kernel by kernel
(PLUMB_GRAPH=0), and there without a side stream (PLUMB_SIDE=0): the device's four runs must end in
the same bytes, and near the CPU's loss. Then `plumb bench --device cuda`, with both, without CUDA
graphs, and without a side stream. Writes OUT/training.json and OUT/bench*/.

example:
  scripts/gpu_runs.py build/gpu/plumb results/gpu/NVIDIA_H100_80GB_HBM3
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MIXERS = ["standard", "denseformer", "attnres", "attnres_block", "hyper", "mhc", "mudd"]
NEAR = 2e-3  # of the CPU's validation loss: 200 steps of float in another order


def say(text):
    print(text, flush=True)


def plumb(program, *words, without=None):
    environment = dict(os.environ, PLUMB_GRAPH="1", PLUMB_SIDE="1")
    if without:
        environment[without] = "0"
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"plumb {' '.join(words)} ended in {done.returncode}:\n{done.stdout}{done.stderr}")


def run(args, folder, mixer, device, without=None):
    """Loss of validation, and a hash of the last checkpoint's tensors."""
    out = Path(folder) / f"{mixer}-{device}-{len(list(Path(folder).iterdir()))}"
    plumb(args.plumb, "train", f"mixer={mixer}", "--device", device, "--out", str(out),
          "data.task=markov", f"train.steps={args.steps}", "record.probe_every=0",
          *args.setting, without=without)  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    digest = hashlib.sha256()
    for file in sorted((out / "checkpoints").rglob("*.safetensors")):
        digest.update(file.read_bytes())
    return summary["final_val_loss"], digest.hexdigest()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("plumb", help="the program, built with CUDA")
    p.add_argument("out", type=Path, help="where the results go")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--mixers", nargs="+", default=MIXERS)
    p.add_argument("--setting", nargs="+", default=[], help="further key=value of the runs")
    p.add_argument("--shape", default="24x1024x1024x2", help="of plumb bench")
    p.add_argument("--vocab", default="32768", help="of plumb bench")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows, wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        for mixer in args.mixers:
            cpu, _ = run(args, folder, mixer, "cpu")
            loss, bytes_ = run(args, folder, mixer, "cuda")
            again = run(args, folder, mixer, "cuda") == (loss, bytes_)
            plain, single = (run(args, folder, mixer, "cuda", without=w) == (loss, bytes_)
                             for w in ("PLUMB_GRAPH", "PLUMB_SIDE"))  # fmt: skip
            near = abs(loss - cpu) <= NEAR * cpu
            rows.append({"mixer": mixer, "steps": args.steps, "cpu": cpu, "cuda": loss,
                         "same_again": again, "same_without_graph": plain,
                         "same_without_side_stream": single})  # fmt: skip
            say(f"{mixer}: CPU {cpu:.6f}, GPU {loss:.6f}; same bytes again: {again}, "
                f"without graphs: {plain}, without a side stream: {single}")  # fmt: skip
            if not (again and plain and single and near):
                wrong.append(mixer)
    (args.out / "training.json").write_text(json.dumps(rows, indent=1) + "\n")
    if wrong:
        sys.exit(f"wrong: {', '.join(wrong)}; see above and {args.out}/training.json")
    for name, without in (("bench", None), ("bench_without_graph", "PLUMB_GRAPH"),
                          ("bench_without_side_stream", "PLUMB_SIDE")):  # fmt: skip
        say(f"plumb bench: {name}")
        plumb(args.plumb, "bench", "--device", "cuda", "--precision", "bf16", "--shape", args.shape,
              "--vocab", args.vocab, "--mixers", *args.mixers, "--steps", "3", "--rounds", "5",
              "--out", str(args.out / name), without=without)  # fmt: skip


if __name__ == "__main__":
    main()
