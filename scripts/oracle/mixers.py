"""Depth mixers, written naively from their equations; gradients come from autograd alone.

Protocol: `start(v0)`, then for l = 1..L `read(l) -> h_l`, `write(l, v_l)`, and last `read(L+1)`.
States have shape (B, T, ..., C). Every weight that multiplies a v_i passes through `self.freeze`:
the identity normally, `detach` when the depth-mixing matrix is taken (see model.depth_matrix).
`shapes(cfg)` gives the parameters as {name: shape}.
"""

import math

import torch


def rms_norm(x, eps, gain=None):
    """x * rsqrt(mean(x^2) + eps) * gain, over the last axis."""
    y = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    return y if gain is None else y * gain


def site(cfg, l):
    """Name of sublayer l = 1..L, `output` for L + 1."""
    if l == n_sublayers(cfg) + 1:
        return "output"
    return f"layer.{(l - 1) // 2}." + ("attn" if l % 2 == 1 else "mlp")


def n_sublayers(cfg):
    return 2 * cfg["model.layers"]


class Mixer:
    """Base, and the standard residual connection: h_l = sum_{i<l} v_i (Pre-LN transformer)."""

    def __init__(self, cfg, params, freeze=lambda w: w):
        self.cfg, self.params, self.freeze = cfg, params, freeze
        self.eps = cfg["model.norm_eps"]

    @staticmethod
    def shapes(cfg):
        return {}

    def p(self, l, name):
        return self.params[f"{site(self.cfg, l)}.mixer.{name}"]

    def start(self, v0):
        self.h = v0

    def read(self, l):
        return self.h

    def write(self, l, v):
        self.h = self.h + v


class Highway(Mixer):
    """h_{l+1} = (1 - t_l) h_l + t_l v_l, h_1 = v_0, t_l = sigmoid(W g + b)
    (Srivastava et al. 2015, arXiv:1505.00387, coupled gates; one gate per sublayer is ours).
    g = RMSNorm(h_l) without gain (gate_input norm) or h_l (raw); t_l is one number (scalar, static)
    or one per channel (vector)."""

    @staticmethod
    def shapes(cfg):
        C, out = cfg["model.width"], {}
        for l in range(1, n_sublayers(cfg) + 1):
            base, gate = f"{site(cfg, l)}.mixer.gate.", cfg["mixer.gate"]
            if gate != "static":
                out[base + "weight"] = (C,) if gate == "scalar" else (C, C)
            out[base + "bias"] = (C,) if gate == "vector" else (1,)
        return out

    def write(self, l, v):
        g = self.h if self.cfg["mixer.gate_input"] == "raw" else rms_norm(self.h, self.eps)
        b = self.p(l, "gate.bias")
        if self.cfg["mixer.gate"] == "static":
            t = torch.sigmoid(b)
        elif self.cfg["mixer.gate"] == "scalar":
            t = torch.sigmoid((g * self.p(l, "gate.weight")).sum(-1, keepdim=True) + b)
        else:
            t = torch.sigmoid(g @ self.p(l, "gate.weight").T + b)
        t = self.freeze(t)
        self.h = (1 - t) * self.h + t * v


