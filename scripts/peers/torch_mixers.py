"""The depth mixers as PyTorch modules, one per site; written as their papers' code writes them.

A mixer is `start(v_0) -> state`, then at every site `read(state) -> (h, carry)` and
`write(state, carry, v) -> state`. `form` picks between two usual ways to write a sum over sources:
"stack" (one tensor with a source axis, as in the papers' listings) or "loop" (a Python sum)."""

import torch
import torch.nn.functional as F
from torch import nn

import spec


class Standard(nn.Module):
    def __init__(self, cfg, site, form):
        super().__init__()
        self.C, self.eps, self.site, self.form = cfg.width, cfg.norm_eps, site, form
        self.is_output = site == cfg.sublayers + 1

    def start(self, v):
        return v

    def read(self, h):
        return h, None

    def write(self, h, carry, v):
        return h + v


class Highway(Standard):
    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        if not self.is_output:
            self.gate = nn.Linear(self.C, 1)

    def write(self, h, carry, v):
        t = torch.sigmoid(self.gate(F.rms_norm(h, (self.C,), eps=self.eps)))
        return torch.lerp(h, v, t.to(h.dtype))


class DenseFormer(Standard):
    """After block k: Y_k = sum_j alpha[k,j] X_j."""

    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        self.mixes = spec.ends_block(site) and not self.is_output
        if self.mixes:
            self.alpha = nn.Parameter(torch.empty(spec.block(site) + 2))

    def start(self, v):
        return v, [v]

    def read(self, state):
        return state[0], None

    def write(self, state, carry, v):
        h, outputs = state[0] + v, state[1]
        if not self.mixes:
            return h, outputs
        outputs = outputs + [h]
        alpha = self.alpha.to(h.dtype)
        if self.form == "stack":
            return torch.tensordot(alpha, torch.stack(outputs), dims=1), outputs
        return sum(a * x for a, x in zip(alpha.unbind(), outputs)), outputs


class Hyper(Standard):
    """Algorithm 2 of the Hyper-Connections paper: one product makes read and new streams."""

    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        self.K = K = cfg.streams
        if not self.is_output:
            self.alpha = nn.Parameter(torch.empty(K, K + 1))
            self.beta = nn.Parameter(torch.empty(K))
            self.alpha_proj = nn.Parameter(torch.empty(K + 1, self.C))
            self.beta_proj = nn.Parameter(torch.empty(self.C))
            self.alpha_scale = nn.Parameter(torch.empty(1))
            self.beta_scale = nn.Parameter(torch.empty(1))

    def start(self, v):
        return v.unsqueeze(-2).expand(*v.shape[:-1], self.K, self.C)

    def read(self, H):
        if self.is_output:
            return H.sum(-2), None
        x = F.layer_norm(H, (self.C,), eps=self.eps)
        alpha = self.alpha + self.alpha_scale * torch.tanh(F.linear(x, self.alpha_proj))
        beta = self.beta + self.beta_scale * torch.tanh(x @ self.beta_proj.to(x.dtype))
        mixed = mix_streams(alpha, H, self.form)
        return mixed[..., 0, :], (mixed[..., 1:, :], beta)

    def write(self, H, carry, v):
        mixed, beta = carry
        return mixed + beta.to(v.dtype).unsqueeze(-1) * v.unsqueeze(-2)


def mix_streams(weights, X, form):
    """sum_s weights[..., s, j] X[..., s, :] -> (..., j, C)."""
    weights = weights.to(X.dtype)
    if form == "stack":
        return torch.einsum("btsj,btsc->btjc", weights, X)
    return sum(weights[..., s, :, None] * X[..., s, None, :] for s in range(X.shape[-2]))


def sinkhorn(logits, iters, eps=1e-6):
    P = logits.softmax(-1) + eps
    P = P / (P.sum(-2, keepdim=True) + eps)
    for _ in range(iters - 1):
        P = P / (P.sum(-1, keepdim=True) + eps)
        P = P / (P.sum(-2, keepdim=True) + eps)
    return P


