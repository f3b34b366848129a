"""Every kind of sublayer, v = forward(read): what `model.pattern` names, and its row in SUBLAYERS.

A row: its `options` with their defaults; `parameters(cfg, ways, is_first)` -> {name: shape} beside
the gain of its norm, of a sublayer whose read has that many ways and that is, or is not, the first
of its kind; `forward(cfg, p, at, ways, kept)`, which norms the read (a tuple of its ways) itself.
"""

import math
from collections import namedtuple

import torch

from base import gelu, rms_norm

Sublayer = namedtuple("Sublayer", "options parameters forward")


def rope(x, base):
    """Half-split rotary embedding (GPT-NeoX style) of x (B, T, heads, D), positions 0..T-1."""
    T, D = x.shape[1], x.shape[-1]
    freq = base ** (-2 * torch.arange(D // 2, dtype=x.dtype) / D)
    angle = (torch.arange(T, dtype=x.dtype)[:, None] * freq)[:, None, :]
    a, b = x[..., :D // 2], x[..., D // 2:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def attention_parameters(cfg, ways, is_first):
    C, H, D = cfg["model.width"], cfg["model.heads"], cfg["model.head_dim"]
    out = {"qkv.weight": ((H + 2 * cfg["model.kv_heads"]) * D, C), "out.weight": (C, H * D)}
    if ways > 1:
        out["norm_k.gain"] = out["norm_v.gain"] = (C,)
    if cfg["attn.value_residual"] and not is_first:
        out["first_values"] = (1,)
    if cfg["model.qk_norm"]:
        out["q_norm.gain"] = out["k_norm.gain"] = (D,)
    return out


def attention(cfg, p, at, ways, kept):
    """ways: what queries, keys and values are made from, or one read for all three. kept: the
    values of the first attention that runs, left by it for the others (value residual)."""
    H, G, D = cfg["model.heads"], cfg["model.kv_heads"], cfg["model.head_dim"]
    B, T, _ = ways[0].shape
    norms = ["norm", "norm_k", "norm_v"] if at + ".norm_k.gain" in p else ["norm"]
    rows = [rms_norm(x, cfg["model.norm_eps"], p[f"{at}.{norm}.gain"]) @ p[at + ".qkv.weight"].T
            for x, norm in zip(ways * (3 // len(ways)), norms)]
    of_q, of_k, of_v = rows * (3 // len(rows))
    q = of_q[..., :H * D].reshape(B, T, H, D)
    k = of_k[..., H * D:(H + G) * D].reshape(B, T, G, D)
    v = of_v[..., (H + G) * D:].reshape(B, T, G, D)
    if cfg["model.qk_norm"]:
        q = rms_norm(q, cfg["model.norm_eps"], p[at + ".q_norm.gain"])
        k = rms_norm(k, cfg["model.norm_eps"], p[at + ".k_norm.gain"])
    if cfg["attn.rope"] == "half":
        q, k = rope(q, cfg["model.rope_base"]), rope(k, cfg["model.rope_base"])
    first = kept.setdefault("values", v)
    if first is not v and at + ".first_values" in p:
        v = v + p[at + ".first_values"] * first
    future = torch.ones(T, T).triu(1).bool()
    heads = []
    for j in range(H):
        kv = j // (H // G)
        scores = q[:, :, j] @ k[:, :, kv].transpose(1, 2) / math.sqrt(D)
        heads.append(scores.masked_fill(future, -math.inf).softmax(-1) @ v[:, :, kv])
    return torch.cat(heads, -1) @ p[at + ".out.weight"].T


def mlp_parameters(cfg, ways, is_first):
    C, F = cfg["model.width"], cfg["model.mlp_hidden"]
    return {"up.weight": (2 * F if cfg["model.mlp"] == "swiglu" else F, C), "down.weight": (C, F)}


def mlp(cfg, p, at, ways, kept):
    y = rms_norm(ways[0], cfg["model.norm_eps"], p[at + ".norm.gain"])
    y = y @ p[at + ".up.weight"].T
    if cfg["model.mlp"] == "swiglu":
        gate, up = y.chunk(2, -1)
        y = gate * torch.sigmoid(gate) * up
    else:
        y = gelu(y)
    return y @ p[at + ".down.weight"].T


SUBLAYERS = {
    "attn": Sublayer({"rope": "half", "value_residual": False}, attention_parameters, attention),
    "mlp": Sublayer({}, mlp_parameters, mlp),
}
