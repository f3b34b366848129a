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
from ptx.case import F32, U16, normal, row_type, stored  # noqa: E402
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

    CASES = ((16, True), (64, False))

    def beside(self, founds, equations):
        """equations(rounded): what is expected of each, or of rounded operands."""
        expected, moved = equations(), [equations(by_chance(seed)) for seed in range(4)]
        for k, found in enumerate(founds):
            if found is not None:
                far = max(np.linalg.norm(m[k] - expected[k]) for m in moved)
                self.near(found, expected[k], far / np.linalg.norm(expected[k]))

    def test_forward_and_backward(self):
        for dim, gained in self.CASES:
            with self.subTest(dim=dim):
                at = Products(self.start, dim, gained)
                at.forward()
                forward = lambda *r: at.attention.forward(at.qkv, at.gains, *r)  # noqa: B023, E731
                self.beside([at.out.get(), at.lse.get()], forward)
                dgains = [None if x is None else x.get().sum(0) for x in at.backward()]

                def backward(*rounded):
                    dqkv, dgains = at.attention.backward(at.qkv, at.gains, at.dout, *rounded)  # noqa: B023
                    return dqkv, *dgains

                self.beside([at.dqkv.get(), *dgains], backward)


if __name__ == "__main__":
    unittest.main()
