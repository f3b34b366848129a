"""What nvcc makes of the kernels of memories, interpreted at toy sizes beside their equations in
numpy (tests/python/ptx). Not run where nvcc is not found, on the PATH or as $CUDACXX.
"""

import itertools
import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, rows, struct  # noqa: E402
from ptx.case import F32, I32, I64, U16, Norm, grid, normal, row_type, stored  # noqa: E402
from ptx.memory import Device  # noqa: E402
from ptx.program import sinkhorn  # noqa: E402
from ptx.streams import fragments, in_parts  # noqa: E402

MOST_SOURCES = 130  # kMaxSources


def ring_bytes(dtype, runs, stages, threads):
    return 8 * np.dtype(dtype).itemsize * runs * stages * threads


class RunningRow(case.KernelCase):
    CASES = (("Bf16, 1, true", 6, 200, 1), ("Bf16, 1, true", 3, 264, 2),
             ("float, 1, false", 3, 251, 1), ("float, 1, false", 2, 259, 2))  # fmt: skip

    def test_read(self):
        for kind, tokens, channels, warps in self.CASES:
            for first in (False, True):
                name = f"running_read<{kind}>"
                with self.subTest(name, channels=channels, first=first):
                    self.read(name, tokens, channels, warps, first)

    def read(self, name, tokens, channels, warps, first):
        device, dtype = Device(), row_type(name)
        norm = Norm(device, tokens, channels, dtype)
        v, h = stored(normal(1, tokens, channels), dtype), normal(2, tokens, channels).astype(F32)
        on_h = device.empty(h.shape, F32) if first else device.put(h)
        sizes = [I64(tokens), I32(channels), I32(warps), np.bool_(first)]
        arguments = [*sizes, device.put(v), on_h, norm.argument]
        self.start(name, device, grid(tokens, warps), arguments)
        h = doubles(v) + (0 if first else h)
        self.near(on_h.get(), h)
        for found, expected in zip(norm.results(), norm.forward(h)):
            self.near(found, expected)

    def test_backward(self):
        for kind, tokens, channels, warps in self.CASES:
            for last in (False, True):
                gained = "Bf16" in kind
                name = f"running_read_backward<{kind}, {'true' if gained else 'false'}>"
                with self.subTest(name, channels=channels, last=last):
                    self.backward(name, tokens, channels, warps, last, gained)

    def backward(self, name, tokens, channels, warps, last, gained):
        device, dtype, shape = Device(), row_type(name), grid(tokens, warps, trips=2)
        norm = Norm(device, tokens, channels, dtype, gained, backward=True)
        dh = normal(2, tokens, channels).astype(F32)
        on_dh = device.empty(dh.shape, F32) if last else device.put(dh)
        dv = device.empty(dh.shape, dtype)
        dgain = device.empty((shape[0], channels), F32) if gained else None
        sizes = [I64(tokens), I32(channels), I32(warps), np.bool_(last)]
        self.start(name, device, shape, [*sizes, on_dh, dv, dgain, norm.argument])
        d, _, expected_dgain = norm.backward()
        for found in (on_dh, dv):
            self.near(found.get(), d + (0 if last else dh))
        if gained:
            self.near(dgain.get().sum(0), expected_dgain)


