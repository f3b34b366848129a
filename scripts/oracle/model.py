"""The Plumb model in plain PyTorch, float64: a decoder of L pre-norm sublayers around a depth mixer,
as many times those of model.pattern as it has layers. Parameters are a flat {name: tensor}; linear weights are (out, in)."""

import math

import torch

from base import begins_block, gelu, kind, n_sublayers, rms_norm, site
from mixers import MIXERS

DEFAULTS = {
    "model.layers": 4, "model.pattern": ("attn", "mlp"), "model.width": 128, "model.heads": 4, "model.kv_heads": 0,
    "model.head_dim": 0, "model.mlp": "swiglu", "model.mlp_hidden": 0, "model.context": 128,
    "model.tied_head": True, "model.qk_norm": False, "model.rope_base": 10000.0,
    "model.norm_eps": 1e-10,
    "attn.rope": "half", "attn.value_residual": False,
    "mixer.name": "standard", "mixer.gate": "scalar", "mixer.gate_bias": "uniform",
    "mixer.gate_input": "norm", "mixer.gain_init": "paper", "mixer.alpha": 0.0,
    "mixer.dilation": 1, "mixer.period": 1, "mixer.streams": 4, "mixer.dynamic": True,
    "mixer.sinkhorn_iters": 20, "mixer.bias_init": "identity", "mixer.reduction": "mean",
    "mixer.key_gain": True, "mixer.block_size": 0, "mixer.n_blocks": 0,
    "mixer.weights": "softmax",
    "mixer.window": 0, "mixer.heads": 1, "mixer.head_norm": "full", "mixer.key_norm": True,
    "mixer.query": "learned", "mixer.hidden": 0,
}


def config(overrides):
    """Resolves command-line overrides such as `model.layers=3`; only keys that shape the model."""
    cfg = dict(DEFAULTS)
    for item in overrides:
        key, text = item.split("=", 1)
        key = "mixer.name" if key == "mixer" else key
        kind = type(cfg[key])
        if kind is tuple:
            cfg[key] = tuple(text.split(","))
        else:
            cfg[key] = {"true": True, "false": False}[text] if kind is bool else kind(text)
    cfg["model.kv_heads"] = cfg["model.kv_heads"] or cfg["model.heads"]
    cfg["model.head_dim"] = cfg["model.head_dim"] or cfg["model.width"] // cfg["model.heads"]
    assert cfg["model.mlp_hidden"] > 0, "the oracle wants an explicit model.mlp_hidden"
    return cfg


def shapes(cfg, vocab):
    """{name: shape} of every parameter."""
    C, H, D = cfg["model.width"], cfg["model.heads"], cfg["model.head_dim"]
    F, rows = cfg["model.mlp_hidden"], (H + 2 * cfg["model.kv_heads"]) * D
    out = {"embed.weight": (vocab, C), "output.norm.gain": (C,)}
    if not cfg["model.tied_head"]:
        out["head.weight"] = (vocab, C)
    seen = set()  # kinds
    for l in range(1, n_sublayers(cfg) + 1):
        at, is_first = site(cfg, l), kind(cfg, l) not in seen
        seen.add(kind(cfg, l))
        out[at + ".norm.gain"] = (C,)
        if kind(cfg, l) == "mlp":
            out[at + ".up.weight"] = (2 * F if cfg["model.mlp"] == "swiglu" else F, C)
            out[at + ".down.weight"] = (C, F)
            continue
        if MIXERS[cfg["mixer.name"]].ways > 1 and begins_block(cfg, l):
            out[at + ".norm_k.gain"] = out[at + ".norm_v.gain"] = (C,)
        out[at + ".qkv.weight"] = (rows, C)
        out[at + ".out.weight"] = (C, H * D)
        if cfg["attn.value_residual"] and not is_first:
            out[at + ".first_values"] = (1,)
        if cfg["model.qk_norm"]:
            out[at + ".q_norm.gain"] = out[at + ".k_norm.gain"] = (D,)
    out.update({name: shape for name, (shape, _) in mixer_parameters(cfg).items()})
    return out


def mixer_parameters(cfg):
    """{name: (shape, start)} of the mixer's own."""
    return MIXERS[cfg["mixer.name"]].parameters(cfg)


