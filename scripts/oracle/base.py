"""What every depth mixer of the oracle is made of: norm, names of sublayers, the base class.

Protocol: `start(v0)`, then for l = 1..L `read(l) -> h_l`, `write(l, v_l)`, and last `read(L+1)`.
A read is one tensor, or a tuple of `ways` of them (what queries, keys and values of an attention
are made from). States have shape (B, T, ..., C). Every weight that multiplies a v_i passes through
`self.freeze`: the identity normally, `detach` when the depth-mixing matrix is taken (see
model.depth_matrix). `parameters(cfg)` gives {name: (shape, start)}; a start is a number, an array,
Normal(standard deviation) or Uniform(bound).
"""

import math
from collections import namedtuple

import torch

Normal = namedtuple("Normal", "std")  # N(0, std^2)
Uniform = namedtuple("Uniform", "bound")  # U(-bound, bound)


def rms_norm(x, eps, gain=None):
    """x * rsqrt(mean(x^2) + eps) * gain, over the last axis."""
    y = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    return y if gain is None else y * gain


def gelu(x):
    """Hendrycks & Gimpel 2016, the form with tanh."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def site(cfg, l):
    """Name of sublayer l = 1..L, `output` for L + 1; the second attention of a block is attn2."""
    if l == n_sublayers(cfg) + 1:
        return "output"
    before = [kind(cfg, j) for j in range(1, l) if block(cfg, j) == block(cfg, l)].count(kind(cfg, l))
    return f"layer.{block(cfg, l)}.{kind(cfg, l)}{before + 1 if before else ''}"


def n_sublayers(cfg):
    return len(cfg["model.pattern"]) * cfg["model.layers"]


def kind(cfg, l):
    """Of sublayer l."""
    return cfg["model.pattern"][(l - 1) % len(cfg["model.pattern"])]


def block(cfg, l):
    """Transformer blocks, 0, 1, .., that are written in full before sublayer l."""
    return (l - 1) // len(cfg["model.pattern"])


def begins_block(cfg, l):
    return l <= n_sublayers(cfg) and ends_block(cfg, l - 1)


def ends_block(cfg, l):
    return l % len(cfg["model.pattern"]) == 0


class Mixer:
    """Base, and the standard residual connection: h_l = sum_{i<l} v_i (Pre-LN transformer)."""

    ways = 1  # of an attention's read

    def __init__(self, cfg, params, freeze=lambda w: w):
        self.cfg, self.params, self.freeze = cfg, params, freeze
        self.eps = cfg["model.norm_eps"]

    @staticmethod
    def parameters(cfg):
        return {}

    def p(self, l, name):
        return self.params[f"{site(self.cfg, l)}.mixer.{name}"]

    def start(self, v0):
        self.h = v0

    def read(self, l):
        return self.h

    def write(self, l, v):
        self.h = self.h + v