class Sources(case.KernelCase):
    def softmax(self, values, u):
        """rstd (S, N), logits (S, R, N), lse (R, N)."""
        rstd = 1 / np.sqrt((values**2).mean(2) + case.EPS)
        logits = np.einsum("snc,rc,sn->srn", values, u, rstd)
        return rstd, logits, np.log(np.exp(logits).sum(0))

    def made(self, device, dtype, count, tokens, channels):
        of = [normal(20 + k, tokens, channels) * (1 + 0.3 * k) for k in range(count)]
        arrays = [stored(x, dtype) for x in of]
        return np.array([doubles(x) for x in arrays]), [device.put(x) for x in arrays]

    def test_read(self):
        cases = (("Bf16, 1, 1, 3, 3, true", 6, 200, 1, 5, 0),
                 ("Bf16, 1, 1, 3, 3, true", 3, 264, 2, 2, 3),
                 ("Bf16, 3, 1, 2, 3, true", 5, 200, 1, 5, 0),
                 ("Bf16, 3, 1, 2, 3, true", 2, 264, 2, 3, 0),
                 ("float, 5, 2, 2, 2, false", 5, 509, 1, 3, 0),
                 ("float, 5, 2, 2, 2, false", 2, 523, 2, 3, 0))  # fmt: skip
        for kind, *sizes in cases:
            with self.subTest(kind, sizes=sizes):
                self.read(f"sources_read<{kind}>", *sizes)

    def read(self, name, tokens, channels, warps, n_sources, n_waiting):
        """The last source is new; `n_waiting` others are in a mix already."""
        device, dtype = Device(1 << 21), row_type(name)
        reads, runs, _, stages = map(int, name.split(", ")[1:5])
        values, arrays = self.made(device, dtype, n_waiting + n_sources, tokens, channels)
        u = (0.1 * normal(3, reads, channels)).astype(F32)
        rstd, logits, lse = self.softmax(values, u)
        p = np.exp(logits - lse)
        mixes = np.einsum("srn,snc->rnc", p, values)
        norm = Norm(device, tokens, channels, dtype)
        lse_there, waiting = device.empty((reads, tokens), F32), None
        if n_waiting:
            before = np.log(np.exp(logits[:n_waiting, 0]).sum(0))
            weights = np.exp(logits[:n_waiting, 0] - before)
            mix = stored(np.einsum("sn,snc->nc", weights, values[:n_waiting]), dtype)
            waiting, lse_there = device.put(mix), device.put(before[None].astype(F32))
            weighs = np.exp(before - lse[0])[:, None]
            rest = np.einsum("sn,snc->nc", p[n_waiting:, 0], values[n_waiting:])
            mixes = (weighs * doubles(mix) + rest)[None]
        found_rstd = device.empty(tokens, F32)
        found_logits = device.empty((n_sources, reads, tokens), F32)
        others = [None, *(device.empty((tokens, channels), dtype) for _ in range(reads - 1))]
        argument = struct(
            I64(tokens), *map(I32, (channels, warps, n_sources, reads)),
            rows(arrays[n_waiting:], MOST_SOURCES), device.put(u), found_rstd,
            found_logits, I64(reads * tokens), lse_there, waiting,
            rows(others, MOST_SOURCES), F32(case.EPS), norm.argument)  # fmt: skip
        shape = grid(tokens, warps, trips=2)
        shared = ring_bytes(dtype, runs, stages, shape[1])
        shared += 4 * reads * runs * 8 * 32 * warps if reads * runs > 8 else 0
        self.start(name, device, shape, [argument], shared)
        self.near(found_logits.get(), logits[n_waiting:])
        self.near(found_rstd.get(), rstd[-1])
        self.near(lse_there.get(), lse)
        for array, expected in zip(others[1:], mixes[1:]):
            self.near(array.get(), expected)
        for found, expected in zip(norm.results(), norm.forward(mixes[0])):
            self.near(found, expected)

    def gradients(self, values, rstd, logits, lse, d, delta, u):
        """(dv (S, N, C), t (S, R, N)) of readers whose D (R, N, C) is known."""
        p = np.exp(logits - lse)
        t = p * (np.einsum("snc,rnc->srn", values, d) - delta) * rstd[:, None]
        back = (t * logits).sum(1) * rstd / values.shape[2]
        dv = np.einsum("srn,rnc->snc", p, d) + np.einsum("srn,rc->snc", t, u)
        return dv - back[:, :, None] * values, t

    def test_pull(self):
        cases = (("Bf16, 2, 1, 2, 4, true, true", 6, 200, 1, 4, True),
                 ("Bf16, 2, 1, 2, 4, true, true", 2, 264, 2, 3, False),
                 ("float, 1, 1, 4, 4, false, false", 3, 251, 1, 35, True))  # fmt: skip
        for kind, *sizes in cases:
            with self.subTest(kind, sizes=sizes):
                self.pull(f"sources_pull<{kind}>", *sizes)

    def pull(self, name, tokens, channels, warps, readers, adds):
        device, dtype, shape = Device(1 << 21), row_type(name), grid(tokens, warps, trips=2)
        count, runs, _, stages = map(int, name.split(", ")[0:5][1:])
        gained = name.endswith("true>")
        norm = Norm(device, tokens, channels, dtype, gained, backward=True)
        d0, delta0, dgain = norm.backward()
        values, arrays = self.made(device, dtype, count, tokens, channels)
        older = [stored(normal(40 + r, tokens, channels), dtype) for r in range(readers - 1)]
        d = np.array([d0, *map(doubles, older)])
        u = (0.1 * normal(3, readers, channels)).astype(F32)
        rstd, logits, lse = (x.astype(F32) for x in self.softmax(values, u))
        lse += F32(0.3)  # there are other sources
        delta = normal(4, readers, tokens).astype(F32)
        gradient = [stored(normal(60 + k, tokens, channels), dtype) for k in range(count)]
        on_gradient = [device.put(g) if adds else device.empty(g.shape, dtype) for g in gradient]
        on_delta, t = device.put(delta), device.empty(logits.shape, F32)
        carry = device.empty((tokens, channels), F32)
        parts = device.empty((shape[0], channels), F32) if gained else None
        argument = self.argument(
            device, (tokens, channels, warps, readers, count), [None, *map(device.put, older)], arrays,
            on_gradient, adds, (u, rstd, logits, lse), readers * tokens,
            [on_delta, t, None, carry, parts, None], norm)  # fmt: skip
        self.start(name, device, shape, [argument], ring_bytes(dtype, runs, stages, shape[1]))
        delta = np.array([delta0, *delta[1:]])
        dv, expected_t = self.gradients(values, rstd, logits, lse, d, delta, u)
        for array, before, expected in zip(on_gradient, gradient, dv):
            self.near(array.get(), expected + (doubles(before) if adds else 0))
        self.near(carry.get(), dv[-1] + (doubles(gradient[-1]) if adds else 0))
        self.near(t.get(), expected_t, 1e-5)
        self.near(norm.arrays[0].get(), d0)
        self.near(on_delta.get()[0], delta0, 1e-4)
        if gained:
            self.near(parts.get().sum(0), dgain)

    def argument(self, device, sizes, d, sources, gradients, adds, numbers, k_step, outputs, norm):
        """SourcesPull."""
        u, rstd, logits, lse = map(device.put, numbers)
        delta, t, kept_d, carry, dgain, du = outputs
        tokens, *others = sizes
        return struct(
            I64(tokens), *map(I32, others), *(rows(x, MOST_SOURCES) for x in (d, sources, gradients)),
            np.bool_(adds), u, rstd, logits, I64(k_step), lse, delta, t, kept_d, carry,
            np.bool_(False), dgain, du,
            norm.argument)  # fmt: skip

    def test_spread(self):
        cases = (("Bf16, 1, 2, 4, true, true", 6, 200, 1, 5, True),
                 ("Bf16, 1, 2, 4, true, true", 2, 264, 2, 4, False),
                 ("float, 1, 4, 4, false, false", 5, 251, 1, 34, True))  # fmt: skip
        for kind, *sizes in cases:
            with self.subTest(kind, sizes=sizes):
                self.spread(f"sources_spread<{kind}>", *sizes)

    def spread(self, name, tokens, channels, warps, n_sources, adds):
        device, dtype, shape = Device(1 << 21), row_type(name), grid(tokens, warps, trips=2)
        runs, _, stages = map(int, name.split(", ")[1:4])
        gained = name.endswith("true>")
        norm = Norm(device, tokens, channels, dtype, gained, backward=True)
        d, delta, dgain = norm.backward()
        values, arrays = self.made(device, dtype, n_sources, tokens, channels)
        u = (0.1 * normal(3, 1, channels)).astype(F32)
        rstd, logits, lse = (x.astype(F32) for x in self.softmax(values, u))
        gradient = [stored(normal(60 + k, tokens, channels), dtype) for k in range(n_sources)]
        on_gradient = [device.put(g) if adds else device.empty(g.shape, dtype) for g in gradient]
        kept, on_delta = device.empty((tokens, channels), dtype), device.empty(tokens, F32)
        parts, du = (device.empty((shape[0], channels), F32) for _ in range(2))
        argument = self.argument(
            device, (tokens, channels, warps, 1, n_sources), [], arrays, on_gradient, adds,
            (u, rstd, logits, lse), tokens,
            [on_delta, None, kept, None, parts if gained else None, du], norm)  # fmt: skip
        shared = ring_bytes(dtype, runs, stages, shape[1])
        self.start(name, device, shape, [I32(n_sources), argument], shared)
        dv, t = self.gradients(values, rstd, logits, lse, d[None], delta[None], u)
        for array, before, expected in zip(on_gradient, gradient, dv):
            self.near(array.get(), expected + (doubles(before) if adds else 0))
        self.near(kept.get(), d)
        self.near(on_delta.get(), delta, 1e-4)
        self.near(du.get().sum(0), np.einsum("sn,snc->c", t[:, 0], values), 1e-5)
        if gained:
            self.near(parts.get().sum(0), dgain)


