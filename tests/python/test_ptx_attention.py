"""What nvcc makes of attention's kernels, interpreted beside its equations in numpy; gradients by
differences of those. Not run where nvcc is not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, struct  # noqa: E402
from ptx.case import F32, I32, I64, U16, normal, row_type, stored  # noqa: E402
from ptx.memory import Device  # noqa: E402

BATCH, CONTEXT, HEADS, KV_HEADS, DIM = 1, 37, 2, 1, 6
WIDTH = (HEADS + 2 * KV_HEADS) * DIM
SHAPE = (BATCH * CONTEXT, WIDTH)
ANGLES = np.arange(CONTEXT)[:, None] * 0.7 ** np.arange(DIM // 2)[None]


def turned(x, gain, scale):
    """(T, D): scale * rotated (gain * normed)."""
    if gain is not None:
        x = gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + case.EPS)
    a, b = x[:, : DIM // 2], x[:, DIM // 2 :]
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    return scale * np.concatenate([a * cos - b * sin, b * cos + a * sin], 1)


def attention(qkv, gain_q, gain_k):
    """out (T, H D) and lse (H, T)."""
    head = [qkv[:, k * DIM : (k + 1) * DIM] for k in range(HEADS + 2 * KV_HEADS)]
    outs, lses = [], []
    for h in range(HEADS):
        kv = h // (HEADS // KV_HEADS)
        k, v = turned(head[HEADS + kv], gain_k, 1), head[HEADS + KV_HEADS + kv]
        s = turned(head[h], gain_q, 1 / np.sqrt(DIM)) @ k.T
        s = np.where(np.tril(np.ones_like(s)) > 0, s, -np.inf)
        lses.append(np.log(np.exp(s).sum(1)))
        outs.append(np.exp(s - lses[-1][:, None]) @ v)
    return np.concatenate(outs, 1), np.array(lses)


def by_differences(loss, x, step=1e-5):
    gradient = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        was = x[at]
        x[at] = was + step
        above = loss()
        x[at] = was - step
        gradient[at] = (above - loss()) / (2 * step)
        x[at] = was
    return gradient


class Attention(case.KernelCase):
    CASES = (("Bf16, 16", True), ("float, 32", True), ("float, 32", False))

    def setUp(self):
        self.device = Device()

    def of(self, kind, gained):
        """Tile, type, qkv, gains, AttentionArgs and room in shared memory for so many tiles."""
        dtype, tile = row_type(f"<{kind}>"), int(kind.split(", ")[1])
        qkv = stored(normal(1, *SHAPE), dtype)
        gains = [(1 + 0.3 * normal(k, DIM)).astype(F32) if gained else None for k in (2, 3)]
        on_device = [None if g is None else self.device.put(g) for g in gains]
        dropout = struct(np.uint64(0), np.uint64(0), np.uint32(0), np.float64(1))
        tables = [self.device.put(f(ANGLES).astype(F32)) for f in (np.cos, np.sin)]
        argument = struct(
            I64(BATCH), I64(CONTEXT), I32(HEADS), I32(KV_HEADS), I32(DIM), self.device.put(qkv),
            *on_device, F32(case.EPS), *tables, dropout)  # fmt: skip
        return tile, dtype, qkv, gains, argument

    def room(self, tile, heads, scores):
        return 4 * tile * (heads * (DIM | 1) + scores * (tile | 1))

    def test_forward(self):
        for kind, gained in self.CASES:
            with self.subTest(kind, gained=gained):
                tile, dtype, qkv, gains, argument = self.of(kind, gained)
                out = self.device.empty((CONTEXT, HEADS * DIM), dtype)
                lse = self.device.empty((HEADS, CONTEXT), F32)
                blocks = HEADS * -(-CONTEXT // tile)
                self.start(f"attention_tiles<{kind}>", self.device, (blocks, 256), [argument, out, lse],
                           self.room(tile, 3, 1))  # fmt: skip
                expected, expected_lse = attention(doubles(qkv), *gains)
                self.near(out.get(), expected)
                self.near(lse.get(), expected_lse)

    def test_backward_by_differences(self):
        for kind, gained in self.CASES:
            with self.subTest(kind, gained=gained):
                self.backward(kind, gained)

    def backward(self, kind, gained):
        tile, dtype, qkv, gains, argument = self.of(kind, gained)
        x = doubles(qkv)
        gains = [None if g is None else g.astype(np.float64) for g in gains]
        out, lse = attention(x, *gains)
        out, dout = stored(out, dtype), stored(normal(4, *out.shape), dtype)
        dqkv = self.device.empty(SHAPE, dtype)
        rows = [self.device.put(a) for a in (dout, out, lse.astype(F32))]
        found = []
        for kernel, heads, room in (("attention_dq", HEADS, self.room(tile, 5, 1)),
                                    ("attention_dkv", KV_HEADS, self.room(tile, 6, 2))):  # fmt: skip
            blocks = heads * -(-CONTEXT // tile)
            dgain = self.device.empty((blocks, DIM), F32) if gained else None
            arguments = [argument, struct(*rows, dqkv, dgain)]
            self.start(f"{kernel}<{kind}>", self.device, (blocks, 256), arguments, room)
            found.append(dgain)
        loss = lambda: (attention(x, *gains)[0] * doubles(dout)).sum()  # noqa: E731
        # Outputs in bf16 are what their gradients begin from.
        bound = 2.0**-7 if dtype == U16 else 1e-5
        self.near(dqkv.get(), by_differences(loss, x), bound)
        for dgain, gain in zip(found, gains):
            if gained:
                self.near(dgain.get().sum(0), by_differences(loss, gain), bound)


if __name__ == "__main__":
    unittest.main()
