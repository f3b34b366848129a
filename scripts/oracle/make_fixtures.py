#!/usr/bin/env python3
"""Writes tests/fixtures/*.safetensors and interventions.json (format: README.md beside this file)
after checking itself. `--check` writes nothing and compares with the committed files instead;
`--interventions` writes only interventions.json, from the committed fixtures."""

import json
import math
import struct
import sys
import zlib
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
from mixers import n_sublayers

VOCAB, BATCH = 7, 2
FOLDER = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
SIZES = {"model.layers": "3", "model.width": "8", "model.heads": "2", "model.head_dim": "4",
         "model.mlp_hidden": "12", "model.context": "5"}

# name: overrides on top of SIZES. A visible norm_eps shows an eps that is left out or misplaced.
EPS = "model.norm_eps=0.01"
FIXTURES = {
    "standard": [],
    "standard_gelu_untied_qknorm_gqa": ["model.mlp=gelu", "model.tied_head=false",
                                        "model.qk_norm=true", "model.kv_heads=1",
                                        "model.rope_base=100", EPS],
    "highway_scalar": ["mixer=highway", "mixer.gate=scalar", EPS],
    "highway_scalar_raw": ["mixer=highway", "mixer.gate=scalar", "mixer.gate_input=raw"],
    "highway_vector": ["model.width=4", "mixer=highway", "mixer.gate=vector"],
    "highway_static": ["mixer=highway", "mixer.gate=static"],
    "denseformer": ["mixer=denseformer"],
    "denseformer_dilation2": ["model.layers=4", "mixer=denseformer", "mixer.dilation=2"],
    "denseformer_dilation2_period2": ["model.layers=4", "mixer=denseformer", "mixer.dilation=2",
                                      "mixer.period=2"],
    "hyper_static": ["mixer=hyper", "mixer.dynamic=false"],
    "hyper_dynamic": ["mixer=hyper", "mixer.dynamic=true", "mixer.streams=3", EPS],
    # fewer layers or channels where mixer weights would make the file large
    "mhc_mean": ["model.width=4", "mixer=mhc", "mixer.streams=4", "mixer.reduction=mean", EPS],
    "mhc_sum": ["mixer=mhc", "mixer.streams=2", "mixer.reduction=sum"],
    "mhc_learned": ["model.layers=2", "mixer=mhc", "mixer.streams=3",
                    "mixer.reduction=learned", EPS],
    "attnres": ["mixer=attnres", EPS],
    "attnres_no_key_gain": ["mixer=attnres", "mixer.key_gain=false"],
    "attnres_block_size4": ["mixer=attnres_block", "mixer.block_size=4", EPS],
    "attnres_block_size2": ["mixer=attnres_block", "mixer.block_size=2"],
    "attnres_block_size1": ["mixer=attnres_block", "mixer.block_size=1"],
    "attnres_block_n2": ["mixer=attnres_block", "mixer.n_blocks=2"],
}


def overrides_of(name):
    keys = dict(item.split("=", 1) for item in FIXTURES[name])
    return [f"{key}={value}" for key, value in {**SIZES, **keys}.items()]


# mean and standard deviation of the mixer parameters drawn alike everywhere
SCALES = {"gate.weight": (0, 0.4), "beta": (1, 0.3), "alpha_proj": (0, 0.4), "beta_proj": (0, 0.4),
          "alpha_scale": (0.5, 0.1), "beta_scale": (0.5, 0.1), "phi": (0, 0.3), "bias": (0, 0.4),
          "query": (0, 0.5), "key_gain": (1, 0.3)}


def draw(name, shape, cfg, rng):
    """One parameter at a healthy scale, away from zero gradients and from its initial value."""
    normal, leaf = rng.standard_normal(shape), name.split(".mixer.")[-1]
    if leaf == name:
        return 1 + 0.3 * normal if name.endswith(".gain") else 0.4 * normal
    if leaf == "gate.bias":
        return -math.log(n_sublayers(cfg) - 1) + 0.5 * normal
    if leaf == "alpha":
        return init_alpha(name, shape, cfg) + 0.3 * normal
    if leaf == "scale":
        return rng.uniform(0.5, 1.5, shape)
    mean, spread = SCALES[leaf]
    return mean + spread * normal


def init_alpha(name, shape, cfg):
    """The initial alpha of denseformer (one-hot on the current block) and hyper ([e_k | I])."""
    init = np.zeros(shape)
    if cfg["mixer.name"] == "denseformer":
        init[-1] = 1
    else:
        init[int(name.split(".")[1]) % shape[0], 0] = 1
        init[:, 1:] = np.eye(shape[0])
    return init


