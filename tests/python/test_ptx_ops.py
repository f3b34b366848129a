"""What nvcc makes of ops' kernels over numbers one by one, interpreted beside their equations in
numpy. Not run where nvcc is not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, struct  # noqa: E402
from ptx.case import F32, I32, I64, U16, Norm, normal, row_type, stored  # noqa: E402
from ptx.dropout import Dropout, philox  # noqa: E402
from ptx.memory import Device  # noqa: E402

F64 = np.float64


class OpCase(case.KernelCase):
    def setUp(self):
        self.device = Device()

    def runs(self, name, rows, columns, *arguments):
        """A thread eight numbers of a row."""
        blocks = -(-rows * -(-columns // 8) // 256)
        self.start(name, self.device, (blocks, 256), arguments)

    def made(self, seed, dtype, *shape):
        """Numbers, and where they are on the device."""
        x = stored(normal(seed, *shape), dtype)
        return doubles(x), self.device.put(x)

    def empty(self, dtype, *shape):
        return self.device.empty(shape, dtype)

    def scalar(self, x=None):
        return self.device.empty(1, F64) if x is None else self.device.put(np.array([x], F64))


class Rows(OpCase):
    """Embedding, pre-norm apart from reads, activations, dropout, columns, copies."""

    # ---- embedding ------------------------------------------------------------------------------

    TOKENS = np.array([3, 0, 3, 6, 0, 3, 1, 3], I32)

    def test_embedding(self):
        for kind, width in (("Bf16, true", 40), ("float, false", 37)):
            dtype = row_type(f"<{kind}>")
            table, on_table = self.made(1, F32, 7, width)
            tokens, out = self.device.put(self.TOKENS), self.empty(dtype, 8, width)
            self.runs(f"embed<{kind}>", 8, width, I64(8), I64(width), tokens, on_table, out)
            self.near(out.get(), table[self.TOKENS])
            dout, on_dout = self.made(2, dtype, 8, width)
            arguments = [I64(8), I64(width), tokens, on_dout, on_table]
            self.start(f"embed_backward<{kind}>", self.device, (8, 256), arguments)
            np.add.at(table, self.TOKENS, dout)
            self.near(on_table.get(), table)

    # ---- pre-norm -------------------------------------------------------------------------------

    def test_gain_and_values(self):
        for kind, width in (("Bf16, true", 40), ("float, false", 37)):
            dtype, sizes = row_type(f"<{kind}>"), (I64(5), I64(width))
            (xhat, on_xhat), (gain, on_gain) = self.made(1, dtype, 5, width), self.made(2, F32, width)
            x, h = self.empty(dtype, 5, width), self.empty(F32, 5, width)
            rstd = 1 + np.abs(normal(3, 5)).astype(F32)
            self.runs(f"gain_runs<{kind}>", 5, width, *sizes, on_xhat, on_gain, x)
            self.near(x.get(), xhat * gain)
            self.runs(f"value_runs<{kind}>", 5, width, *sizes, on_xhat, self.device.put(rstd), h)
            self.near(h.get(), xhat / rstd[:, None])

    def test_norm_gradients(self):
        for kind, tokens, width, warps in (("Bf16, 1, true", 6, 200, 1), ("float, 1, false", 2, 259, 2)):
            norm = Norm(self.device, tokens, width, row_type(f"<{kind}>"), backward=True)
            out = self.empty(F32, tokens, width)
            arguments = [I64(tokens), I32(width), I32(warps), norm.argument, out]
            self.start(f"norm_gradient_rows<{kind}>", self.device, case.grid(tokens, warps), arguments)
            self.near(out.get(), norm.backward()[0])

    def test_overflow(self):
        first = self.scalar(0)
        for site, zero in ((3, False), (4, True), (5, True)):
            rstd = np.ones(300, F32)
            rstd[270] = not zero
            arguments = [I64(300), self.device.put(rstd), I32(site), first]
            self.start("find_overflow<float>", self.device, (1, 256), arguments)
            self.assertEqual(first.get()[0], max(4, site) * zero - (site == 5))

    # ---- few rows of a linear layer -------------------------------------------------------------

    def test_linear(self):
        for kind, width in (("Bf16, true", 264), ("float, false", 251)):
            dtype = row_type(f"<{kind}>")
            (x, on_x), (w, on_w) = self.made(1, dtype, 5, width), self.made(2, F32, 9, width)
            y = self.empty(dtype, 5, 9)
            arguments = [I64(5), I64(width), I64(9), on_x, on_w, y]
            self.start(f"linear_decode<{kind}>", self.device, (2, 256), arguments)
            self.near(y.get(), x @ w.T)

    # ---- activations ----------------------------------------------------------------------------

    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))

    def swiglu(self, up):
        gate, value = np.split(up, 2, 1)
        return gate * self.sigmoid(gate) * value

    def gelu(self, x):
        return x * self.sigmoid(2 * 0.7978845608028654 * (x + 0.044715 * x**3))

    def test_activations(self):
        for kind, f, parts, width in (("Swiglu, Bf16, true", self.swiglu, 2, 40),
                                      ("Gelu, float, false", self.gelu, 1, 37)):  # fmt: skip
            dtype, sizes = row_type(f"<{kind.split(', ')[1]}>"), (I64(5), I64(width))
            up, on_up = self.made(1, dtype, 5, parts * width)
            (d, on_d), dup = self.made(2, dtype, 5, width), self.empty(dtype, 5, parts * width)
            a, again = self.empty(dtype, 5, width), self.empty(dtype, 5, width)
            self.runs(f"activate<{kind}>", 5, width, *sizes, on_up, a)
            self.runs(f"activate_backward<{kind}>", 5, width, *sizes, on_up, on_d, dup, again)
            self.near(a.get(), f(up))
            np.testing.assert_array_equal(a.get(), again.get())
            expected = np.zeros(up.shape)
            for k in range(parts):  # complex steps: each number of a is of one column a part
                step = np.zeros(up.shape, complex)
                own = slice(k * width, (k + 1) * width)
                step[:, own] = 1e-30j
                expected[:, own] = f(up + step).imag / 1e-30 * d
            self.near(dup.get(), expected)

    # ---- dropout --------------------------------------------------------------------------------

    def test_dropout(self):
        known = 0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8
        self.assertEqual(philox((0, 0, 0, 0), (0, 0)), known)
        dropout = Dropout()
        for kind, width in (("Bf16, true", 40), ("float, false", 37)):
            x, on_x = self.made(1, row_type(f"<{kind}>"), 3, width)
            self.runs(f"drop<{kind}>", 3, width, I64(3), I64(width), dropout.argument, on_x)
            self.near(on_x.get(), x * dropout.factors(3, width))

    # ---- columns --------------------------------------------------------------------------------

    def test_add_columns(self):
        (x, on_x), (y, on_y) = self.made(1, U16, 5, 40), self.made(2, U16, 5, 48)
        scale = self.device.put(np.array([0.7], F32))
        to = struct(np.uint64(on_y.address + 2 * 24))
        self.runs("add_runs<Bf16, Bf16, true>", 5, 24, I64(5), I64(24), on_x, I64(40), scale, to, I64(48))
        y[:, 24:] += F32(0.7) * x[:, :24]
        self.near(on_y.get(), y)
        (x, on_x), (y, on_y) = self.made(3, F32, 5, 13), self.made(4, U16, 5, 17)
        arguments = [I64(5), I64(13), on_x, I64(13), None, on_y, I64(17)]
        self.runs("add_runs<float, Bf16, false>", 5, 13, *arguments)
        y[:, :13] += x
        self.near(on_y.get(), y)

    def test_add_columns_backward(self):
        tokens, scale = 70, self.device.put(np.array([0.7], F32))
        for kind, width, adds in (("Bf16, true", 24, True), ("float, false", 13, False)):
            dtype = row_type(f"<{kind}>")
            (x, on_x), (d, on_d) = (self.made(k, dtype, tokens, width + 8) for k in (1, 2))
            before, on_before = self.made(3, F32, tokens, width)
            to, sums = on_before if adds else self.empty(F32, tokens, width), self.empty(F32, 2)
            arguments = [I64(tokens), I64(width), on_x, I64(width + 8), scale, on_d, I64(width + 8)]
            arguments += [np.bool_(adds), sums, to]
            self.start(f"add_runs_backward<{kind}>", self.device, (2, 256), arguments)
            x, d = x[:, :width], d[:, :width]
            self.near(to.get(), F32(0.7) * d + adds * before)
            self.near(sums.get(), np.array([(x * d)[:64].sum(), (x * d)[64:].sum()]), 1e-5)

    # ---- copies ---------------------------------------------------------------------------------

    def test_copies(self):
        for whole, width in (("true", 40), ("false", 37)):
            x, y = stored(normal(1, 5, width + 8), U16), self.empty(U16, 5, width)
            strides = self.device.put(x), I64(width + 8), y, I64(width)
            self.runs(f"copy_runs<Bf16, {whole}>", 5, width, I64(5), I64(width), *strides)
            np.testing.assert_array_equal(y.get(), x[:, :width])
        (x, on_x), y = self.made(2, U16, 77), self.empty(F32, 77)
        self.runs("widen_runs<Bf16, true>", 1, 77, I64(77), on_x, y)
        np.testing.assert_array_equal(y.get(), x)
        (x, on_x), y = self.made(3, F32, 77), self.empty(U16, 77)
        self.runs("round_weights<true>", 1, 77, I64(77), on_x, y)
        np.testing.assert_array_equal(y.get(), stored(x, U16))


class Sums(OpCase):
    """Cross-entropy and reductions."""

    def test_cross_entropy(self):
        targets = np.array([2, -1, 36, 0], I32)
        for kind, width in (("Bf16, 8, true", 40), ("float, 1, true", 37), ("float, 8, false", 48)):
            with self.subTest(kind):
                (z, on_z), losses = self.made(1, F32, 4, width), self.empty(F32, 4)
                scale, has = F32(3), kind.endswith("true")
                dz = self.empty(row_type(f"<{kind}>"), 4, width) if has else None
                shape = 4, -(-(width // 8 if ", 8," in kind else width) // 32) * 32
                arguments = [I64(width), on_z, self.device.put(targets), losses, scale, self.scalar(2), dz]
                self.start(f"cross_entropy_rows<{kind}>", self.device, shape, arguments)
                p, scored, rows = np.exp(z) / np.exp(z).sum(1, keepdims=True), targets >= 0, np.arange(4)
                self.near(losses.get(), np.where(scored, -np.log(p[rows, targets]), 0))
                p[rows, targets] -= 1
                if has:
                    self.near(dz.get(), 3 / 2 * p * scored[:, None])

    def test_of_losses(self):
        targets, (losses, on_losses) = np.array([2, -1, 36, 0], I32), self.made(1, F32, 4)
        scored, mean = self.scalar(), self.scalar()
        self.start("count_scored", self.device, (1, 1024), [I64(4), self.device.put(targets), scored])
        self.assertEqual(scored.get()[0], 3)
        self.start("mean_of<float>", self.device, (1, 1024), [I64(4), on_losses, scored, mean])
        self.near(mean.get(), np.array([losses.sum() / 3]), 1e-12)

    def test_add_columns(self):
        (parts, on_parts), (out, on_out) = self.made(1, F32, 70, 19), self.made(2, F32, 19)
        self.start("add_columns<float>", self.device, (3, 256), [I64(70), I64(19), on_parts, on_out])
        self.near(on_out.get(), out + parts.sum(0))

    def test_total_dot(self):
        for kind, n in (("Bf16, true", 2 * 2048 + 77), ("float, false", 2048 + 77)):
            (a, on_a), (b, on_b) = (self.made(k, row_type(f"<{kind}>"), n) for k in (1, 2))
            self.total(f"dot_runs<{kind}>", n, (a * b).sum(), on_a, on_b)

    def test_not_finite(self):
        x = normal(1, 2048 + 77).astype(F32)
        x[[3, 500, 2120]] = np.nan, np.inf, -np.inf
        self.total("count_not_finite<float, true>", x.size, 3, self.device.put(x))

    def total(self, name, n, expected, *arrays):
        """By two blocks, of which the first may have a second trip."""
        parts, total = self.empty(F64, 2), self.scalar()
        self.start(name, self.device, (2, 256), [I64(n), *arrays, parts])
        self.start("add_blocks", self.device, (1, 1024), [I64(2), parts, total])
        self.near(total.get(), np.array([expected], float), 1e-5)

    def test_a_step_of_itself(self):
        scalars = self.device.put(np.full(6, 7.0))
        for index, loss, overflow in ((0, 2.0, 0), (1, 4.0, 0)):
            batch = struct(I64(index), I64(2), F64(100))
            arguments = [batch, self.scalar(loss), self.scalar(overflow), scalars]
            self.start("count_step_loss", self.device, (1, 1), arguments)
        np.testing.assert_array_equal(scalars.get(), [3, 0, 0, 0, 0, 0])
        cases = (16, 0, 4, 0.5), (1, 0, 1, 1), (16, 2, 4, 0), (np.inf, 0, np.inf, 0)
        for square, bad, norm, scale in cases:
            scalars = self.device.put(np.array([3.0, bad, 0, square, 0, 0]))
            self.start("clip_step", self.device, (1, 1), [F64(2), scalars])
            np.testing.assert_array_equal(scalars.get()[4:], [norm, scale])
        for index, loss, overflow, bad in ((0, 200.0, 0, 1), (1, np.nan, 0, 2), (1, 2.0, 3, 2)):
            scalars = self.device.put(np.zeros(6))
            batch = struct(I64(index), I64(2), F64(100))
            arguments = [batch, self.scalar(loss), self.scalar(overflow), scalars]
            self.start("count_step_loss", self.device, (1, 1), arguments)
            np.testing.assert_array_equal(scalars.get(), [loss / 2, bad, loss, 0, 0, 0])


class Optimizers(OpCase):
    def test_adamw(self):
        n, b1, b2, eps, correction, rate, decay = 101, 0.9, 0.95, 1e-8, 1.7, 0.01, 0.1
        factors = struct(*map(F32, (b1, b2, eps, correction)), F64(rate), F64(decay))
        ends = [(20, 0.5, False, True), (43, 1, True, False), (77, 2, True, True)]
        ranges = [struct(I64(a), F64(b), np.bool_(c), np.bool_(d)) for a, b, c, d in ends]
        ranges = self.device.put(np.array(ranges))
        of = np.searchsorted([e[0] for e in ends], np.arange(n), side="right")
        lr, decays, trained = np.array([*(e[1:] for e in ends), (1, True, True)]).T[:, of]
        for kind, grad_scale in (("true", 0.3), ("false", 0.3), ("true", 0)):
            (w, on_w), (g, on_g), (m, on_m), (v, on_v) = (self.made(k, F32, n) for k in range(4))
            on_v = self.device.put((v**2).astype(F32))
            v = doubles(on_v.get())
            copy = self.device.put(stored(w, U16)) if kind == "true" else None
            arguments = [I64(n), factors, self.scalar(grad_scale), I32(3), ranges]
            arrays = struct(on_w, on_g, on_m, on_v, copy)
            self.runs(f"adamw_runs<float, {kind}>", 1, n, *arguments, arrays)
            if grad_scale:
                g = grad_scale * g
                m, v = (np.where(trained, b * old + (1 - b) * x, old)
                        for b, old, x in ((b1, m, g), (b2, v, g * g)))  # fmt: skip
                step = rate * lr * m / (np.sqrt(v) * correction + eps)
                w = np.where(trained, (1 - decay * lr * decays) * w - step, w)
            for found, expected in zip((on_w, on_m, on_v, copy), (w, m, v, w)):
                if found:
                    self.near(found.get(), expected)

    def test_muon(self):
        n, s, mu, square, keep, rate = 77, 0.3, 0.9, 5.0, 0.99, 0.02
        (g, on_g), (b, on_b), x = self.made(1, F32, n), self.made(2, F32, n), self.empty(F32, n)
        arguments = [I64(n), F32(mu), self.scalar(s), on_g, on_b, x]
        self.runs("look_ahead_runs<float, true>", 1, n, *arguments)
        b = mu * b + s * g
        self.near(on_b.get(), b)
        self.near(x.get(), s * g + mu * b)
        self.runs("normalise_runs<float, true>", 1, n, I64(n), self.scalar(square), F64(1e-7), x)
        self.near(x.get(), (s * g + mu * b) / (np.sqrt(square) + 1e-7))
        a, on_a = self.made(3, F32, 9, 9)
        self.start("add_to_diagonal<float>", self.device, (1, 256), [I64(9), F32(1.5), on_a])
        self.near(on_a.get(), a + 1.5 * np.eye(9))
        (w, on_w), copy = self.made(4, F32, n), self.empty(U16, n)
        arguments = [I64(n), self.scalar(s), F32(keep), F32(rate), on_g, on_w, copy]
        self.runs("update_runs<float, true>", 1, n, *arguments)
        for found in (on_w, copy):
            self.near(found.get(), keep * w - rate * g)


if __name__ == "__main__":
    unittest.main()