def rope(x, base):
    """Half-split rotary embedding (GPT-NeoX style) of x (B, T, heads, D), positions 0..T-1."""
    T, D = x.shape[1], x.shape[-1]
    freq = base ** (-2 * torch.arange(D // 2, dtype=x.dtype) / D)
    angle = (torch.arange(T, dtype=x.dtype)[:, None] * freq)[:, None, :]
    a, b = x[..., :D // 2], x[..., D // 2:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


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


def mlp(cfg, p, at, ways, kept):
    y = rms_norm(ways[0], cfg["model.norm_eps"], p[at + ".norm.gain"])
    y = y @ p[at + ".up.weight"].T
    if cfg["model.mlp"] == "swiglu":
        gate, up = y.chunk(2, -1)
        y = gate * torch.sigmoid(gate) * up
    else:
        y = gelu(y)
    return y @ p[at + ".down.weight"].T


SUBLAYERS = {"attn": attention, "mlp": mlp}


def forward(cfg, p, tokens, gain={}, order={}, mask={}):
    """tokens -> logits (B, T, V), reads [h_1..h_{L+1}], outputs [v_0..v_L], each (B, T, C); a read
    is a tuple of its ways. At a site of three ways an MLP reads the first; at a site of one way an
    attention makes queries, keys and values from that one.

    Interventions: gain {l: factor on v_l}, order {l: sublayer that runs at site l, with its pre-norm},
    mask {l: sources whose M[l, i] is 0 in what read l hands on}; see masked_read.
    """
    L, eps = n_sublayers(cfg), cfg["model.norm_eps"]
    mixer = MIXERS[cfg["mixer.name"]](cfg, p)
    v = [p["embed.weight"][tokens] * gain.get(0, 1)]
    mixer.start(v[0])

    def read(l):
        ways = as_ways(mixer.read(l))
        return masked_read(cfg, p, v, l, mask[l]) if mask.get(l) else ways

    h, kept = [], {}
    for l in range(1, L + 1):
        h.append(read(l))
        n = order.get(l, l)
        v.append(SUBLAYERS[kind(cfg, n)](cfg, p, site(cfg, n), h[-1], kept) * gain.get(l, 1))
        mixer.write(l, v[-1])
    h.append(read(L + 1))
    head = p["embed.weight"] if cfg["model.tied_head"] else p["head.weight"]
    return rms_norm(h[-1][0], eps, p["output.norm.gain"]) @ head.T, h, v


def as_ways(read):
    return read if isinstance(read, tuple) else (read,)


def masked_read(cfg, p, v, l, masked):
    """h_l without the sources `masked`, each way: sum of M[l, i] v_i over those left, M as it is
    without the mask; divided by their sum if the row is an average (no weight below 0, sum 1)."""
    ways, left = [], [i for i in range(l) if i not in masked]
    for M in matrix_row(cfg, p, [x.detach() for x in v], l):
        h = sum(M[i] * v[i].detach() for i in left)
        average = (torch.stack(M).amin((0, -1), keepdim=False) >= 0)[..., None] & \
            ((sum(M) - 1).abs() <= 1e-4)
        ways.append(torch.where(average, h / sum(M[i] for i in left), h))
    return tuple(ways)


def derivatives(h, leaves):
    """dh/dv_i, each (B, T, C), of a read that is linear in the v_i, channel by channel."""
    grads = torch.autograd.grad(h.sum(), leaves, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(grads, leaves)]


def matrix_row(cfg, p, v, l):
    """For each way M[l, i], i < l, each (B, T, C), by walking again over v_0 .. v_{l-1} with frozen
    weights."""
    leaves = [x.detach().requires_grad_() for x in v[:l]]
    with torch.enable_grad():
        mixer = MIXERS[cfg["mixer.name"]](cfg, p, freeze=lambda w: w.detach())
        mixer.start(leaves[0])
        for k in range(1, l):
            mixer.read(k)
            mixer.write(k, leaves[k])
        return [derivatives(h, leaves) for h in as_ways(mixer.read(l))]


def loss(logits, targets):
    """Mean cross-entropy over the positions with target >= 0."""
    keep = targets >= 0
    logp = torch.log_softmax(logits, -1)[keep]
    return -logp[torch.arange(len(logp)), targets[keep]].mean()


def depth_matrix(cfg, p, v):
    """M (ways, L+1, N, L+1, C), row l-1, with h_l = sum_{i<l} M[l-1,:,i] v_i per way, token and
    channel; rows of one way are the same in all.

    The mixer is run again on the recorded v_i as independent leaves with its weights frozen. A read
    is then linear in the v_i and diagonal in token and channel, so d(sum h_l)/dv_i is M itself.
    """
    L, (B, T, C) = n_sublayers(cfg), v[0].shape
    leaves = [x.detach().requires_grad_() for x in v]
    mixer = MIXERS[cfg["mixer.name"]](cfg, p, freeze=lambda w: w.detach())
    mixer.start(leaves[0])
    M = torch.zeros(mixer.ways, L + 1, B * T, L + 1, C, dtype=v[0].dtype)
    for l in range(1, L + 2):
        read = as_ways(mixer.read(l))
        for way in range(mixer.ways):
            for i, g in enumerate(derivatives(read[way % len(read)], leaves[:l])):
                M[way, l - 1, :, i] = g.reshape(B * T, C)
        if l <= L:
            mixer.write(l, leaves[l])
    return M


def matrix_axis(cfg):
    """What the last axis of a stored M counts (channel, head or way), or None: one number only."""
    if MIXERS[cfg["mixer.name"]].ways > 1:
        return "way"
    if cfg["mixer.name"] == "layerscale" or \
            (cfg["mixer.name"] == "highway" and cfg["mixer.gate"] == "vector"):
        return "channel"
    return "head" if cfg["mixer.heads"] > 1 and cfg["mixer.query"] != "none" else None


def compact_matrix(cfg, M):
    """M without axes along which it repeats: (L+1, N, L+1) or, as matrix_axis says, one more."""
    axis = matrix_axis(cfg)
    if axis == "way":
        return M[..., 0].movedim(0, -1)
    if axis == "head":
        return M[0][..., ::M.shape[-1] // cfg["mixer.heads"]]
    return M[0] if axis == "channel" else M[0][..., 0]