class MHC(Standard):
    """Coefficients and Sinkhorn in float32, as in the paper; the output is the streams' mean."""

    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        self.K, self.iters = cfg.streams, cfg.sinkhorn_iters
        K, rows = self.K, self.K * (self.K + 2)
        if not self.is_output:
            self.phi = nn.Parameter(torch.empty(rows, K * self.C))
            self.bias = nn.Parameter(torch.empty(rows))
            self.scale = nn.Parameter(torch.empty(3))

    def start(self, v):
        return v.unsqueeze(-2).expand(*v.shape[:-1], self.K, self.C)

    def read(self, X):
        if self.is_output:
            return X.mean(-2), None
        K, (pre_scale, post_scale, res_scale) = self.K, self.scale.unbind()
        u = F.linear(F.rms_norm(X.flatten(-2), (K * self.C,), eps=self.eps), self.phi)
        u = u.to(self.bias.dtype)
        pre_bias, post_bias, res_bias = self.bias.split([K, K, K * K])
        pre, post, res = u.split([K, K, K * K], dim=-1)
        pre = torch.sigmoid(pre_scale * pre + pre_bias) + 1e-6
        post = 2 * torch.sigmoid(post_scale * post + post_bias)
        res = sinkhorn((res_scale * res + res_bias).unflatten(-1, (K, K)), self.iters)
        mixed = mix_streams(torch.cat([pre.unsqueeze(-1), res], dim=-1), X, self.form)
        return mixed[..., 0, :], (mixed[..., 1:, :], post)

    def write(self, X, carry, v):
        mixed, post = carry
        return mixed + post.to(v.dtype).unsqueeze(-1) * v.unsqueeze(-2)


class AttnRes(Standard):
    """The published listing: stack the sources, norm them, one logit each, softmax, weighted sum.
    "loop" keeps every source's normed key, which does not change once it is made, and never stacks
    the values."""

    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        if site > 1:
            self.query = nn.Parameter(torch.empty(self.C))
            self.key_gain = nn.Parameter(torch.empty(self.C))

    def key(self, v):
        return F.rms_norm(v, (self.C,), eps=self.eps) if self.form == "loop" else None

    def start(self, v):
        return [v], [self.key(v)]

    def attend(self, values, keys):
        if len(values) == 1:
            return values[0]
        if self.form == "stack":
            V = torch.stack(values)
            K = F.rms_norm(V, (self.C,), self.key_gain.to(V.dtype), self.eps)
            logits = torch.einsum("d,nbtd->nbt", self.query.to(V.dtype), K)
            p = logits.softmax(0)
            return torch.einsum("nbt,nbtd->btd", p.to(V.dtype), V)
        query = (self.query * self.key_gain).to(values[0].dtype)
        p = torch.stack([k @ query for k in keys], dim=-1).softmax(-1).to(values[0].dtype)
        return sum(w.unsqueeze(-1) * v for w, v in zip(p.unbind(-1), values))

    def read(self, state):
        return self.attend(*state), None

    def write(self, state, carry, v):
        return state[0] + [v], state[1] + [self.key(v)]


class AttnResBlock(AttnRes):
    """The same over v_0, the sums of the completed blocks and the running partial sum."""

    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        self.ends_block = site % cfg.block_size == 0

    def start(self, v):
        return [v], [self.key(v)], None

    def read(self, state):
        values, keys, partial = state
        if partial is None:
            return self.attend(values, keys), None
        return self.attend(values + [partial], keys + [self.key(partial)]), None

    def write(self, state, carry, v):
        values, keys, partial = state
        partial = v if partial is None else partial + v
        if self.ends_block:
            return values + [partial], keys + [self.key(partial)], None
        return values, keys, partial


MIXERS = {
    "standard": Standard, "highway": Highway, "denseformer": DenseFormer, "hyper": Hyper,
    "mhc": MHC, "attnres": AttnRes, "attnres_block": AttnResBlock,
}  # fmt: skip
