"""Mixers that keep what was written and read weighted sums of it."""

import math

import numpy as np
import torch

from base import Mixer, Normal, begins_block, block, ends_block, gelu, n_sublayers, rms_norm, site


class DenseFormer(Mixer):
    """Y_k = sum_j alpha[k,j] X_j after transformer block k (Pagliardini et al. 2024,
    arXiv:2402.02622; semantics of the package in epfml/DenseFormer@c99a623).
    X_k = Y_{k-1} + the outputs of block k, X_0 = Y_0 = v_0. X_k goes to bucket k mod dilation; only if
    k mod period = 0 is Y_k mixed, over that bucket, else Y_k = X_k. alpha starts one-hot on k."""

    @staticmethod
    def parameters(cfg):
        dilation, period = cfg["mixer.dilation"], cfg["mixer.period"]
        return {f"layer.{k - 1}.mixer.alpha": ((k // dilation + 1,), np.eye(k // dilation + 1)[-1])
                for k in range(1, cfg["model.layers"] + 1) if k % period == 0}

    def start(self, v0):
        self.h = v0
        self.X = [v0]

    def write(self, l, v):
        self.h = self.h + v
        if not ends_block(self.cfg, l):
            return
        k, dilation = block(self.cfg, l) + 1, self.cfg["mixer.dilation"]
        self.X.append(self.h)
        if k % self.cfg["mixer.period"] == 0:
            bucket = [self.X[j] for j in range(k + 1) if j % dilation == k % dilation]
            alpha = self.freeze(self.params[f"layer.{k - 1}.mixer.alpha"])
            assert len(bucket) == len(alpha)
            self.h = sum(a * x for a, x in zip(alpha, bucket))


class StaticMix(Mixer):
    """h_l = sum_{i<l} w[l,i] v_i, w learned and the same for every token. raw: w itself, started at
    1; softmax: softmax(weight), started at 0, h_1 = v_0."""

    @staticmethod
    def parameters(cfg):
        softmax = cfg["mixer.weights"] == "softmax"
        return {f"{site(cfg, l)}.mixer.weight": ((l,), 0 if softmax else 1)
                for l in range(2 if softmax else 1, n_sublayers(cfg) + 2)}

    def start(self, v0):
        self.v = [v0]

    def read(self, l):
        softmax = {"raw": False, "softmax": True}[self.cfg["mixer.weights"]]
        if softmax and l == 1:
            return self.v[0]
        w = self.p(l, "weight")
        w = self.freeze(torch.softmax(w, -1) if softmax else w)
        return sum(w[i] * v for i, v in enumerate(self.v))

    def write(self, l, v):
        self.v.append(v)


class AttnRes(Mixer):
    """h_l = sum_{i<l} p_i v_i, p = softmax_i <w_l, RMSNorm(v_i; g_l)>, no 1/sqrt(d)
    (Attention Residuals, arXiv:2603.15031, eqs. 2-4; output site: fig. 1). h_1 = v_0. Rows of its
    table 4:
    weights: sigmoid instead of softmax, or sigmoid_norm, sigmoid divided by its sum.
    window W: of the sources, the embedding and the newest W others only.
    heads H: channels in H groups with weights of their own, from the group's channels of w_l and of
    the key; head_norm full: keys are normed over all channels, head: over those of the group.
    key_norm false: keys are the v_i as they are.
    query input: w_l + W_l RMSNorm(v_{l-1}) in place of w_l; none: p = softmax of a learned vector.
    """

    @classmethod
    def parameters(cls, cfg):
        C, out = cfg["model.width"], {}
        for l in range(2, n_sublayers(cfg) + 2):
            at = f"{site(cfg, l)}.mixer."
            if cfg["mixer.query"] == "none":
                out[at + "bias"] = (cls.n_sources(cfg, l),), 0
                continue
            out[at + "query"] = (C,), 0
            if cfg["mixer.query"] == "input":
                out[at + "query_proj"] = (C, C), 0
            if cfg["mixer.key_gain"] and cfg["mixer.key_norm"]:
                out[at + "key_gain"] = (C,), 1
        return out

    @staticmethod
    def n_sources(cfg, l):
        return min(l, cfg["mixer.window"] + 1) if cfg["mixer.window"] else l

    def start(self, v0):
        self.v = [v0]

    def sources(self):
        W = self.cfg["mixer.window"]
        return self.v[:1] + self.v[1:][-W:] if W else self.v

    def write(self, l, v):
        self.v.append(v)
        self.newest = v

    def keys(self, l, V):
        """(B, T, S, C)"""
        if not self.cfg["mixer.key_norm"]:
            return V
        gain = self.p(l, "key_gain") if self.cfg["mixer.key_gain"] else torch.ones(())
        if self.cfg["mixer.head_norm"] == "full":
            return rms_norm(V, self.eps) * gain
        groups = V.chunk(self.cfg["mixer.heads"], -1)
        return torch.cat([rms_norm(x, self.eps) for x in groups], -1) * gain

    def query(self, l):
        """(C,) or (B, T, C)"""
        if self.cfg["mixer.query"] == "learned":
            return self.p(l, "query")
        return self.p(l, "query") + rms_norm(self.newest, self.eps) @ self.p(l, "query_proj").T

    def weights(self, l, V):
        """For each group of channels, (B, T, S)."""
        if self.cfg["mixer.query"] == "none":
            return [torch.softmax(self.p(l, "bias"), -1)]
        H, out = self.cfg["mixer.heads"], []
        for k, q in zip(self.keys(l, V).chunk(H, -1), self.query(l).chunk(H, -1)):
            s = (k @ q[..., None])[..., 0]
            kind, gate = self.cfg["mixer.weights"], torch.sigmoid(s)
            out.append({"softmax": torch.softmax(s, -1), "sigmoid": gate,
                        "sigmoid_norm": gate / gate.sum(-1, keepdim=True)}[kind])
        return out

    def read(self, l):
        V = torch.stack(self.sources(), dim=-2)
        if l == 1:
            return V[..., 0, :]
        weights = [self.freeze(p) for p in self.weights(l, V)]
        groups = V.chunk(len(weights), -1)
        return torch.cat([(p[..., None] * x).sum(-2) for p, x in zip(weights, groups)], -1)


class AttnResBlock(AttnRes):
    """The same over b_0 = v_0, the sums of the completed blocks of `block_size` sublayers and, if
    not empty, the partial sum of the running one (arXiv:2603.15031, eqs. 5-6).
    n_blocks: block_size = ceil(L / n_blocks); neither given: n_blocks = 8."""

    @staticmethod
    def size(cfg):
        n = cfg["mixer.n_blocks"] or 8
        return cfg["mixer.block_size"] or math.ceil(n_sublayers(cfg) / n)

    @classmethod
    def n_sources(cls, cfg, l):
        return 1 + math.ceil((l - 1) / cls.size(cfg))

    def start(self, v0):
        self.blocks, self.partial = [v0], None

    def sources(self):
        return self.blocks + ([] if self.partial is None else [self.partial])

    def write(self, l, v):
        self.partial = v if self.partial is None else self.partial + v
        if l % self.size(self.cfg) == 0:
            self.blocks, self.partial = self.blocks + [self.partial], None
        self.newest = v


class Mudd(Mixer):
    """MUDDFormer (Xiao et al. 2025, arXiv:2502.12170). X_0 = R_0 = v_0; block k = 1..B writes
    X_k = R_{k-1} + its outputs; after it, for each way c,
    Xbar_c = sum_{j<=k} (A_c[j] + b_c[j]) X_j, A = W2 gelu(W1 RMSNorm(X_k)).
    After blocks 1..B-1 the ways are q, k, v, r: the attention of block k + 1 makes its queries,
    keys and values from Xbar_q, Xbar_k, Xbar_v, its MLP reads R_k + v_attn, R_k = Xbar_r. After
    the last block there is one way, which the output reads. Block 1 reads v_0 in all ways.
    dynamic false: A = 0. Starts with b one-hot on X_k, W1 ~ N(0, 1/C), W2 = 0."""

    ways = 3

    @staticmethod
    def parameters(cfg):
        C, B, out = cfg["model.width"], cfg["model.layers"], {}
        for k in range(1, B + 1):
            at, n, ways = f"layer.{k - 1}.mixer.", k + 1, 4 if k < B else 1
            out[at + "bias"] = (ways, n), np.tile(np.eye(n)[-1], (ways, 1))
            if cfg["mixer.dynamic"]:  # hidden: the next multiple of 64 above 4 n
                hidden = cfg["mixer.hidden"] or (4 * n // 64 + 1) * 64
                out[at + "in_proj"] = (hidden, C), Normal(C ** -0.5)
                out[at + "out_proj"] = (ways * n, hidden), 0
        return out

    def start(self, v0):
        self.X, self.R, self.attention = [v0], v0, (v0, v0, v0)

    def read(self, l):
        return self.attention if begins_block(self.cfg, l) else self.R

    def write(self, l, v):
        self.R = self.R + v
        if not ends_block(self.cfg, l):
            return
        self.X.append(self.R)
        mixed = [sum(w[..., j, None] * x for j, x in enumerate(self.X))
                 for w in self.weights(block(self.cfg, l) + 1).unbind(-2)]
        *self.attention, self.R = mixed
        self.attention = tuple(self.attention)

    def weights(self, k):
        """(..., ways, k + 1)"""
        def p(name):
            return self.params[f"layer.{k - 1}.mixer.{name}"]

        if not self.cfg["mixer.dynamic"]:
            return self.freeze(p("bias"))
        A = gelu(rms_norm(self.X[-1], self.eps) @ p("in_proj").T) @ p("out_proj").T
        return self.freeze(A.unflatten(-1, p("bias").shape) + p("bias"))
