"""Attention: its equations, their gradients, what a product's rounded operands do to them, and how
its kernels on tensor cores are started.
"""

import numpy as np

from .arguments import doubles, struct
from .case import EPS, F32, I32, I64, U16, normal, stored
from .dropout import Dropout
from .memory import Device


def exact(x):
    return x


def by_chance(seed):
    """As if rounded to bf16: each number is off by up to half a unit of the last of 8 bits. The mean
    square is that of rounding to nearest, or more: a number is 1 to 2 times as many units.
    """
    random = np.random.default_rng(seed)
    return lambda x: x * (1 + 2.0**-8 * random.uniform(-1, 1, x.shape))


class Attention:
    """One sequence. qkv (T, (H + 2 Hkv) D); gains (D) of queries and keys, or None."""

    def __init__(self, context, heads, kv_heads, dim, dropout=None):
        self.context, self.heads, self.kv_heads, self.dim = context, heads, kv_heads, dim
        self.group, self.width = heads // kv_heads, (heads + 2 * kv_heads) * dim
        self.angles = np.arange(context)[:, None] * 0.7 ** np.arange(dim // 2)[None]
        self.seen = np.tril(np.ones((context, context), bool))
        self.dropout = dropout or Dropout(threshold=0)
        self.keep = self.dropout.factors(heads * context, context).reshape(heads, context, context)

    def head(self, x, k):
        return x[:, k * self.dim : (k + 1) * self.dim]

    def key(self, h):
        """Which heads of qkv are keys and values of head h."""
        return self.heads + h // self.group, self.heads + self.kv_heads + h // self.group

    def turned(self, x, gain, scale):
        """(T, D): scale * rotated (gain * normed)."""
        if gain is not None:
            x = gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS)
        return scale * self.rotated(x, 1)

    def rotated(self, x, by):
        a, b = np.split(x, 2, 1)
        cos, sin = np.cos(self.angles), by * np.sin(self.angles)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], 1)

    def turned_back(self, dy, x, gain, scale):
        """(dx, dgain) of what `turned` returns."""
        dz = scale * self.rotated(dy, -1)
        if gain is None:
            return dz, 0
        rms = np.sqrt((x**2).mean(-1, keepdims=True) + EPS)
        xhat, g = x / rms, dz * gain
        return (g - xhat * (g * xhat).mean(-1, keepdims=True)) / rms, (dz * xhat).sum(0)

    def operands(self, qkv, gains, h, rounded):
        """Queries, keys, values of a head."""
        k, v = self.key(h)
        q = self.turned(self.head(qkv, h), gains[0], 1 / np.sqrt(self.dim))
        return rounded(q), rounded(self.turned(self.head(qkv, k), gains[1], 1)), self.head(qkv, v)

    def forward(self, qkv, gains, rounded=exact):
        """out (T, H D) and lse (H, T)."""
        outs, lses = [], []
        for h in range(self.heads):
            q, k, v = self.operands(qkv, gains, h, rounded)
            s = np.where(self.seen, q @ k.T, -np.inf)
            lses.append(np.log(np.exp(s).sum(1)))
            outs.append(rounded(self.keep[h] * np.exp(s - lses[-1][:, None])) @ v)
        return rounded(np.concatenate(outs, 1)), np.array(lses)

    def backward(self, qkv, gains, dout, rounded=exact):
        """dqkv, and the gradients of gains."""
        out, lse = self.forward(qkv, gains)
        dq, dk, dv = (np.zeros((self.context, n * self.dim)) for n in (self.heads, *[self.kv_heads] * 2))
        for h in range(self.heads):
            q, k, v = self.operands(qkv, gains, h, rounded)
            p = np.where(self.seen, np.exp(q @ k.T - lse[h][:, None]), 0)
            d, kv = self.head(dout, h), h // self.group
            mean = (d * rounded(self.head(out, h))).sum(1, keepdims=True)
            ds = rounded(p * (self.keep[h] * (d @ v.T) - mean))
            self.head(dq, h)[:] = ds @ k
            self.head(dk, kv)[:] += ds.T @ q
            self.head(dv, kv)[:] += rounded(self.keep[h] * p).T @ d
        dgains = [0, 0]
        of_q, of_k = ((0, h, dq, 1 / np.sqrt(self.dim)) for h in range(self.heads)), (
            (1, self.heads + kv, dk, 1) for kv in range(self.kv_heads))  # fmt: skip
        for which, at, d, scale in (*of_q, *of_k):
            own = self.head(d, at - which * self.heads)
            dx, dgain = self.turned_back(own, self.head(qkv, at), gains[which], scale)
            own[:], dgains[which] = dx, dgains[which] + dgain
        return rounded(np.concatenate([dq, dk, dv], 1)), dgains

    def argument(self, device, qkv, gains):
        """AttentionArgs"""
        put = lambda x: None if x is None else device.put(x)  # noqa: E731
        tables = [put(f(self.angles).astype(F32)) for f in (np.cos, np.sin)]
        sizes = [I64(1), I64(self.context), *map(I32, (self.heads, self.kv_heads, self.dim))]
        return struct(*sizes, put(qkv), *map(put, gains), F32(EPS), *tables, self.dropout.argument)

    def gains(self):
        return [(1 + 0.3 * normal(k, self.dim)).astype(F32) for k in (2, 3)]


