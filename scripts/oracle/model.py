"""The Plumb model in plain PyTorch, float64: a decoder of L pre-norm sublayers around a depth mixer,
as many times those of model.pattern as it has layers. Parameters are a flat {name: tensor}; linear weights are (out, in)."""

import torch

from base import begins_block, kind, n_sublayers, rms_norm, site
from mixers import MIXERS
from sublayers import SUBLAYERS

DEFAULTS = {
    "model.layers": 4, "model.pattern": ("attn", "mlp"), "model.width": 128, "model.heads": 4, "model.kv_heads": 0,
    "model.head_dim": 0, "model.mlp": "swiglu", "model.mlp_hidden": 0, "model.context": 128,
    "model.tied_head": True, "model.qk_norm": False, "model.rope_base": 10000.0,
    "model.norm_eps": 1e-10,
    "mixer.name": "standard", "mixer.gate": "scalar", "mixer.gate_bias": "uniform",
    "mixer.gate_input": "norm", "mixer.gain_init": "paper", "mixer.alpha": 0.0,
    "mixer.dilation": 1, "mixer.period": 1, "mixer.streams": 4, "mixer.dynamic": True,
    "mixer.sinkhorn_iters": 20, "mixer.bias_init": "identity", "mixer.reduction": "mean",
    "mixer.key_gain": True, "mixer.block_size": 0, "mixer.n_blocks": 0,
    "mixer.weights": "softmax",
    "mixer.window": 0, "mixer.heads": 1, "mixer.head_norm": "full", "mixer.key_norm": True,
    "mixer.query": "learned", "mixer.hidden": 0,
    **{f"{kind}.{option}": start for kind, sublayer in SUBLAYERS.items()
       for option, start in sublayer.options.items()},
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
    C = cfg["model.width"]
    out = {"embed.weight": (vocab, C), "output.norm.gain": (C,)}
    if not cfg["model.tied_head"]:
        out["head.weight"] = (vocab, C)
    seen = set()  # kinds
    for l in range(1, n_sublayers(cfg) + 1):
        at, of = site(cfg, l), kind(cfg, l)
        ways = MIXERS[cfg["mixer.name"]].ways if begins_block(cfg, l) else 1
        out[at + ".norm.gain"] = (C,)
        own = SUBLAYERS[of].parameters(cfg, ways, of not in seen)
        out.update({f"{at}.{name}": shape for name, shape in own.items()})
        seen.add(of)
    out.update({name: shape for name, (shape, _) in mixer_parameters(cfg).items()})
    return out


def mixer_parameters(cfg):
    """{name: (shape, start)} of the mixer's own."""
    return MIXERS[cfg["mixer.name"]].parameters(cfg)


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
        v.append(SUBLAYERS[kind(cfg, n)].forward(cfg, p, site(cfg, n), h[-1], kept) * gain.get(l, 1))
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