def inputs(name, cfg):
    """Parameters (leaves), tokens, targets: a function of name and configuration only."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    p = {key: torch.tensor(draw(key, shape, cfg, rng)).requires_grad_()
         for key, shape in sorted(model.shapes(cfg, VOCAB).items())}
    tokens, targets = rng.integers(0, VOCAB, (2, BATCH, cfg["model.context"]))
    targets[0, 1] = targets[1, -1] = -1
    return p, torch.tensor(tokens), torch.tensor(targets)


def expect(label, error, limit):
    print(f"  {label}: {error:.2e} (limit {limit:g})")
    if not error <= limit:
        sys.exit(f"make_fixtures.py: check failed: {label}: {error:.3e} > {limit:g}")


def check_gradients(cfg, p, tokens, targets):
    """Five-point central difference along one random direction per tensor."""
    rng, worst = np.random.default_rng(0), 0.0

    def loss_at(key, step):
        moved = {k: (x + step if k == key else x).detach() for k, x in p.items()}
        return model.loss(model.forward(cfg, moved, tokens)[0], targets).item()

    floor = 1e-3 * max(x.grad.norm().item() for x in p.values())
    for key, x in p.items():
        d = torch.tensor(rng.standard_normal(x.shape))
        d = d / d.norm()
        s, f = 2e-4, lambda t: loss_at(key, t * d)
        numeric = (8 * (f(s) - f(-s)) - (f(2 * s) - f(-2 * s))) / (12 * s)
        exact = (x.grad * d).sum().item()
        worst = max(worst, abs(numeric - exact) / max(abs(exact), floor))
    expect(f"gradient against central differences, worst of {len(p)} tensors", worst, 1e-6)


def closed_form(cfg, p):
    """M (L+1, L+1) of the static mixers in closed form (products of highway gates; DenseFormer
    A (I - Z A)^-1 over blocks, where A holds alpha and Z shifts down), or None."""
    L = n_sublayers(cfg)
    M = np.zeros((L + 1, L + 1))
    if cfg["mixer.name"] == "highway" and cfg["mixer.gate"] == "static":
        t = [1.0] + [torch.sigmoid(p[f"{model.site(cfg, l)}.mixer.gate.bias"]).item()
                     for l in range(1, L + 1)]
        for l in range(1, L + 2):
            for i in range(l):
                M[l - 1, i] = t[i] * np.prod([1 - t[j] for j in range(i + 1, l)])
        return M
    if cfg["mixer.name"] != "denseformer":
        return None
    K, dilation = L // 2, cfg["mixer.dilation"]
    A = np.eye(K + 1)
    for k in range(1, K + 1):
        if f"layer.{k - 1}.mixer.alpha" in p:
            A[k, k % dilation:k + 1:dilation] = p[f"layer.{k - 1}.mixer.alpha"].detach()
    blocks = A @ np.linalg.inv(np.eye(K + 1) - np.eye(K + 1, k=-1) @ A)
    for l in range(1, L + 2):
        for i in range(l):
            M[l - 1, i] = blocks[(l - 1) // 2, (i + 1) // 2] if (i + 1) // 2 <= (l - 1) // 2 else 1
    return M


def check_matrix(name, cfg, p, M, h, v):
    V = torch.stack([x.reshape(-1, x.shape[-1]) for x in v])  # (L+1, N, C)
    H = torch.stack([x.reshape(-1, x.shape[-1]) for x in h])
    error = (torch.einsum("rnic,inc->rnc", M, V) - H).abs().max().item()
    expect("sum_i M[l,i] v_i = h_l", error, 1e-12)
    exact = closed_form(cfg, p)
    if exact is not None:
        error = (M - torch.tensor(exact)[:, None, :, None]).abs().max().item()
        expect("M = its closed form", error, 1e-12)
    if name == "standard":
        ones = torch.ones(M.shape[0], M.shape[0]).tril()[:, None, :, None]
        expect("standard M is all ones", (M - ones).abs().max().item(), 0)
    if cfg["mixer.name"] in ("highway", "attnres"):
        expect("rows of M sum to 1", (M.sum(2) - 1).abs().max().item(), 1e-12)
    if cfg["mixer.gate"] != "vector" or cfg["mixer.name"] != "highway":
        expect("M is the same for every channel", (M - M[..., :1]).abs().max().item(), 1e-13)


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
    check_matrix(name, cfg, p, M, [x.detach() for x in h], [x.detach() for x in v])
    per_channel = cfg["mixer.name"] == "highway" and cfg["mixer.gate"] == "vector"
    tensors = {"tokens": tokens, "targets": targets, "matrix": M if per_channel else M[..., 0]}
    for key, x in p.items():
        tensors["param/" + key], tensors["grad/" + key] = x.detach(), x.grad
    return ({key: np.ascontiguousarray(x.numpy()) for key, x in tensors.items()},
            {"config": json.dumps(overrides), "vocab": str(VOCAB), "batch": str(BATCH),
             "loss": "%.17g" % value.item()})


def logits_with(base, overrides, change=lambda key, x: x):
    """Logits on the parameters and tokens of fixture `base`, after `overrides` and `change`."""
    cfg = model.config(overrides_of(base) + overrides)
    own, tokens, _ = inputs(base, model.config(overrides_of(base)))
    p = {key: change(key, own[key].detach()) for key in model.shapes(cfg, VOCAB)}
    return model.forward(cfg, p, tokens)[0]


def check_identities():
    def difference(a, b):
        return (a - b).abs().max().item()

    def to_init(key, x):
        cfg = {"mixer.name": "hyper" if x.dim() == 2 else "denseformer"}
        if key.endswith("mixer.alpha"):
            return torch.tensor(init_alpha(key, tuple(x.shape), cfg))
        return torch.ones_like(x) if key.endswith("mixer.beta") else \
            torch.zeros_like(x) if "_proj" in key else x

    def depth_bias(key, x):  # highway with W = 0 and b_l = -log l averages the v_i
        if not key.endswith("gate.bias"):
            return torch.zeros_like(x) if key.endswith("gate.weight") else x
        part = key.split(".")
        return torch.full_like(x, -math.log(2 * int(part[1]) + (1 if part[2] == "attn" else 2)))

    zero_query = lambda key, x: torch.zeros_like(x) if key.endswith("mixer.query") else x
    zero_mhc = lambda key, x: torch.zeros_like(x) if ".mixer." in key else x
    print("identities")
    tiny = "model.norm_eps=1e-30"
    block1 = logits_with("attnres", ["mixer=attnres_block", "mixer.block_size=1"])
    expect("attnres_block block_size=1 = attnres",
           difference(logits_with("attnres", []), block1), 1e-12)
    for base, change, limit in [
            ("attnres", zero_query, 1e-10), ("attnres_no_key_gain", zero_query, 1e-10),
            ("attnres_block_size4", zero_query, 1e-10), ("attnres_block_size2", zero_query, 1e-10),
            ("attnres_block_n2", zero_query, 1e-10), ("denseformer", to_init, 1e-10),
            ("denseformer_dilation2", to_init, 1e-10),
            ("denseformer_dilation2_period2", to_init, 1e-10),
            ("hyper_static", to_init, 1e-10), ("hyper_dynamic", to_init, 1e-10),
            ("highway_scalar", depth_bias, 1e-10), ("highway_vector", depth_bias, 1e-10),
            ("highway_static", depth_bias, 1e-10),
            ("mhc_mean", zero_mhc, 1e-4), ("mhc_sum", zero_mhc, 1e-4)]:  # mhc: 1e-6 inside Sinkhorn
        expect(f"{base}, mixer parameters neutral = standard", difference(
            logits_with(base, [tiny], change), logits_with(base, [tiny, "mixer=standard"])), limit)


def check_causality(name):
    cfg = model.config(overrides_of(name))
    p, tokens, _ = inputs(name, cfg)
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % VOCAB
    a, b = (model.forward(cfg, p, t)[0].detach() for t in (tokens, other))
    expect(f"{name}: earlier logits ignore the last token", (a - b)[:, :-1].abs().max().item(), 0)
    if not (a - b)[:, -1].abs().max() > 1e-3:
        sys.exit(f"make_fixtures.py: {name}: the last logits do not depend on the last token")


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


def compare(path, tensors, metadata):
    stored, stored_metadata = load(path)
    if stored.keys() != tensors.keys() or stored_metadata["config"] != metadata["config"]:
        sys.exit(f"{path}: tensors or configuration differ; run make_fixtures.py to rewrite it")
    error = max(np.abs(stored[key] - tensors[key]).max() for key in tensors)
    error = max(error, abs(float(stored_metadata["loss"]) - float(metadata["loss"])))
    expect("committed file", error, 1e-11)


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


def main():
    if sys.argv[1:] not in ([], ["--check"], ["--interventions"]):
        sys.exit("usage: make_fixtures.py [--check | --interventions]")
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--interventions"]:
        return write_or_compare_interventions(False)
    check_identities()
    for name in FIXTURES:
        print(name)
        check_causality(name)
        path, (tensors, metadata) = FOLDER / f"{name}.safetensors", build(name)
        if sys.argv[1:]:
            compare(path, tensors, metadata)
        else:
            FOLDER.mkdir(parents=True, exist_ok=True)
            save(path, tensors, metadata)
            print(f"  wrote {path.name}, {path.stat().st_size} bytes")
    write_or_compare_interventions(bool(sys.argv[1:]))


if __name__ == "__main__":
    main()
