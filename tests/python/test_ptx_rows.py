"""What nvcc makes of the kernels of memories over rows whose weights are the site's, and of what
stands around reads of sources, interpreted beside their equations in numpy. Not run where nvcc is
not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, rows, struct  # noqa: E402
from ptx.case import F32, I32, I64, U16, Norm, grid, normal, row_type, stored  # noqa: E402
from ptx.memory import Device  # noqa: E402

CASES = (("Bf16, 1, true", 6, 200, 1), ("Bf16, 1, true", 2, 264, 2), ("float, 1, false", 6, 251, 1))


class Site:
    """Rows v, h and dh of a site, and its norm."""

    def __init__(self, kind, tokens, channels, warps, fresh, backward):
        """fresh: nothing of h or dh is there yet."""
        self.device, self.dtype = Device(), row_type(f"<{kind}>")
        self.tokens, self.channels, self.warps, self.fresh = tokens, channels, warps, fresh
        self.norm = Norm(self.device, tokens, channels, self.dtype, backward=backward)
        self.grid = grid(tokens, warps, trips=2 if backward else 1)
        self.v, self.on_v = self.row(1)
        self.h = 0 if fresh else normal(2, tokens, channels).astype(F32)  # or dh
        self.on_h = self.device.empty(self.v.shape, F32) if fresh else self.device.put(self.h)
        self.dv = self.device.empty(self.v.shape, self.dtype)
        self.dgain = self.device.empty((self.grid[0], channels), F32)
        self.sizes = [I64(tokens), I32(channels), I32(warps)]

    def row(self, seed):
        """Its numbers, and where they are on the device."""
        x = stored(normal(seed, self.tokens, self.channels), self.dtype)
        return doubles(x), self.device.put(x)


class Rows(case.KernelCase):
    def each(self, test):
        for kind, *sizes in CASES:
            for fresh in (False, True):
                with self.subTest(kind, sizes=sizes, fresh=fresh):
                    test(kind, sizes, fresh)

    def normed(self, at, h):
        self.near(at.on_h.get(), h)
        for found, expected in zip(at.norm.results(), at.norm.forward(h)):
            self.near(found, expected)

    # ---- weights of the site (memories/running_row.cuh) -----------------------------------------

    def weights(self, at, kind):
        """(name's last argument, a (2, 1) or (2, C))"""
        grouped = "float" in kind
        return "true" if grouped else "false", normal(3, 2, at.channels if grouped else 1).astype(F32)

    def test_weighted_read(self):
        self.each(self.weighted_read)

    def weighted_read(self, kind, sizes, first):
        at = Site(kind, *sizes, first, False)
        grouped, a = self.weights(at, kind)
        arguments = [*at.sizes, np.bool_(first), at.on_v, at.on_h, at.device.put(a), at.norm.argument]
        self.start(f"weighted_read<{kind}, {grouped}>", at.device, at.grid, arguments)
        self.normed(at, at.v if first else a[0] * at.h + a[1] * at.v)

    def test_weighted_read_backward(self):
        self.each(self.weighted_read_backward)
        for first, learns in ((True, True), (False, False)):
            self.weighted_read_backward(CASES[0][0], CASES[0][1:], False, first, learns)

    def weighted_read_backward(self, kind, sizes, last, first=False, learns=True):
        at = Site(kind, *sizes, last, True)
        grouped, a = self.weights(at, kind)
        parts = (2, at.grid[0], at.channels) if grouped == "true" else (at.grid[0], 2)
        da = at.device.empty(parts, F32)
        rest = [at.on_v if learns else None, at.on_h, at.dv, at.device.put(a), da, at.dgain]
        arguments = [*at.sizes, struct(np.bool_(first), np.bool_(last)), *rest, at.norm.argument]
        self.start(f"weighted_read_backward<{kind}, {grouped}>", at.device, at.grid, arguments)
        d, _, dgain = at.norm.backward()
        x, a = d + at.h, np.ones_like(a) if first else a
        self.near(at.on_h.get(), a[0] * x)
        self.near(at.dv.get(), a[1] * x)
        self.near(at.dgain.get().sum(0), dgain)
        if learns and not first:
            y = doubles(at.norm.xhat) / at.norm.rstd[:, None]  # h of this site
            of_all = np.stack([(y * x).sum(0), (at.v * x).sum(0)])
            found = da.get().sum(1 if grouped == "true" else 0)
            self.near(found, of_all if grouped == "true" else of_all.sum(1), 1e-5)

    def test_take_write_back(self):
        device, a, da = Device(), normal(1, 3, 2, 5).astype(F32), normal(2, 3, 2, 5).astype(F32)
        a[1, 0, 3] = 0
        on_da = device.put(da)
        self.start("take_write_back<float>", device, (1, 256), [I64(3), I64(5), device.put(a), on_da])
        with np.errstate(divide="ignore"):
            expected = np.where(a[:, 0] == 0, 0, (da[:, 0] - a[:, 1] * da[:, 1]) / a[:, 0])
        self.near(on_da.get(), np.stack([expected, da[:, 1]], 1).astype(float))

    # ---- averages (memories/averages.cuh) -------------------------------------------------------

    def averaged(self, at, count, own):
        """AveragedRows; the rows' numbers (count, N, C) and weights, w and that of X_k itself."""
        numbers, arrays = zip(*(at.row(20 + k) for k in range(count)))
        w, which = normal(4, count + 3).astype(F32), np.array([*range(2, count + 2), *[0] * 64], I32)[:64]
        argument = struct(rows(arrays, 64), which, I32(count), I32(1 if own else -1))
        return argument, np.array(numbers), w[2 : count + 2], at.device.put(w), w[1] if own else 1

    def test_average_read(self):
        self.each(self.average_read)

    def average_read(self, kind, sizes, first):
        at = Site(kind, *sizes, first, False)
        own = not first
        argument, numbers, weights, w, of_own = self.averaged(at, 3, own)
        x = at.device.empty(at.v.shape, at.dtype) if own else None
        rest = [np.bool_(first), at.on_v, at.on_h, x, argument, w, at.norm.argument]
        self.start(f"average_read<{kind}>", at.device, at.grid, [*at.sizes, *rest])
        h = at.h + at.v
        if own:
            self.near(x.get(), h)
        self.normed(at, of_own * h + np.einsum("k,knc->nc", weights, numbers))

    def test_average_read_backward(self):
        self.each(self.average_read_backward)

    def average_read_backward(self, kind, sizes, last):
        at = Site(kind, *sizes, last, True)
        own = not last
        argument, numbers, weights, w, of_own = self.averaged(at, 3, own)
        (x, on_x), sums = at.row(30), 4 if own else 3
        da, is_float = at.device.empty((at.grid[0], sums), F32), at.dtype != U16
        dy = at.norm.arrays[0]  # the memory of xhat
        rest = [np.bool_(last), at.on_h, at.on_h if is_float else at.dv, on_x, dy if own else None,
                argument, w, da, at.dgain, at.norm.argument]  # fmt: skip
        self.start(f"average_read_backward<{kind}>", at.device, at.grid, [*at.sizes, *rest])
        d, _, dgain = at.norm.backward()
        sum_here = d + at.h
        expected = of_own * sum_here + np.einsum("k,knc->nc", weights, numbers)
        for found in (at.on_h, *([] if is_float else [at.dv])):
            self.near(found.get(), expected)
        self.near(at.dgain.get().sum(0), dgain)
        of_rows = np.concatenate([numbers, sum_here[None]])[:sums]
        self.near(da.get().sum(0), np.einsum("nc,knc->k", x, of_rows), 1e-5)
        if own:
            self.near(dy.get(), sum_here)


class AroundSources(case.KernelCase):
    """memories/sources_sums.cuh"""

    ROOM = 130  # kMaxSources

    def test_sum_rows(self):
        device, (before, rows_sum) = Device(), (stored(normal(k, 5, 40), U16) for k in (1, 2))
        on_sum = device.put(rows_sum)
        arguments = [I64(5), I64(40), device.put(before), on_sum]
        self.start("sum_rows<Bf16, true>", device, (1, 256), arguments)
        self.near(on_sum.get(), doubles(before) + doubles(rows_sum))

    def test_site_products(self):
        for adds in (False, True):
            device, (a, b, before) = Device(1 << 21), (normal(k, 4, 70).astype(F32) for k in (1, 2, 3))
            out = [device.put(x) if adds else device.empty(70, F32) for x in before]
            of_a, of_b = ([None if none else device.put(y) for y, none in zip(x, nones)]
                          for x, nones in ((a, (0, 1, 0, 1)), (b, (0, 0, 1, 1))))  # fmt: skip
            argument = struct(np.bool_(adds), *(rows(x, self.ROOM) for x in (out, of_a, of_b)))
            self.start("site_products<float>", device, (1, 256), [I64(4), I64(70), argument])
            expected = np.stack([a[0].astype(float) * b[0], b[1], a[2], 0 * a[3]]) + adds * before
            self.near(np.stack([x.get() for x in out]), expected)

    def test_sources_du(self):
        slices, sources, readers, tokens = 2, 3, 11, 7
        for kind, channels, tiles in (("Bf16, true", 264, 2), ("float, false", 251, 1)):
            with self.subTest(kind):
                device, dtype = Device(), row_type(f"<{kind}>")
                of = [stored(normal(k, tokens, channels), dtype) for k in range(sources)]
                t = normal(9, sources, readers, tokens).astype(F32)
                part = device.empty((slices, readers, channels), F32)
                sizes = [*map(I64, (tokens, channels, slices)), I32(readers), I32(sources)]
                of_sources = rows(list(map(device.put, of)), self.ROOM)
                argument = struct(*sizes, of_sources, device.put(t), I64(readers * tokens), part)
                self.start(f"sources_du<{kind}>", device, (slices * 2 * tiles, 32), [argument])
                expected = np.einsum("krn,knc->rc", t, np.array([doubles(x) for x in of]))
                self.near(part.get().sum(0), expected)


if __name__ == "__main__":
    unittest.main()
