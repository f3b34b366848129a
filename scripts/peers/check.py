"""Compares one framework with the committed float64 fixtures: loss and every gradient, both
forms. usage: check.py torch|jax"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np

import spec

FIXTURES = ["standard", "highway_scalar", "denseformer", "hyper_dynamic", "mhc_mean", "attnres",
            "attnres_block_size4", "attnres_block_size2", "attnres_block_n2"]  # fmt: skip
FOLDER = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
LIMIT = 1e-10  # relative, as for Plumb itself against the same files


def errors(peer, name, form):
    tensors, metadata = spec.load_safetensors(FOLDER / f"{name}.safetensors")
    overrides = json.loads(metadata["config"])
    cfg = spec.config_of_overrides(overrides, int(metadata["vocab"]), int(metadata["batch"]))
    parameters = {k.removeprefix("param/"): x for k, x in tensors.items() if k.startswith("param/")}
    loss, gradients = peer.loss_and_gradients(
        cfg, form, parameters, tensors["tokens"], tensors["targets"]
    )
    want = float(metadata["loss"])
    worst = max(
        np.linalg.norm(g - tensors["grad/" + k]) / np.linalg.norm(tensors["grad/" + k])
        for k, g in gradients.items()
    )
    return abs(loss - want) / abs(want), worst


def main():
    framework, failed, n = sys.argv[1], 0, 0
    peer = importlib.import_module(framework + "_peer")
    for name in FIXTURES:
        for form in ("stack", "loop"):
            loss, gradient = errors(peer, name, form)
            ok = loss <= LIMIT and gradient <= LIMIT
            n, failed = n + 1, failed + (not ok)
            print(f"{'ok' if ok else 'FAIL':4} {framework} {name} ({form}): loss off by {loss:.1e},"
                  f" worst gradient by {gradient:.1e} (limit {LIMIT:g})", flush=True)  # fmt: skip
    print(f"{framework}: {n - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