class Products:
    """Kernels on tensor cores (ops/attention_mma.cuh), one after the other, on what there is of two
    tiles of 64 rows.
    """

    CONTEXT, HEADS, KV_HEADS = 70, 2, 1
    THREADS = 128

    def __init__(self, start, dim, gained, dropout=None):
        """start(name, device, shape, arguments, shared)"""
        self.device, self.run = Device(1 << 21), start
        self.kind = next(room for room in (32, 64, 128) if dim <= room), "true" if dropout else "false"
        self.attention = a = Attention(self.CONTEXT, self.HEADS, self.KV_HEADS, dim, dropout)
        self.gains = a.gains() if gained else [None, None]
        qkv, dout = (stored(normal(k, self.CONTEXT, n), U16) for k, n in ((1, a.width), (4, 2 * dim)))
        self.qkv, self.dout = doubles(qkv), doubles(dout)
        self.arguments = [a.argument(self.device, qkv, self.gains)]
        self.rows = self.CONTEXT, self.HEADS * dim
        self.delta = self.device.empty((self.HEADS, self.CONTEXT), F32)
        self.turned = self.device.empty((self.CONTEXT, (self.HEADS + self.KV_HEADS) * dim), U16)
        self.scratch = struct(self.delta, self.turned)
        self.out, self.dqkv = self.device.empty(self.rows, U16), self.device.empty(qkv.shape, U16)
        self.lse = self.device.empty((self.HEADS, self.CONTEXT), F32)
        self.on_dout = self.device.put(dout)

    def by_rows(self, name, heads, *arguments):
        """A warp a row of a head."""
        shape = -(-self.CONTEXT * heads // 4), self.THREADS
        self.run(name, self.device, shape, [*self.arguments, *arguments, self.scratch], 0)

    def by_tiles(self, name, heads, tiles, *arguments):
        """A block a tile; room for so many in shared memory."""
        room, drops = self.kind
        blocks, shared = heads * -(-self.CONTEXT // 64), 2 * 64 * (room + 8) * tiles
        name = f"{name}<{room}, {drops}>"
        self.run(name, self.device, (blocks, self.THREADS), [*self.arguments, *arguments], shared)

    def forward(self):
        self.by_rows("attention_turn", self.HEADS + self.KV_HEADS)
        self.by_tiles("attention_forward", self.HEADS, 3, self.scratch, self.out, self.lse)

    def backward(self):
        """After it. [dgain_q, dgain_k]"""
        self.by_rows("attention_delta", self.HEADS, self.on_dout, self.out)
        dgains = []
        for name, heads in (("attention_mma_dq", self.HEADS), ("attention_mma_dkv", self.KV_HEADS)):
            room = heads * -(-self.CONTEXT // 64), self.attention.dim
            dgains.append(self.device.empty(room, F32) if self.gains[0] is not None else None)
            rows = struct(self.on_dout, self.out, self.lse, self.dqkv, dgains[-1])
            self.by_tiles(name, heads, 4, rows, self.scratch)
        return dgains