class Streams(case.KernelCase):
    CASES = (("Bf16, 4, 1, true", 6, 200, 1), ("Bf16, 4, 1, true", 3, 264, 2),
             ("float, 2, 1, false", 3, 251, 1), ("float, 2, 1, false", 2, 259, 2))  # fmt: skip

    def of(self, kind, tokens, channels):
        """Device, K, type, X, v and the scalars ([c | A], N)."""
        dtype, k = row_type(f"<{kind}"), int(kind.split(", ")[1])
        x = stored(normal(1, tokens, k, channels), dtype)
        v = stored(normal(2, tokens, channels), dtype)
        return Device(), k, dtype, x, v, normal(3, k * (k + 2), tokens).astype(F32)

    def parts(self, numbers, k):
        return numbers[:k], numbers[k:].reshape(k, k + 1, -1)

    def test_write(self):
        for kind, tokens, channels, warps in self.CASES:
            for first in (False, True):
                with self.subTest(kind, channels=channels, first=first):
                    self.write(kind, tokens, channels, warps, first)

    def test_write_dots(self):
        for k, tiles, vectors, ends in (4, 3, 19, True), (2, 1, 4, False):
            for tokens, channels, first in (70, 40, False), (5, 296, False), (18, 64, True):
                with self.subTest(streams=k, channels=channels, first=first):
                    self.write_dots(k, tiles, vectors, ends, tokens, channels, first)

    def write_dots(self, k, tiles, m, ends, tokens, channels, first):
        device, _, _, x, v, numbers = self.of(f"Bf16, {k}, 1, true", tokens, channels)
        slabs, rows = -(-channels // 256), k if ends else 1
        parts = in_parts(normal(4, m, rows, channels), U16)
        n_sums = m + 1 if ends else k * (m + 2)
        out, sums = device.empty(x.shape, U16), device.empty((slabs, n_sums, tokens), F32)
        on_x, on_numbers = (None, None) if first else (device.put(x), device.put(numbers))
        arguments = [I64(tokens), I32(channels), I32(m), np.bool_(first), on_x, device.put(v)]
        arguments += [on_numbers, device.put(fragments(parts, channels, tiles)), out, sums]
        name = f"streams_write_dots<{k}, {tiles}, {'true' if ends else 'false'}>"
        self.start(name, device, (slabs * -(-tokens // 64), 128), arguments)
        self.near(out.get(), self.written(k, x, v, numbers, first))
        of, w, at = doubles(out.get()), doubles(parts).sum(0), m * k // rows
        dots = np.einsum("nkc,mkc->mn", of, w) if ends else np.einsum("nkc,mc->kmn", of, w[:, 0])
        moments = (of**2).sum((1, 2)) if ends else np.stack([of.sum(2).T, (of**2).sum(2).T], 1)
        found = sums.get().sum(0)
        self.near(found[:at], dots.reshape(at, tokens), 1e-5)
        self.near(found[at:], moments.reshape(-1, tokens), 1e-5)

    def written(self, k, x, v, numbers, first):
        _, a = self.parts(numbers, k)
        expected = np.einsum("ksn,nsc->nkc", a[:, :k], doubles(x))
        expected += np.einsum("kn,nc->nkc", a[:, k], doubles(v))
        return np.repeat(doubles(v)[:, None], k, 1) if first else expected

    def write(self, kind, tokens, channels, warps, first):
        device, k, dtype, x, v, numbers = self.of(kind, tokens, channels)
        out, moments = device.empty(x.shape, dtype), device.empty((k, 2, tokens), F32)
        arguments = [I64(tokens), I32(channels), I32(warps), np.bool_(first)]
        on_x, on_numbers = (None, None) if first else (device.put(x), device.put(numbers))
        arguments += [on_x, device.put(v), on_numbers, out, moments]
        self.start(f"streams_write<{kind}>", device, grid(tokens, warps), arguments)
        self.near(out.get(), self.written(k, x, v, numbers, first))
        written = doubles(out.get())
        self.near(moments.get(), np.stack([written.sum(2).T, (written**2).sum(2).T], 1), 1e-5)

    def test_read(self):
        for kind, tokens, channels, warps in self.CASES:
            with self.subTest(kind, channels=channels):
                device, k, dtype, x, _, numbers = self.of(kind, tokens, channels)
                norm = Norm(device, tokens, channels, dtype)
                arguments = [I64(tokens), I32(channels), I32(warps)]
                arguments += [device.put(x), device.put(numbers), norm.argument]
                self.start(f"streams_read<{kind}>", device, grid(tokens, warps), arguments)
                h = np.einsum("sn,nsc->nc", numbers[:k], doubles(x))
                for found, expected in zip(norm.results(), norm.forward(h)):
                    self.near(found, expected)

    def test_backward(self):
        for kind, tokens, channels, warps in self.CASES:
            for last, by_d in itertools.product((False, True), repeat=2):
                with self.subTest(kind, channels=channels, last=last, by_d=by_d):
                    self.backward(kind, tokens, channels, warps, last, by_d)

    def backward(self, kind, tokens, channels, warps, last, by_d):
        device, k, dtype, x, v, numbers = self.of(kind, tokens, channels)
        shape, gained = grid(tokens, warps, trips=2), dtype == U16
        norm = Norm(device, tokens, channels, dtype, gained, backward=True)
        dout = stored(normal(4, *x.shape), dtype)
        dx, dnumbers = device.empty(x.shape, dtype), device.empty(numbers.shape, F32)
        dv, before = device.empty(v.shape, dtype), normal(5, *numbers.shape).astype(F32)
        parts = device.empty((shape[0], channels), F32) if gained else None
        on_v, on_dout = (None, None) if last else (device.put(v), device.put(dout))
        below = [on_v, device.put(numbers), None if last else device.put(before), on_dout]
        arguments = [I64(tokens), I32(channels), I32(warps), np.bool_(last), device.put(x), *below]
        arguments += [None if by_d else dx, dv, dnumbers, parts, norm.argument]
        name = f"streams_backward<{kind.replace('1, ', '1, 2, ')}, {'true' if gained else 'false'}>"
        self.start(name, device, shape, arguments, ring_bytes(dtype, 2 * k + 1, 2, shape[1]))
        d, _, dgain = norm.backward()
        c, a = self.parts(numbers, k)
        x, v, dout = doubles(x), doubles(v), doubles(dout) * (not last)
        expected = np.einsum("ksn,nkc->nsc", a[:, :k], dout) + np.einsum("sn,nc->nsc", c, d)
        into = np.ones((k, tokens)) if last else self.parts(before, k)[1][:, k]  # of copies, ones
        self.near(dv.get(), d if by_d else np.einsum("sn,nsc->nc", into, expected))
        if not by_d:
            self.near(dx.get(), expected)
        found_c, found_a = self.parts(dnumbers.get(), k)
        self.near(found_c, np.einsum("nsc,nc->sn", x, d))
        if last:
            self.assertFalse(found_a.any())
        else:
            self.near(found_a[:, :k], np.einsum("nsc,nkc->ksn", x, dout))
            self.near(found_a[:, k], np.einsum("nc,nkc->kn", v, dout))
        if gained:
            self.near(parts.get().sum(0), dgain)


class Sinkhorn(case.KernelCase):
    TOKENS, ROUNDS, K = 70, 20, 4

    def of_tokens(self, x):
        return x.reshape(self.K, self.K, -1).transpose(2, 0, 1).astype(np.float64)

    def test_forward(self):
        device, z = Device(), normal(1, 16, self.TOKENS).astype(F32) * 2
        out = device.empty(z.shape, F32)
        arguments = [I64(self.TOKENS), I32(self.ROUNDS), device.put(z), out]
        self.start("sinkhorn<float, 4>", device, (1, 64), arguments)
        self.near(self.of_tokens(out.get()), sinkhorn(self.of_tokens(z), self.ROUNDS))

    def test_backward_by_differences(self):
        device, z = Device(), normal(1, 16, self.TOKENS).astype(F32) * 2
        dout, dz = normal(2, *z.shape).astype(F32), device.empty(z.shape, F32)
        arguments = [I64(self.TOKENS), I32(self.ROUNDS), device.put(z), device.put(dout), dz]
        shared = 4 * (2 * self.ROUNDS - 1) * self.K * 64
        self.start("sinkhorn_backward<float, 4>", device, (2, 64), arguments, shared)
        x, d, step = self.of_tokens(z), self.of_tokens(dout), 1e-5
        expected = np.zeros_like(x)
        for i, j in np.ndindex(self.K, self.K):
            move = np.zeros((self.K, self.K))
            move[i, j] = step
            change = sinkhorn(x + move, self.ROUNDS) - sinkhorn(x - move, self.ROUNDS)
            expected[:, i, j] = (change * d).sum((1, 2)) / (2 * step)
        self.near(self.of_tokens(dz.get()), expected, 2e-5)


class TensorCores(case.KernelCase):
    def test_product_of_a_warp(self):
        device, a, b = Device(), stored(normal(1, 16, 16), U16), stored(normal(2, 8, 16), U16)
        d = device.empty((16, 8), F32)
        self.start("warp_product", device, (1, 32), [device.put(a), device.put(b), d])
        self.near(d.get(), doubles(a) @ doubles(b).T)


if __name__ == "__main__":
    unittest.main()
