"""M of the mixers that have it in closed form, in NumPy, from the parameters and what the run read
and wrote: a second way to the same numbers."""

import numpy as np

from base import begins_block, block, n_sublayers, site


def closed_form(cfg, p, h, v):
    """M that broadcasts to (ways, L+1, N, L+1, C), or None. h[l-1] and v[l]: (N, C); h of the first
    way."""
    def of_site(name):
        return [p[f"{site(cfg, l)}.mixer.{name}"][None] for l in range(1, L + 1)]

    p = {key: x.detach().numpy() for key, x in p.items()}
    L, name = n_sublayers(cfg), cfg["mixer.name"]
    if name == "standard":
        return products(L * [np.ones((1, 1))], L * [1])
    if name == "highway" and cfg["mixer.gate"] == "static":
        t = [1 / (1 + np.exp(-b)) for b in of_site("gate.bias")]
        return products(t, [1 - x for x in t])
    if name in ("rezero", "layerscale"):
        return products(of_site("gain"), L * [1])
    if name == "deepnorm":
        a = cfg["mixer.alpha"] or L ** (1 / 4)
        r = [inverse_rms(cfg, a * h[l - 1] + v[l])[:, None] for l in range(1, L + 1)]
        return products(r, [a * x for x in r])
    if name == "static_mix":
        rows = [p.get(f"{site(cfg, l)}.mixer.weight", np.ones(1)) for l in range(1, L + 2)]
        return np.array([np.pad(softmax(w) if cfg["mixer.weights"] == "softmax" else w,
                                (0, L + 1 - len(w))) for w in rows])[:, None, :, None]
    if name in ("attnres", "attnres_block"):
        return attention_rows(cfg, p, v)
    return block_averages(cfg, p, h, v) if name in ("denseformer", "mudd") else None


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def inverse_rms(cfg, x):
    return ((x ** 2).mean(-1) + cfg["model.norm_eps"]) ** -0.5


def products(t, c):
    """h_{l+1} = c_l h_l + t_l v_l: M[l,i] = t_i prod_{i<j<l} c_j. t_l, c_l: (N or 1, C or 1)."""
    L = len(t)
    M = np.zeros((L + 1, len(t[0]), L + 1, t[0].shape[1]))
    for l in range(1, L + 2):
        for i in range(l):
            M[l - 1, :, i] = t[i - 1] if i > 0 else 1
            for j in range(i + 1, l):
                M[l - 1, :, i] *= c[j - 1]
    return M


def source_sets(cfg, l):
    """Which of v_0 .. v_{l-1} each source of read l is the sum of."""
    L, size, window = n_sublayers(cfg), 1, cfg["mixer.window"] or l
    if cfg["mixer.name"] == "attnres_block":
        size = cfg["mixer.block_size"] or -(-L // (cfg["mixer.n_blocks"] or 8))
    blocks = [list(range(i, min(i + size, l))) for i in range(1, l, size)]
    return [[0]] + blocks[max(0, len(blocks) - window):]


def attention_rows(cfg, p, v):
    """Token by token, source by source, channel group by channel group."""
    L, (N, C) = n_sublayers(cfg), v[0].shape
    D = C // cfg["mixer.heads"]
    M = np.zeros((L + 1, N, L + 1, C))
    M[0, :, 0] = 1
    for l in range(2, L + 2):
        at, sets = f"{site(cfg, l)}.mixer.", source_sets(cfg, l)
        for n in range(N):
            for first in range(0, C, D):
                group = slice(first, first + D)
                if cfg["mixer.query"] == "none":
                    weights = softmax(p[at + "bias"])
                else:
                    q = p[at + "query"][group]
                    if cfg["mixer.query"] == "input":
                        new = v[l - 1][n] * inverse_rms(cfg, v[l - 1][n])
                        q = q + p[at + "query_proj"][group] @ new
                    gain = p.get(at + "key_gain", np.ones(C))[group]
                    weights = of_scores(cfg, np.array([
                        q @ (gain * key(cfg, sum(v[i][n] for i in s), group)) for s in sets]))
                for weight, s in zip(weights, sets):
                    M[l - 1, n, s, group] = weight
    return M


def key(cfg, x, group):
    if not cfg["mixer.key_norm"]:
        return x[group]
    return x[group] * inverse_rms(cfg, x[group] if cfg["mixer.head_norm"] == "head" else x)


def of_scores(cfg, s):
    if "sigmoid" not in cfg["mixer.weights"]:
        return softmax(s)
    gates = 1 / (1 + np.exp(-s))
    return gates / gates.sum() if cfg["mixer.weights"] == "sigmoid_norm" else gates


def block_averages(cfg, p, h, v):
    """A_c (I - Z A_r)^-1 over transformer blocks, Z shifts down: row k of A_c holds what way c
    mixes after block k, A_r the same of the residual (denseformer: the only way). Inside a block a
    read is of the residual and the block's outputs, once."""
    L, N = n_sublayers(cfg), len(v[0])
    B, ways = cfg["model.layers"], 3 if cfg["mixer.name"] == "mudd" else 1
    A = np.tile(np.eye(B + 1), (N, ways + 1, 1, 1))  # of each way, and of the residual
    for k in range(1, B + 1):
        at = f"layer.{k - 1}.mixer."
        if at + "bias" in p:  # (4, k + 1), of the last block (1, k + 1)
            A[:, :, k, :k + 1] = p[at + "bias"]
        if at + "in_proj" in p:
            last = k * len(cfg["model.pattern"])
            X = h[last - 1] + v[last]
            a = X * inverse_rms(cfg, X)[:, None] @ p[at + "in_proj"].T
            a = a / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (a + 0.044715 * a ** 3)))
            A[:, :, k, :k + 1] += (a @ p[at + "out_proj"].T).reshape(N, -1, k + 1)
        if at + "alpha" in p:
            d = cfg["mixer.dilation"]
            A[:, :, k, k % d:k + 1:d] = p[at + "alpha"]
    blocks = A @ np.linalg.inv(np.eye(B + 1) - np.eye(B + 1, k=-1) @ A[:, -1:])
    M = np.zeros((ways, L + 1, N, L + 1, 1))
    for way in range(ways):
        for l in range(1, L + 2):
            apart = begins_block(cfg, l)
            rows = blocks[:, way if apart else ways, block(cfg, l)]
            for i in range(l):
                k = block(cfg, i) + 1  # the block that v_i is in; of v_0, 0
                M[way, l - 1, :, i, 0] = 1 if k > block(cfg, l) else rows[:, k]
    return M
