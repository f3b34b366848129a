"""What nvcc makes of the plain memory's kernels over rows and parameters, interpreted beside their
equations in numpy. Not run where nvcc is not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, struct  # noqa: E402
from ptx.case import F32, I32, I64, normal, row_type, stored  # noqa: E402
from ptx.memory import Device  # noqa: E402

TOKENS, GROUPS = 5, 2
PRODUCTS = ((0, 1, 0, 1), (1, 1, 0, 2), (0, 3, 1, 1))  # rows a, b; which dot; of C / so many channels
TERMS = ((0, 0, 0), (1, 1, 0), (0, 2, 1), (1, 3, 1))  # cell, weight, group
MIXES = (0, 2, 4)


class Site:
    """Cells 0 (of type T), 1 and 2 (floats; 2 is written) and a vector, 3, as rows of tables."""

    def __init__(self, kernel, channels, parts=2):
        self.device, self.dtype, self.channels = Device(), row_type(kernel), channels
        shape = (TOKENS, channels)
        self.cells = [stored(normal(1, *shape), self.dtype), normal(2, *shape).astype(F32)]
        self.vector = normal(3, channels).astype(F32)
        self.written = self.device.empty(shape, F32)
        reals = [None, self.device.put(self.cells[1]), self.written, self.device.put(self.vector)]
        before = [normal(4 + k, *shape).astype(F32) for k in range(3)]
        self.before = [*before, np.zeros((parts, channels), F32)]
        self.gradients = [self.device.put(d) for d in self.before]
        stores = [self.device.put(self.cells[0]), None, None, None]
        steps = [(channels, 0)] * 3 + [(0, channels)]
        table = [struct(*row[:3], *map(I64, row[3])) for row in zip(stores, reals, self.gradients, steps)]
        self.weights = normal(8, len(TERMS), TOKENS).astype(F32)
        self.rows = struct(self.device.put(np.array(table)), I64(TOKENS), I64(channels), I32(GROUPS),
                           I64(channels // GROUPS))  # fmt: skip
        self.half = self.tables()

    def tables(self):
        """PlainHalfTables; no program."""
        put, numbers = self.device.put, lambda *x: map(I32, x)
        products = [struct(*numbers(a, b), np.uint64(to), I64(0), I64(self.channels // part))
                    for a, b, to, part in PRODUCTS]  # fmt: skip
        terms = [struct(*numbers(*term)) for term in TERMS]
        program = struct(*[None] * 6, *numbers(*[0] * 7))
        return struct(program, put(np.array(products)), put(np.array([0, 2, 3], I32)), put(np.array(terms)),
                      put(np.array(MIXES, I32)), put(np.array([2], I32)), *numbers(0, 2, 3, 2, 1))  # fmt: skip

    def mixed(self):
        width, mix = self.channels // GROUPS, np.zeros((TOKENS, self.channels))
        for cell, at, group in TERMS:
            of = slice(group * width, (group + 1) * width)
            mix[:, of] += self.weights[at][:, None] * doubles(self.cells[cell])[:, of]
        return mix

    def mixed_backward(self, d):
        """(dweights, gradients of the two cells, on top of what was there)."""
        width, dweights = self.channels // GROUPS, np.zeros(self.weights.shape)
        gradients = [self.before[k].astype(np.float64) for k in (0, 1)]
        for cell, at, group in TERMS:
            of = slice(group * width, (group + 1) * width)
            dweights[at] = (doubles(self.cells[cell])[:, of] * d[:, of]).sum(1)
            gradients[cell][:, of] += self.weights[at][:, None] * d[:, of]
        return dweights, gradients


class Plain(case.KernelCase):
    def each(self, kernel, test):
        """test(name, site, threads), of either type."""
        for kind, channels in (("Bf16", 70), ("float", 300)):
            name = f"{kernel}<{kind}>"
            with self.subTest(name):
                test(name, Site(name, channels), min(256, (channels + 31) // 32 * 32))

    def test_dots(self):
        self.each("plain_dots", self.dots)

    def dots(self, name, site, threads):
        u = site.device.empty((2, TOKENS), F32)
        self.start(name, site.device, (TOKENS, 64), [site.rows, site.half, u])
        values = [*map(doubles, site.cells), None, doubles(site.vector)[None]]
        expected = np.zeros(u.shape)
        for a, b, to, part in PRODUCTS:
            expected[to] += (values[a] * values[b])[:, : site.channels // part].sum(1)
        self.near(u.get(), expected)

    def test_dots_backward(self):
        self.each("plain_dots_backward", self.dots_backward)

    def dots_backward(self, name, site, threads):
        du, parts = normal(9, 2, TOKENS).astype(F32), 2
        blocks = parts * -(-site.channels // threads)
        arguments = [site.rows, site.half, I64(parts), site.device.put(du)]
        self.start(name, site.device, (blocks, threads), arguments)
        values = [*map(doubles, site.cells), None, doubles(site.vector)[None]]
        expected = [d.astype(np.float64) for d in site.before[:3]]
        expected.append(np.zeros((TOKENS, site.channels)))
        for a, b, to, part in PRODUCTS:
            of = slice(0, site.channels // part)
            for x, y in ((a, b), (b, a)):
                expected[x][:, of] += du[to][:, None] * values[y][:, of]
        for k in (0, 1, 2):
            self.near(site.gradients[k].get(), expected[k])
        self.near(site.gradients[3].get().sum(0), expected[3].sum(0))

    def norm(self, site, blocks, backward):
        """PlainNorm, the numpy side of it (case.Norm), and where dgain comes."""
        norm = case.Norm(site.device, TOKENS, site.channels, site.dtype, backward=backward)
        dgain = site.device.put(np.zeros((blocks, site.channels), F32)) if backward else None
        return struct(*norm.arrays, dgain, F32(case.EPS)), norm, dgain

    def test_read(self):
        self.each("plain_read", self.read)

    def read(self, name, site, threads):
        blocks = 2  # of which one has three tokens
        argument, norm, _ = self.norm(site, blocks, False)
        scratch = site.device.empty((blocks, site.channels), F32)
        weights = site.device.put(site.weights)
        arguments = [site.rows, site.half, I32(0), weights, argument, scratch]
        self.start(name, site.device, (blocks, threads), arguments)
        for found, expected in zip(norm.results(), norm.forward(site.mixed())):
            self.near(found, expected)

    def test_read_backward(self):
        self.each("plain_read_backward", self.read_backward)

    def read_backward(self, name, site, threads):
        argument, norm, dgain = self.norm(site, 2, True)
        scratch = site.device.empty((2, site.channels), F32)
        dweights = site.device.empty(site.weights.shape, F32)
        weights = site.device.put(site.weights)
        arguments = [site.rows, site.half, I32(0), weights, argument, scratch, dweights]
        self.start(name, site.device, (2, threads), arguments)
        d, _, expected_dgain = norm.backward()
        self.near(dgain.get().sum(0), expected_dgain)
        self.check_gradients(site, dweights, d)

    def check_gradients(self, site, dweights, d):
        expected_dweights, gradients = site.mixed_backward(d)
        self.near(dweights.get(), expected_dweights)
        for k, expected in enumerate(gradients):
            self.near(site.gradients[k].get(), expected)

    def test_write(self):
        self.each("plain_write", self.write)

    def write(self, name, site, threads):
        arguments = [site.rows, site.half, site.device.put(site.weights)]
        self.start(name, site.device, (TOKENS, threads), arguments)
        self.near(site.written.get(), site.mixed())

    def test_write_backward(self):
        self.each("plain_write_backward", self.write_backward)

    def write_backward(self, name, site, threads):
        dweights = site.device.empty(site.weights.shape, F32)
        arguments = [site.rows, site.half, site.device.put(site.weights), dweights]
        self.start(name, site.device, (TOKENS, threads), arguments)
        self.check_gradients(site, dweights, site.before[2].astype(np.float64))


class Parameters(case.KernelCase):
    """mixers/plain_parameters.cuh"""

    def setUp(self):
        self.device, self.flat = Device(), normal(1, 400).astype(F32)

    def run_alone(self, name, threads, *arguments):
        """A thread a number."""
        self.start(name, self.device, (-(-threads // 256), 256), arguments)

    def test_numbers(self):
        places = np.array([7, 300, 0, 15, 16, 399, 8, 9, 11], I64)
        on_places, out = self.device.put(places), self.device.empty(9, F32)
        self.run_alone("gather_numbers<float>", 9, I64(9), on_places, self.device.put(self.flat), out)
        np.testing.assert_array_equal(out.get(), self.flat[places])
        parts, gradients = normal(2, 9, 40).astype(F32), self.device.put(self.flat)
        arguments = [I64(9), I64(40), on_places, self.device.put(parts), gradients]
        self.run_alone("add_numbers<float>", 9 * 32, *arguments)
        expected = self.flat.astype(float)
        expected[places] += parts.astype(float).sum(1)
        self.near(gradients.get(), expected)

    def test_vectors(self):
        """Of vectors and gains, of which any may be none, and two may be one."""
        width, places = 70, [(0, 100), (200, -1), (-1, 100), (-1, -1)]
        ones = np.ones(width)
        factors = lambda k: self.flat[k : k + width].astype(float) if k >= 0 else ones  # noqa: E731
        on_places = self.device.put(np.array([struct(I64(a), I64(b)) for a, b in places]))
        values, out = self.device.put(self.flat), self.device.empty((4, width), F32)
        self.run_alone("gather_vectors<float>", 4 * width, I64(4), I64(width), on_places, values, out)
        self.near(out.get(), np.stack([factors(a) * factors(b) for a, b in places]))
        d, gradients = normal(3, 4, width).astype(F32), self.device.put(self.flat)
        arguments = [I64(4), I64(width), on_places, values, self.device.put(d), gradients]
        self.run_alone("add_vectors<float>", width, *arguments)
        expected = self.flat.astype(float)
        for dc, (a, b) in zip(d, places):
            for own, other in ((a, b), (b, a)):
                if own >= 0:
                    expected[own : own + width] += dc * factors(other)
        self.near(gradients.get(), expected)

    def test_matrix(self):
        width, (w, d, dw, gain, dgain) = 40, (normal(k, *((40, 40) if k < 3 else (40,))) for k in range(5))
        on_w, on_d, on_gain = (self.device.put(x.astype(F32)) for x in (w, d, gain))
        for gained in (True, False):
            by, out = on_gain if gained else None, self.device.empty(w.shape, F32)
            to, to_gain = (self.device.put(x.astype(F32)) for x in (dw, dgain))
            self.run_alone("scale_matrix<float>", width**2, I64(width), by, on_w, out)
            rows = gain[:, None] if gained else 1
            self.near(out.get(), rows * w)
            arguments = [I64(width), by, on_w, on_d, to, to_gain if gained else None]
            self.start("scale_matrix_backward<float>", self.device, (width, 64), arguments)
            self.near(to.get(), dw + rows * d)
            self.near(to_gain.get(), dgain + gained * (d * w).sum(1))

    def test_images(self):
        for row in (0, 1):
            with self.subTest(row=row):
                self.images(row)

    def images(self, row):
        site = Site("<Bf16>", 70)
        out, copy = site.device.empty((TOKENS, 70), F32), site.device.put(np.zeros((TOKENS, 80), F32))
        arguments = [site.rows, I32(row), F32(case.EPS)]
        self.start("image_normed<Bf16>", site.device, (TOKENS, 96), [*arguments, out])
        x = doubles(site.cells[row])
        rms = np.sqrt((x**2).mean(1, keepdims=True) + case.EPS)
        self.near(out.get(), x / rms)
        d = normal(9, TOKENS, 70).astype(F32)
        arguments += [out, site.device.put(d)]
        self.start("image_normed_backward<Bf16>", site.device, (TOKENS, 96), arguments)
        along = (d * x / rms).mean(1, keepdims=True)
        self.near(site.gradients[row].get(), site.before[row] + (d - x / rms * along) / rms)
        arguments = [site.rows, I32(row), I64(5), I64(80), copy]
        self.start("copy_plain_row<Bf16>", site.device, (2, 256), arguments)
        np.testing.assert_array_equal(copy.get()[:, 5:75], x)
        rounded = site.device.empty((TOKENS, 80), np.uint16)
        self.start("round_numbers<float, Bf16>", site.device, (2, 256), [I64(TOKENS * 80), copy, rounded])
        np.testing.assert_array_equal(rounded.get(), stored(copy.get(), np.uint16))


if __name__ == "__main__":
    unittest.main()
