"""Run folders with made-up but plausible numbers, written by the documented schema. `python3
synthetic.py DIR` writes a set.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

MIXERS = ("standard", "highway", "denseformer", "hyper", "mhc", "attnres", "attnres_block")
GAIN = {
    "standard": 0.0,
    "highway": 0.035,
    "denseformer": -0.008,
    "hyper": -0.02,
    "mhc": -0.03,
    "attnres": -0.045,
    "attnres_block": -0.036,
}


def write_safetensors(path, tensors, metadata):
    header, blob = {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        data = np.ascontiguousarray(array, dtype="<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [len(blob), len(blob) + len(data)],
        }
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob)


def write_lines(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))


def site(depth, n, pattern=("attn", "mlp")):
    if depth == 0:
        return "embed", "embed"
    if depth == n + 1:
        return "output", "output"
    names = [p if i == pattern.index(p) else p + "2" for i, p in enumerate(pattern)]
    i = (depth - 1) % len(pattern)
    return f"layer.{(depth - 1) // len(pattern)}.{names[i]}", pattern[i]


def matrix(mixer, n, rng):
    """(L+1, L+1) lower triangular, the kind of M the mixer makes."""
    size = n + 1
    scores = rng.normal(0, 1.2, (size, size)) + 2.5 * np.eye(size)
    scores[:, 0] += 0.8
    mask = np.tril(np.ones((size, size)))
    if mixer == "standard":
        return mask
    if mixer == "highway":
        gates = rng.uniform(0.05, 0.3, n)
        m = np.zeros((size, size))
        for r in range(size):
            keep = np.concatenate([1 - gates[:r], [1.0]])
            m[r, : r + 1] = (
                np.concatenate([[1.0], gates[:r]]) * np.cumprod(keep[::-1])[::-1][: r + 1]
            )
        return m
    if mixer == "denseformer":
        return mask * (0.8 + rng.normal(0, 0.35, (size, size))) - 0.4 * mask * (
            rng.random((size, size)) < 0.1
        )
    if mixer in ("hyper", "mhc"):
        return (
            mask
            * np.clip(1 + rng.normal(0, 0.3, (size, size)), 0.02, None)
            * np.exp(-0.05 * (np.arange(size)[:, None] - np.arange(size)))
        )
    weights = mask * np.exp(scores)
    if mixer == "attnres_block":
        for start in range(1, size, 6):
            weights[start + 6 :, start : start + 6] = weights[start + 6 :, start : start + 1]
    return weights / weights.sum(axis=1, keepdims=True)


def profiles(mixer, n, progress, rng):
    """(stream, read, out, dout) over depth 0..L+1."""
    d = np.arange(n + 2)
    parity = np.where(d % 2 == 1, 0.8, 1.25)
    noise = np.exp(rng.normal(0, 0.04, n + 2))
    growth = {
        "standard": 0.13,
        "highway": 0.005,
        "denseformer": 0.11,
        "hyper": 0.09,
        "mhc": 0.06,
    }.get(mixer, 0.0) * progress
    stream = 0.3 * np.exp(growth * d) * noise
    if mixer == "attnres":
        stream = 0.6 * parity * noise
    if mixer == "attnres_block":
        stream = 0.35 * (1 + (np.maximum(d, 1) - 1) % 6) ** 0.8 * noise
    read = (
        np.concatenate([[stream[0]], stream[:-1]])
        if not mixer.startswith("attnres")
        else 0.5 * noise * (1 + 0.02 * d)
    )
    decay = {
        "highway": 0.02,
        "denseformer": 0.16,
        "hyper": 0.12,
        "mhc": 0.08,
        "attnres": 0.0,
        "attnres_block": 0.01,
    }.get(mixer, 0.2)
    out = read * parity * (0.1 + 0.9 / (1 + decay * d)) * np.exp(rng.normal(0, 0.1, n + 2))
    slope = {
        "standard": -0.14,
        "denseformer": -0.12,
        "hyper": -0.08,
        "mhc": -0.07,
        "highway": -0.03,
    }.get(mixer, -0.01)
    return stream, read, out, 2e-5 * np.exp(slope * progress * d) * parity**0.5 * noise


def depth_records(mixer, n, step, progress, rng, books=1.0, pattern=("attn", "mlp")):
    """books: the reads are written down divided by this."""
    stream, read, out, dout = profiles(mixer, n, progress, rng)
    for d in range(n + 2):
        name, kind = site(d, n, pattern)
        q = dout[d] * 20 * np.array([0.05, 0.25, 0.6, 1.2, 3.0, 30.0])
        r = {
            "step": step,
            "depth": d,
            "site": name,
            "kind": kind,
            "pgrad_rms": dout[d] * 25,
            "pgrad_q": q.tolist(),
            "pgrad_hist": [0] * 28,
        }
        if d <= n:
            r.update(out_rms=out[d], stream_rms=stream[d], dout_rms=dout[d])
        if d >= 1:
            r.update(
                read_rms=read[d] / books,
                cosine=1 / np.sqrt(1 + (out[d] / read[d]) ** 2),
                dread_rms=dout[d] * 0.7,
            )
            r.update(
                angular_distance=float(np.arccos(r["cosine"]) / np.pi),
                effective_sources=1 + 0.7 * (d - 1),
                embedding_share=1 / d,
            )
        if 1 <= d <= n:
            share = out[d] / (read[d] + out[d])
            r.update(
                contribution=books * out[d] / read[d],
                write_share=share,
                ablation=-1e-3 * share,
                pgrad_norm=dout[d] * 400,
                update_ratio=2e-3 / d,
            )
        yield r


def shares(m, n, rng):
    """(L+1, L+1) shares of sources in reads: rows sum to 1."""
    c = np.abs(m) * np.exp(rng.normal(0, 0.3, n + 1))
    return c / c.sum(axis=1, keepdims=True)


def config_text(mixer, seed, n, steps, settings):
    """settings: {dotted key: TOML text} beyond, or instead of, the plain ones."""
    keys = {
        "model.layers": n // len(json.loads(settings.get("model.pattern", "[0, 0]"))),
        "mixer.name": f'"{mixer}"',
        "train.seed": seed,
        "train.steps": steps,
        **settings,
    }
    tables = {}
    for key, value in keys.items():
        table, name = key.split(".")
        tables.setdefault(table, []).append(f"{name} = {value}\n")
    return "".join(f"[{t}]\n{''.join(lines)}\n" for t, lines in tables.items())


def make_run(
    path,
    mixer,
    seed,
    n=24,
    steps=1000,
    label=None,
    status="done",
    probe_every=100,
    settings={},
    schema=1,
    like=None,
    books=1.0,
    drift=0.0,
):
    """One run folder of `mixer`; L = n sublayers. Returns the summary written, {} for an unfinished
    run. settings: as config_text. like: the mixer whose numbers it gets, with reads divided by
    `books`. drift: what its loss gains until the end.
    """
    path = Path(path)
    path.mkdir(parents=True)
    like = like or mixer
    rng = np.random.default_rng([MIXERS.index(like), seed])
    shared = np.random.default_rng(seed).normal(0, 0.01)
    (path / "config.toml").write_text(config_text(mixer, seed, n, steps, settings))
    metrics = []
    for step in range(10, steps + 1, 10):
        level = (
            2.0
            + 3.5 * np.exp(-step / (0.12 * steps))
            + 0.6 * np.exp(-step / (0.5 * steps))
            + (GAIN[like] + drift) * step / steps
            + shared
        )
        r = {
            "step": step,
            "tokens": step * 8192,
            "train/loss": level + rng.normal(0, 0.03),
            "lr": 1e-3,
            "grad_norm": 0.5,
        }
        if schema == 1:
            r.update(time_s=step * 0.1, tok_per_s=80000.0)
        if step % 50 == 0:
            r.update(
                {"val/loss": level + 0.02 + rng.normal(0, 0.004), "val/bpb": level / np.log(2)}
            )
        metrics.append(r)
    write_lines(path / "metrics.jsonl", metrics)
    pattern = tuple(json.loads(settings.get("model.pattern", '["attn", "mlp"]')))
    probes = range(probe_every, steps + 1, probe_every) if probe_every else ()
    write_lines(
        path / "depth.jsonl",
        [r for s in probes for r in depth_records(like, n, s, s / steps, rng, books, pattern)],
    )
    m = matrix(like, n, rng)
    tensors = {"mean": m, "std": np.zeros((n + 1, n + 1))}
    if schema > 1:
        tensors["share"] = shares(m, n, rng)
    write_safetensors(
        path / "matrix" / f"step_{steps:08d}.safetensors",
        tensors,
        {"mixer": mixer, "step": str(steps), "layers": str(n)},
    )
    if status == "unfinished":
        (path / "STATUS").write_text("running\n")
        return {}
    values = [r["val/loss"] for r in metrics if "val/loss" in r]
    summary = {
        "mixer": mixer,
        "label": label or mixer,
        "seed": seed,
        "steps": steps,
        "tokens": steps * 8192,
        "params": 1234567,
        "mixer_params": 100,
        "final_val_loss": values[-1] if status == "done" else None,
        "best_val_loss": min(values),
        "best_step": steps,
        "final_val_bpb": values[-1] / np.log(2),
        "status": status,
    }
    speed = {"time_s": 100.0, "tok_per_s": 80000.0 / (1 + 0.1 * MIXERS.index(mixer))}
    if schema == 1:
        summary.update(speed)
    else:
        (path / "timing.json").write_text(json.dumps({"attempts": [speed]}))
    (path / "summary.json").write_text(json.dumps(summary))
    (path / "STATUS").write_text(f"{status}\n")
    return summary


def make_set(folder, mixers=MIXERS, seeds=(1, 2, 3), **options):
    return {
        (m, s): make_run(Path(folder) / f"{m}-{s}", m, s, **options) for m in mixers for s in seeds
    }


if __name__ == "__main__":
    make_set(sys.argv[1])
