"""What nvcc makes of the kernels around the dots of streams (memories/stream_dots.cuh,
stream_write_dots.cuh), interpreted beside their equations in numpy. Not run where nvcc is not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles  # noqa: E402
from ptx.case import F32, I32, I64, U16, normal, row_type, stored  # noqa: E402
from ptx.memory import Device  # noqa: E402
from ptx.streams import Dots, fragments, in_parts  # noqa: E402

KINDS = ("Bf16", "float")


class StreamDots(case.KernelCase):
    TOKENS = 5

    def setUp(self):
        self.device = Device()

    def each(self, *kinds):
        for kind in kinds or KINDS:
            for ends in (False, True):
                yield kind, row_type(f"<{kind}>"), Dots(3, 2, 20, ends)

    # ---- forward --------------------------------------------------------------------------------

    def test_pack_vectors(self):
        for kind, dtype, dots in self.each():
            expected = in_parts(dots.w, dtype)
            packed, totals = self.device.empty(expected.shape, dtype), self.device.empty(2, F32)
            arguments = [dots.argument, self.device.put(dots.flat), packed, totals]
            self.start(f"pack_vectors<{kind}>", self.device, (2, 256), arguments)
            np.testing.assert_array_equal(packed.get(), expected)
            self.near(totals.get(), dots.w.astype(float).sum(1))

    def test_pack_fragments(self):
        for (_, dtype, dots), tiles in zip(self.each("Bf16"), (1, 3)):
            parts = in_parts(dots.w, dtype).reshape(2, 2, -1, dots.channels)
            expected = fragments(parts, dots.channels, tiles)
            packed, totals = self.device.empty(expected.shape, dtype), self.device.empty(2, F32)
            sizes = [I32(dots.channels), I32(tiles)]
            arguments = [dots.argument, *sizes, self.device.put(dots.flat), packed, totals]
            self.start("pack_fragments<Bf16>", self.device, (8 * tiles, 256), arguments)
            np.testing.assert_array_equal(packed.get(), expected)
            self.near(totals.get(), dots.w.astype(float).sum(1))

    def placed(self, u, expected):
        """Only what the rule has a number for."""
        found, there = u.get(), ~np.isnan(expected)
        self.near(found[there], expected[there])
        self.assertTrue(np.isnan(found[~there]).all())

    def u(self, dots):
        return self.device.put(np.full((dots.numbers, self.TOKENS), np.nan, F32))

    def test_place_dots(self):
        for kind, dtype, dots in self.each():
            parts, columns = 2 if dtype == U16 else 1, dots.rows * self.TOKENS
            products, moments = normal(1, parts, 2, 16).astype(F32), normal(2, 3, 2, self.TOKENS).astype(F32)
            totals, u = normal(3, 2).astype(F32), self.u(dots)
            arguments = [dots.argument, I64(self.TOKENS), I64(16), self.device.put(products),
                         self.device.put(totals), self.device.put(moments), u]  # fmt: skip
            self.start(f"place_dots<{kind}>", self.device, (1, 256), arguments)
            of_rows = products.astype(float).sum(0)[:, :columns].reshape(2, self.TOKENS, -1)
            sums, squares = moments.astype(float).transpose(1, 0, 2)
            squares = squares.sum(0, keepdims=True) if dots.ends else squares
            self.placed(u, dots.placed(of_rows.transpose(2, 0, 1), squares, sums, totals[0]))

    def test_sum_slabs(self):
        for _, _, dots in self.each("float"):
            rest = 1 if dots.ends else 2
            sums = normal(1, 3, dots.rows * (2 + rest), self.TOKENS).astype(F32)
            totals, u = normal(3, 2).astype(F32), self.u(dots)
            arguments = [dots.argument, I64(self.TOKENS), I32(3), self.device.put(sums),
                         self.device.put(totals), u]  # fmt: skip
            self.start("sum_slabs<float>", self.device, (1, 256), arguments)
            products, moments = np.split(sums.astype(float).sum(0), [2 * dots.rows])
            moments = moments.reshape(dots.rows, rest, -1)
            products = products.reshape(dots.rows, 2, -1)
            self.placed(u, dots.placed(products, moments[:, -1], moments[:, 0], totals[0]))

    # ---- backward -------------------------------------------------------------------------------

    def test_spread_gradients(self):
        for kind, dtype, dots in self.each():
            du = normal(1, dots.numbers, self.TOKENS).astype(F32)
            expected = in_parts(dots.by_rows(du).transpose(1, 2, 0).reshape(2, -1), dtype)
            out = self.device.put(np.zeros((*expected.shape[:2], 16), dtype))
            arguments = [dots.argument, I64(self.TOKENS), I64(16), self.device.put(du), out]
            self.start(f"spread_gradients<{kind}>", self.device, (1, 256), arguments)
            np.testing.assert_array_equal(out.get()[..., : expected.shape[2]], expected)

    def test_totals_and_vectors(self):
        for kind, dtype, dots in self.each():
            tokens, totals = 300, self.device.empty(2, F32)
            du = normal(1, dots.numbers, tokens).astype(F32)
            arguments = [dots.argument, I64(tokens), self.device.put(du), totals]
            self.start("sum_totals<float>", self.device, (2, 256), arguments)
            of_tokens = np.array([du[1].astype(float).sum(), 0])
            self.near(totals.get(), of_tokens)
            products = normal(2, 2 if dtype == U16 else 1, 2, dots.width).astype(F32)
            on_flat = self.device.put(dots.flat)
            arguments = [dots.argument, self.device.put(products), totals, on_flat]
            self.start(f"add_stream_vectors<{kind}>", self.device, (1, 256), arguments)
            expected = dots.flat.astype(float)
            for first, row in zip(dots.at, products.sum(0) + of_tokens[:, None]):
                expected[first : first + dots.width] += row
            self.near(on_flat.get(), expected)

    def test_dots_backward(self):
        for kind, tokens, channels in (("Bf16, 4, true", 26, 264), ("float, 2, false", 13, 259)):
            for ends, first, last in (False, False, False), (True, True, False), (True, False, True):
                with self.subTest(kind, ends=ends, first=first, last=last):
                    self.dots_backward(kind, tokens, channels, ends, first, last)

    def dots_backward(self, kind, tokens, channels, ends, first, last):
        """first: of site 1, whose streams are copies."""
        device, dtype, k = Device(1 << 20), row_type(f"<{kind}>"), int(kind.split(", ")[1])
        dots, at_once = Dots(k, 2, channels, ends), 8 // np.dtype(dtype).itemsize
        x, after = (stored(normal(seed, tokens, k, channels), dtype) for seed in (1, 2))
        d = stored(normal(3, tokens, channels), dtype)
        du = normal(4, dots.numbers, tokens).astype(F32)
        scalars, before = normal(5, 2, k * (k + 2), tokens).astype(F32)
        dx, dv = device.empty(x.shape, dtype) if last else device.put(after), device.put(d)
        arguments = [I64(tokens), I32(channels), np.bool_(last), dots.argument,
                     *map(device.put, (dots.flat, du, scalars)),
                     None if first else device.put(before), device.put(x), dx, dv]  # fmt: skip
        blocks = -(-tokens // (6 * at_once)) * -(-channels // 256)
        shared = 8 * np.dtype(dtype).itemsize * (k + 1) * at_once * 192
        self.start(f"dots_backward<{kind}>", device, (blocks, 192), arguments, shared)
        mix = scalars[k:].reshape(k, k + 1, -1)[:, :k]
        expected = np.einsum("sn,nc->nsc", scalars[:k], doubles(d)) + dots.backward(du, doubles(x))
        if not last:
            expected += np.einsum("ksn,nkc->nsc", mix, doubles(after))
        into = np.ones((k, tokens)) if first else before[k:].reshape(k, k + 1, -1)[:, k]
        self.near(dx.get(), expected)
        self.near(dv.get(), np.einsum("sn,nsc->nc", into, expected))


if __name__ == "__main__":
    unittest.main()