class DenseFormer(Mixer):
    """Y_k = sum_j alpha[k,j] X_j after transformer block k (Pagliardini et al. 2024,
    arXiv:2402.02622; semantics of the package in epfml/DenseFormer@c99a623).
    X_k = Y_{k-1} + v_{2k-1} + v_{2k}, X_0 = Y_0 = v_0. X_k goes to bucket k mod dilation; only if
    k mod period = 0 is Y_k mixed, over that bucket, else Y_k = X_k."""

    @staticmethod
    def shapes(cfg):
        dilation, period = cfg["mixer.dilation"], cfg["mixer.period"]
        return {f"layer.{k - 1}.mixer.alpha": (k // dilation + 1,)
                for k in range(1, cfg["model.layers"] + 1) if k % period == 0}

    def start(self, v0):
        self.h = v0
        self.X = [v0]

    def write(self, l, v):
        self.h = self.h + v
        if l % 2 == 1:
            return
        k, dilation = l // 2, self.cfg["mixer.dilation"]
        self.X.append(self.h)
        if k % self.cfg["mixer.period"] == 0:
            bucket = [self.X[j] for j in range(k + 1) if j % dilation == k % dilation]
            alpha = self.freeze(self.params[f"layer.{k - 1}.mixer.alpha"])
            assert len(bucket) == len(alpha)
            self.h = sum(a * x for a, x in zip(alpha, bucket))


class Hyper(Mixer):
    """h = A_m^T H, H' = A_r^T H + beta v^T, H_1 = K copies of v_0, h_{L+1} = sum of the streams
    (Zhu et al. 2024, arXiv:2409.19606, Algorithm 2). alpha = [A_m | A_r], (K, K+1).
    Dynamic: alpha = alpha_s + s_a tanh(LN(H) W_a), beta = beta_s + s_b tanh(LN(H) w_b), from the H
    that sublayer l reads; LN per stream, no affine."""

    @staticmethod
    def shapes(cfg):
        C, K, out = cfg["model.width"], cfg["mixer.streams"], {}
        for l in range(1, n_sublayers(cfg) + 1):
            s = {"alpha": (K, K + 1), "beta": (K,)}
            if cfg["mixer.dynamic"]:
                s.update(alpha_proj=(K + 1, C), beta_proj=(C,), alpha_scale=(1,), beta_scale=(1,))
            out.update({f"{site(cfg, l)}.mixer.{name}": shape for name, shape in s.items()})
        return out

    def start(self, v0):
        self.H = torch.stack([v0] * self.cfg["mixer.streams"], dim=-2)

    def weights(self, l):
        alpha, beta = self.p(l, "alpha"), self.p(l, "beta")
        if self.cfg["mixer.dynamic"]:
            centred = self.H - self.H.mean(-1, keepdim=True)
            x = rms_norm(centred, self.eps)  # mean removed, so this is LayerNorm
            alpha = alpha + self.p(l, "alpha_scale") * torch.tanh(x @ self.p(l, "alpha_proj").T)
            beta = beta + self.p(l, "beta_scale") * torch.tanh(x @ self.p(l, "beta_proj"))
        return self.freeze(alpha), self.freeze(beta)

    def read(self, l):
        if l == n_sublayers(self.cfg) + 1:
            return self.H.sum(-2)
        alpha, _ = self.weights(l)
        return (alpha[..., 0:1] * self.H).sum(-2)

    def write(self, l, v):
        alpha, beta = self.weights(l)
        A_r = alpha[..., 1:]
        self.H = A_r.transpose(-1, -2) @ self.H + beta[..., None] * v[..., None, :]


def sinkhorn(logits, iters, eps=1e-6):
    """Order of deepseek-ai/TileKernels@36d9e45: softmax over j for each s, + eps, columns; then
    (iters - 1) times rows, columns; each division by (sum + eps)."""
    P = torch.softmax(logits, dim=-1) + eps
    P = P / (P.sum(-2, keepdim=True) + eps)
    for _ in range(iters - 1):
        P = P / (P.sum(-1, keepdim=True) + eps)
        P = P / (P.sum(-2, keepdim=True) + eps)
    return P


class MHC(Mixer):
    """Manifold-constrained hyper-connections (arXiv:2512.24880).
    x = flatten(X), u = (phi x) rsqrt(mean(x^2) + norm_eps), pre = sigmoid(a_pre u + b) + 1e-6,
    post = 2 sigmoid(a_post u + b), R = Sinkhorn(a_res u + b); h = sum_s pre_s X_s,
    X'_j = sum_s R[s,j] X_s + post_j v. Output: mean, sum, or a learned sigmoid head of its own."""

    @staticmethod
    def shapes(cfg):
        C, K, out = cfg["model.width"], cfg["mixer.streams"], {}
        rows = K * K + 2 * K
        for l in range(1, n_sublayers(cfg) + 1):
            base = f"{site(cfg, l)}.mixer."
            out.update({base + "phi": (rows, K * C), base + "bias": (rows,), base + "scale": (3,)})
        if cfg["mixer.reduction"] == "learned":
            out.update({"output.mixer.phi": (K, K * C), "output.mixer.bias": (K,),
                        "output.mixer.scale": (1,)})
        return out

    def start(self, v0):
        self.X = torch.stack([v0] * self.cfg["mixer.streams"], dim=-2)

    def u(self, l):
        x = self.X.flatten(-2)
        return (x @ self.p(l, "phi").T) * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps)

    def weights(self, l):
        K, u, b, a = self.cfg["mixer.streams"], self.u(l), self.p(l, "bias"), self.p(l, "scale")
        pre = torch.sigmoid(a[0] * u[..., :K] + b[:K]) + 1e-6
        post = 2 * torch.sigmoid(a[1] * u[..., K:2 * K] + b[K:2 * K])
        logits = a[2] * u[..., 2 * K:] + b[2 * K:]
        R = sinkhorn(logits.unflatten(-1, (K, K)), self.cfg["mixer.sinkhorn_iters"])
        return self.freeze(pre), self.freeze(post), self.freeze(R)

    def read(self, l):
        if l <= n_sublayers(self.cfg):
            pre = self.weights(l)[0]
        elif self.cfg["mixer.reduction"] == "learned":
            pre = torch.sigmoid(self.p(l, "scale") * self.u(l) + self.p(l, "bias")) + 1e-6
            pre = self.freeze(pre)
        else:
            return self.X.mean(-2) if self.cfg["mixer.reduction"] == "mean" else self.X.sum(-2)
        return (pre[..., None] * self.X).sum(-2)

    def write(self, l, v):
        _, post, R = self.weights(l)
        self.X = torch.einsum("btsj,btsc->btjc", R, self.X) + post[..., None] * v[..., None, :]


