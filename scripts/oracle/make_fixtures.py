#!/usr/bin/env python3
"""Writes what is new or different of tests/fixtures/*.safetensors, and initial_values.json,
interventions.json and muon.json (formats: README.md beside this file), after checking itself. `--check` writes
nothing and compares with the committed files instead; `--interventions` writes only
interventions.json, from the committed fixtures."""

import json
import struct
import sys
from pathlib import Path

try:
    import numpy as np
    import torch
except ImportError:
    sys.exit("make_fixtures.py needs PyTorch and NumPy: "
             "apt-get install -y --no-install-recommends python3-torch python3-numpy, "
             "then run it with /usr/bin/python3")

sys.dont_write_bytecode = True
import interventions
import model
import muon
from checks import (check_causality, check_gradients, check_identities, check_matrix, check_starts,
                    expect)
from fixtures import BATCH, FIXTURES, STARTS, VOCAB, initial, inputs, overrides_of

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "fixtures"


def build(name):
    """(tensors, metadata) of one fixture, checked."""
    overrides = overrides_of(name)
    cfg = model.config(overrides)
    p, tokens, targets = inputs(name, cfg)
    logits, h, v = model.forward(cfg, p, tokens)
    value = model.loss(logits, targets)
    value.backward()
    M = model.depth_matrix(cfg, p, v).detach()
    check_gradients(cfg, p, tokens, targets)
    check_matrix(cfg, p, M, h, v)
    tensors = {"tokens": tokens, "targets": targets, "matrix": model.compact_matrix(cfg, M)}
    for key, x in p.items():
        tensors["param/" + key], tensors["grad/" + key] = x.detach(), x.grad
    metadata = {"config": json.dumps(overrides), "vocab": str(VOCAB), "batch": str(BATCH),
                "loss": "%.17g" % value.item()}
    if axis := model.matrix_axis(cfg):
        metadata["matrix_axis"] = axis
    return {key: np.ascontiguousarray(x.numpy()) for key, x in tensors.items()}, metadata


def save(path, tensors, metadata):
    """safetensors: 8-byte little-endian header length, JSON header, data."""
    header, data = {"__metadata__": metadata}, b""
    for key in sorted(tensors):
        raw = tensors[key].tobytes()
        header[key] = {"dtype": {"f": "F64", "i": "I64"}[tensors[key].dtype.kind],
                       "shape": list(tensors[key].shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def load(path):
    blob = path.read_bytes()
    end = 8 + struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:end])
    metadata = header.pop("__metadata__")
    return {key: np.frombuffer(blob[end + e["data_offsets"][0]:end + e["data_offsets"][1]],
                               {"F64": "<f8", "I64": "<i8"}[e["dtype"]]).reshape(e["shape"])
            for key, e in header.items()}, metadata


def difference(path, tensors, metadata):
    """Largest difference from what is stored; infinite if it is another configuration or none."""
    if not path.exists():
        return float("inf")
    stored, stored_metadata = load(path)
    if stored.keys() != tensors.keys() or \
            {**stored_metadata, "loss": ""} != {**metadata, "loss": ""}:
        return float("inf")
    error = max(np.abs(stored[key] - tensors[key]).max() for key in tensors)
    return max(error, abs(float(stored_metadata["loss"]) - float(metadata["loss"])))


def intervened_losses(name):
    """Losses of a committed fixture, one by one for interventions.CASES."""
    tensors, metadata = load(FOLDER / f"{name}.safetensors")
    cfg = model.config(json.loads(metadata["config"]))
    p = {key[6:]: torch.tensor(x) for key, x in tensors.items() if key.startswith("param/")}
    tokens, targets = torch.tensor(tensors["tokens"]), torch.tensor(tensors["targets"])

    def loss(**what):
        logits = model.forward(cfg, p, tokens, **interventions.parse(cfg, **what))[0]
        return model.loss(logits, targets).item()

    expect(f"{name}: no intervention", abs(loss() - float(metadata["loss"])), 1e-12)
    expect(f"{name}: gains of 1", abs(loss(gain=["1=1", "2=1"]) - loss()), 0)
    expect(f"{name}: a swap back", abs(loss(swap=["1,3", "1,3"]) - loss()), 0)
    return [loss(**case) for case in interventions.CASES]


def write_or_compare_interventions(check):
    path = FOLDER / "interventions.json"
    losses = {name: intervened_losses(name) for name in FIXTURES}
    if check:
        stored = json.loads(path.read_text())
        if stored["cases"] != interventions.CASES or stored["losses"].keys() != losses.keys():
            sys.exit(f"{path}: other cases; run make_fixtures.py --interventions")
        expect("interventions.json", max(abs(a - b) for name in losses for a, b in
                                         zip(losses[name], stored["losses"][name])), 1e-11)
        return
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in losses.items())
    path.write_text(f'{{"cases": {json.dumps(interventions.CASES)},\n"losses": {{\n{rows}}}}}\n')
    print(f"  wrote {path.name}")


def write_or_compare_starts(check):
    path, rows = FOLDER / "initial_values.json", []
    for name, more in [(name, []) for name in FIXTURES] + STARTS:
        own = dict(item.split("=", 1) for item in overrides_of(name) + more)
        overrides = [f"{key}={value}" for key, value in own.items()]
        if found := initial(model.config(overrides)):
            lines = ",\n   ".join(f"{json.dumps(key)}: {json.dumps(x)}" for key, x in found.items())
            rows.append(f'{{"config": {json.dumps(overrides)},\n  "parameters": {{{lines}}}}}')
    text = "[" + ",\n ".join(rows) + "]\n"
    if not check:
        path.write_text(text)
    elif path.read_text() != text:
        sys.exit(f"{path}: other initial values; run make_fixtures.py to rewrite it")
    print(f"{path.name}: {len(rows)} configurations, {len(text)} bytes")


def write_or_compare_muon(check):
    path, found = FOLDER / "muon.json", muon.record(expect)
    if check:
        return expect("muon.json", muon.difference(found, json.loads(path.read_text())), 1e-11)
    path.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"  wrote {path.name}, {path.stat().st_size} bytes")


def main():
    if sys.argv[1:] not in ([], ["--check"], ["--interventions"]):
        sys.exit("usage: make_fixtures.py [--check | --interventions]")
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--interventions"]:
        return write_or_compare_interventions(False)
    print("identities")
    check_identities()
    check_starts()
    write_or_compare_starts(bool(sys.argv[1:]))
    for name in FIXTURES:
        print(name)
        check_causality(name)
        path, (tensors, metadata) = FOLDER / f"{name}.safetensors", build(name)
        error = difference(path, tensors, metadata)
        if sys.argv[1:]:
            expect("committed file", error, 1e-11)
        elif error > 1e-11:  # other versions of PyTorch round differently
            save(path, tensors, metadata)
            print(f"  wrote {path.name}, {path.stat().st_size} bytes")
    write_or_compare_interventions(bool(sys.argv[1:]))
    write_or_compare_muon(bool(sys.argv[1:]))


if __name__ == "__main__":
    main()
