"""What nvcc makes of attention's kernels, interpreted beside its equations in numpy, whose gradients
are held against differences. Kernels are not run where nvcc is not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, struct  # noqa: E402
from ptx.attention import Attention, Products, by_chance  # noqa: E402
from ptx.case import F32, I32, I64, U16, normal, row_type, stored  # noqa: E402
from ptx.dropout import Dropout  # noqa: E402
from ptx.memory import Device  # noqa: E402


class Equations(unittest.TestCase):
    def test_gradients_by_differences(self):
        """Along directions of chance, of all that there is a gradient of."""
        attention, step = Attention(9, 4, 2, 6), 1e-5
        for gained in (False, True):
            x = [normal(1, 9, attention.width), *(attention.gains() if gained else (None, None))]
            dout = normal(4, 9, 24)
            loss = lambda x: (attention.forward(x[0], x[1:])[0] * dout).sum()  # noqa: B023, E731
            dqkv, dgains = attention.backward(x[0], x[1:], dout)
            for seed in range(10):
                along = [normal(10 + seed, *(() if x_k is None else x_k.shape)) for x_k in x]
                above, below = ([y if y is None else y + by * d for y, d in zip(x, along)]
                                for by in (step, -step))  # fmt: skip
                expected = sum((d * g).sum() for d, g in zip(along, [dqkv, *dgains]))
                found = (loss(above) - loss(below)) / (2 * step)
                self.assertLess(abs(found - expected), 1e-8 * np.linalg.norm(dqkv))


class Plain(case.KernelCase):
    """Sums of floats; numbers in memory of either type (ops/attention.cuh)."""

    CASES = (("Bf16, 16", True), ("float, 32", True), ("float, 32", False))
    CONTEXT, HEADS, KV_HEADS, DIM = 37, 2, 1, 6

    def setUp(self):
        self.device = Device()
        self.attention = Attention(self.CONTEXT, self.HEADS, self.KV_HEADS, self.DIM)

    def of(self, kind, gained):
        """Tile, type, qkv, gains and AttentionArgs."""
        qkv = stored(normal(1, self.CONTEXT, self.attention.width), row_type(f"<{kind}>"))
        gains = self.attention.gains() if gained else [None, None]
        argument = self.attention.argument(self.device, qkv, gains)
        return int(kind.split(", ")[1]), row_type(f"<{kind}>"), qkv, gains, argument

    def room(self, tile, heads, scores):
        """In shared memory for so many tiles."""
        return 4 * tile * (heads * (self.DIM | 1) + scores * (tile | 1))

    def test_forward(self):
        for kind, gained in self.CASES:
            with self.subTest(kind, gained=gained):
                tile, dtype, qkv, gains, argument = self.of(kind, gained)
                out = self.device.empty((self.CONTEXT, self.HEADS * self.DIM), dtype)
                lse = self.device.empty((self.HEADS, self.CONTEXT), F32)
                blocks = self.HEADS * -(-self.CONTEXT // tile)
                self.start(f"attention_tiles<{kind}>", self.device, (blocks, 256), [argument, out, lse],
                           self.room(tile, 3, 1))  # fmt: skip
                expected, expected_lse = self.attention.forward(doubles(qkv), gains)
                self.near(out.get(), expected)
                self.near(lse.get(), expected_lse)

    def test_backward(self):
        for kind, gained in self.CASES:
            with self.subTest(kind, gained=gained):
                self.backward(kind, gained)

    def backward(self, kind, gained):
        tile, dtype, qkv, gains, argument = self.of(kind, gained)
        out, lse = self.attention.forward(doubles(qkv), gains)
        out, dout = stored(out, dtype), stored(normal(4, *out.shape), dtype)
        dqkv = self.device.empty(qkv.shape, dtype)
        rows = [self.device.put(a) for a in (dout, out, lse.astype(F32))]
        found = []
        for kernel, heads, room in (("attention_dq", self.HEADS, self.room(tile, 5, 1)),
                                    ("attention_dkv", self.KV_HEADS, self.room(tile, 6, 2))):  # fmt: skip
            blocks = heads * -(-self.CONTEXT // tile)
            dgain = self.device.empty((blocks, self.DIM), F32) if gained else None
            arguments = [argument, struct(*rows, dqkv, dgain)]
            self.start(f"{kernel}<{kind}>", self.device, (blocks, 256), arguments, room)
            found.append(dgain)
        expected, dgains = self.attention.backward(doubles(qkv), gains, doubles(dout))
        # Outputs in bf16 are what their gradients begin from.
        bound = 2.0**-7 if dtype == U16 else 1e-5
        self.near(dqkv.get(), expected, bound)
        for dgain, expected in zip(found, dgains):
            if gained:
                self.near(dgain.get().sum(0), expected, bound)


class TensorCores(case.KernelCase):
    """Bounds: how far the equations move when each operand that these kernels round, and each number
    that they store in bf16, is off by chance as far as rounding goes; the farthest of four.
    """

    CASES = ((16, True, None), (64, False, None), (32, True, Dropout()), (96, True, None))

    def beside(self, founds, equations):
        """equations(rounded): what is expected of each, or of rounded operands."""
        expected, moved = equations(), [equations(by_chance(seed)) for seed in range(4)]
        for k, found in enumerate(founds):
            if found is not None:
                far = max(np.linalg.norm(m[k] - expected[k]) for m in moved)
                self.near(found, expected[k], far / np.linalg.norm(expected[k]))

    def test_forward_and_backward(self):
        for dim, gained, dropout in self.CASES:
            with self.subTest(dim=dim):
                at = Products(self.start, dim, gained, dropout)
                at.forward()
                forward = lambda *r: at.attention.forward(at.qkv, at.gains, *r)  # noqa: B023, E731
                self.beside([at.out.get(), at.lse.get()], forward)
                dgains = [None if x is None else x.get().sum(0) for x in at.backward()]

                def backward(*rounded):
                    dqkv, dgains = at.attention.backward(at.qkv, at.gains, at.dout, *rounded)  # noqa: B023
                    return dqkv, *dgains

                self.beside([at.dqkv.get(), *dgains], backward)


class Decode(case.KernelCase):
    """Of two new positions behind five in the cache (ops/attention_decode.cuh)."""

    CONTEXT, FIRST, COUNT, HEADS, KV_HEADS, DIM, ROOM = 9, 5, 2, 4, 2, 6, 16

    def test_new_positions(self):
        for gained in (False, True):
            with self.subTest(gained=gained):
                self.decode(gained)

    def decode(self, gained):
        device, new = Device(), slice(self.FIRST, self.FIRST + self.COUNT)
        a = Attention(self.CONTEXT, self.HEADS, self.KV_HEADS, self.DIM)
        gains = a.gains() if gained else [None, None]
        qkv = stored(normal(1, self.CONTEXT, a.width), U16)
        x = doubles(qkv).reshape(self.CONTEXT, -1, self.DIM)
        q, k, v = np.split(x, (self.HEADS, self.HEADS + self.KV_HEADS), 1)
        of = lambda x, gain: np.stack([a.turned(x[:, h], gain, 1) for h in range(x.shape[1])])  # noqa: E731
        turned = of(q, gains[0])  # (H, T, D)
        keys = np.full((self.KV_HEADS, self.DIM, self.ROOM), np.nan)
        keys[:, :, : self.CONTEXT] = of(k, gains[1]).transpose(0, 2, 1)
        values = v.transpose(1, 0, 2)
        there = [stored(y, U16) for y in (keys, values)]
        there[0][:, :, new], there[1][:, new] = 0x7FFF, 0x7FFF
        on_keys, on_values = map(device.put, there)
        on_qkv, out = device.put(qkv[new]), device.empty((self.COUNT, self.HEADS * self.DIM), U16)
        put = lambda x: None if x is None else device.put(x)  # noqa: E731
        tables = [put(f(a.angles).astype(F32)) for f in (np.cos, np.sin)]
        argument = struct(
            *map(I64, (1, self.CONTEXT, self.FIRST, self.COUNT, self.COUNT)),
            *map(I32, (self.HEADS, self.KV_HEADS, self.DIM)), I64(self.ROOM), on_qkv, *map(put, gains),
            F32(case.EPS), *tables, on_keys, on_values)  # fmt: skip
        self.start("decode_heads<Bf16>", device, (1, 256), [argument])
        found_q = doubles(on_qkv.get()).reshape(self.COUNT, -1, self.DIM)[:, : self.HEADS]
        found_k, found_v = doubles(on_keys.get()), doubles(on_values.get())
        self.near(found_q.astype(F32), turned[:, new].transpose(1, 0, 2), 2.0**-8)
        self.near(found_k[:, :, : self.FIRST + 2].astype(F32), keys[:, :, : self.FIRST + 2], 2.0**-8)
        np.testing.assert_array_equal(found_v[:, new], values[:, new])
        self.start("decode<Bf16>", device, (self.HEADS * self.COUNT, 256), [argument, out], 4 * new.stop)
        expected = np.zeros((self.COUNT, self.HEADS, self.DIM))
        for h, i in np.ndindex(self.HEADS, self.COUNT):  # of rounded queries and keys
            kv, seen = h // a.group, self.FIRST + i + 1
            p = np.exp(found_q[i, h] @ found_k[kv, :, :seen] / np.sqrt(self.DIM))
            expected[i, h] = p / p.sum() @ values[kv, :seen]
        self.near(out.get(), expected.reshape(self.COUNT, -1))


if __name__ == "__main__":
    unittest.main()