class AttnRes(Mixer):
    """h_l = sum_{i<l} p_i v_i, p = softmax_i <w_l, RMSNorm(v_i; g_l)>, no 1/sqrt(d)
    (Attention Residuals, arXiv:2603.15031, eqs. 2-4; output site: fig. 1). h_1 = v_0."""

    @staticmethod
    def shapes(cfg):
        C, out = cfg["model.width"], {}
        for l in range(2, n_sublayers(cfg) + 2):
            out[f"{site(cfg, l)}.mixer.query"] = (C,)
            if cfg["mixer.key_gain"]:
                out[f"{site(cfg, l)}.mixer.key_gain"] = (C,)
        return out

    def start(self, v0):
        self.v = [v0]

    def sources(self):
        return self.v

    def read(self, l):
        V = torch.stack(self.sources(), dim=-2)
        if l == 1:
            return V[..., 0, :]
        gain = self.p(l, "key_gain") if self.cfg["mixer.key_gain"] else None
        logits = rms_norm(V, self.eps, gain) @ self.p(l, "query")
        weights = self.freeze(torch.softmax(logits, dim=-1))
        return (weights[..., None] * V).sum(-2)

    def write(self, l, v):
        self.v.append(v)


class AttnResBlock(AttnRes):
    """The same over b_0 = v_0, the sums of the completed blocks of `block_size` sublayers and, if
    not empty, the partial sum of the running one (arXiv:2603.15031, eqs. 5-6).
    n_blocks: block_size = ceil(L / n_blocks); neither given: n_blocks = 8."""

    def start(self, v0):
        L, n = n_sublayers(self.cfg), self.cfg["mixer.n_blocks"] or 8
        self.size = self.cfg["mixer.block_size"] or math.ceil(L / n)
        self.blocks, self.partial = [v0], None

    def sources(self):
        return self.blocks + ([] if self.partial is None else [self.partial])

    def write(self, l, v):
        self.partial = v if self.partial is None else self.partial + v
        if l % self.size == 0:
            self.blocks, self.partial = self.blocks + [self.partial], None


MIXERS = {"standard": Mixer, "highway": Highway, "denseformer": DenseFormer, "hyper": Hyper,
          "mhc": MHC, "attnres": AttnRes, "attnres_block": AttnResBlock}
