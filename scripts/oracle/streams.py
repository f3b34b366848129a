"""Mixers that keep K streams: h_l a mix of them, and after v_l a transition of the K."""

import itertools
import math

import numpy as np
import torch

from base import Mixer, Uniform, block, n_sublayers, rms_norm, site


class Hyper(Mixer):
    """h = A_m^T H, H' = A_r^T H + beta v^T, H_1 = K copies of v_0, h_{L+1} = sum of the streams
    (Zhu et al. 2024, arXiv:2409.19606, Algorithm 2). alpha = [A_m | A_r], (K, K+1).
    Dynamic: alpha = alpha_s + s_a tanh(LN(H) W_a), beta = beta_s + s_b tanh(LN(H) w_b), from the H
    that sublayer l reads; LN per stream, no affine. Starts with alpha = [e_k | I], k the
    transformer block mod K, beta = 1, W = 0, s = 0.01."""

    @staticmethod
    def parameters(cfg):
        C, K, out = cfg["model.width"], cfg["mixer.streams"], {}
        for l in range(1, n_sublayers(cfg) + 1):
            alpha = np.eye(K, K + 1, k=1)
            alpha[block(cfg, l) % K, 0] = 1
            s = {"alpha": ((K, K + 1), alpha), "beta": ((K,), 1)}
            if cfg["mixer.dynamic"]:
                s.update(alpha_proj=((K + 1, C), 0), beta_proj=((C,), 0), alpha_scale=((1,), 0.01),
                         beta_scale=((1,), 0.01))
            out.update({f"{site(cfg, l)}.mixer.{name}": x for name, x in s.items()})
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


def read_write_start(cfg, l):
    """Biases of pre and post of sublayer l. identity: pre = 1/K (K = 1: up to e^-8), post = 1;
    one_hot: one stream's above the others', the transformer block mod K."""
    K = cfg["mixer.streams"]
    if cfg["mixer.bias_init"] == "one_hot":
        chosen = 2 * np.eye(K)[block(cfg, l) % K] - 1
        return chosen, chosen
    if cfg["mixer.bias_init"] == "zero":
        return np.zeros(K), np.zeros(K)
    return np.full(K, 8 if K == 1 else -math.log(K - 1)), np.zeros(K)


class MHC(Mixer):
    """Manifold-constrained hyper-connections (arXiv:2512.24880).
    x = flatten(X), u = (phi x) rsqrt(mean(x^2) + norm_eps), pre = sigmoid(a_pre u + b) + 1e-6,
    post = 2 sigmoid(a_post u + b), R = Sinkhorn(a_res u + b); h = sum_s pre_s X_s,
    X'_j = sum_s R[s,j] X_s + post_j v. Output: mean, sum, or a learned sigmoid head of its own."""

    @classmethod
    def parameters(cls, cfg):
        C, K, L, out = cfg["model.width"], cfg["mixer.streams"], n_sublayers(cfg), {}
        rows = 2 * K + len(cls.transition_start(cfg))

        def phi(rows):
            return (rows, K * C), cls.phi_start(rows, K * C)

        for l in range(1, L + 1):
            at = f"{site(cfg, l)}.mixer."
            bias = np.concatenate([*read_write_start(cfg, l), cls.transition_start(cfg)])
            out.update({at + "phi": phi(rows), at + "bias": ((rows,), bias),
                        at + "scale": ((3,), 0.01)})
        if cfg["mixer.reduction"] == "learned":
            out.update({"output.mixer.phi": phi(K),
                        "output.mixer.bias": ((K,), read_write_start(cfg, L + 1)[0]),
                        "output.mixer.scale": ((1,), 0.01)})
        return out

    @staticmethod
    def phi_start(fan_out, fan_in):
        return Uniform(math.sqrt(6 / (fan_in + fan_out)))  # Xavier

    @staticmethod
    def transition_start(cfg):
        """Biases of R: row by row, the identity up to e^-8."""
        K = cfg["mixer.streams"]
        scale = 0 if cfg["mixer.bias_init"] == "zero" else 8
        return (scale * np.eye(K) - scale).ravel()

    def start(self, v0):
        self.X = torch.stack([v0] * self.cfg["mixer.streams"], dim=-2)

    def u(self, l):
        x = self.X.flatten(-2)
        return (x @ self.p(l, "phi").T) * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps)

    def weights(self, l):
        K, u, b, a = self.cfg["mixer.streams"], self.u(l), self.p(l, "bias"), self.p(l, "scale")
        pre = torch.sigmoid(a[0] * u[..., :K] + b[:K]) + 1e-6
        post = 2 * torch.sigmoid(a[1] * u[..., K:2 * K] + b[K:2 * K])
        R = self.transition(a[2] * u[..., 2 * K:] + b[2 * K:])
        return self.freeze(pre), self.freeze(post), self.freeze(R)

    def transition(self, logits):
        K = self.cfg["mixer.streams"]
        return sinkhorn(logits.unflatten(-1, (K, K)), self.cfg["mixer.sinkhorn_iters"])

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


class MHCLite(MHC):
    """The same with R = sum_r w_r P_r, w = softmax(a_res u + b) over all K! permutations in
    lexicographic order, P_r[s, perm_r(s)] = 1: doubly stochastic without iterations
    (mHC-lite, arXiv:2601.05732). phi starts at 0."""

    @staticmethod
    def phi_start(fan_out, fan_in):
        return 0

    @staticmethod
    def transition_start(cfg):
        """Biases of the permutations, the identity first: all others e^-8 of it."""
        start = np.full(math.factorial(cfg["mixer.streams"]), -8.0)
        start[0] = 0
        return start * (cfg["mixer.bias_init"] != "zero")

    def transition(self, logits):
        return permutation_mix(torch.softmax(logits, -1), self.cfg["mixer.streams"])


def permutation_mix(w, K):
    """sum_r w_r P_r: (..., K!) -> (..., K, K)."""
    P = torch.zeros(math.factorial(K), K, K, dtype=w.dtype)
    for r, permutation in enumerate(itertools.permutations(range(K))):
        for s, j in enumerate(permutation):
            P[r, s, j] = 1
    return torch.einsum("...r,rsj->...sj", w, P)
