"""What nvcc makes of programs of scalars, a thread a token, and of passes that run one a token,
interpreted beside their equations in numpy. Not run where nvcc is not found.
"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case  # noqa: E402
from ptx.arguments import doubles, struct  # noqa: E402
from ptx.case import F32, I32, I64, U16, Norm, grid, normal, stored  # noqa: E402
from ptx.memory import Device  # noqa: E402
from ptx.program import Program  # noqa: E402


def of_all_kinds():
    program = Program(4, 3)
    (a, b, c, d), (p, q, r), step = program.u, program.p, program.step
    half, two = program.constant(0.5), program.constant(2.0)
    most = step("max", a, b)
    e, f = step("exp", step("subtract", a, most)), step("exp", step("subtract", b, most))
    share = step("multiply", e, step("inverse", step("add", e, f)))
    root = step("sqrt", step("add_product", c, c, half))
    gate = step("sigmoid", step("subtract_product", d, p, q))
    mix = program.inner((share, root), (gate, r), (a, d), (two, p))
    program.outputs = [mix, step("tanh", mix), gate, q, c]
    return program


def of_sinkhorn(size):
    program = Program(size**2, 1)
    matrix = [program.step("multiply", x, program.p[0]) for x in program.u]
    program.outputs = program.sinkhorn(matrix, size, rounds=3)
    program.outputs.append(program.step("multiply", program.outputs[1], program.u[0]))
    return program


class Scalars(case.KernelCase):
    TOKENS, PADDED = 40, 64

    def test_forward_and_backward(self):
        for what, program in (("all kinds", of_all_kinds()), *((k, of_sinkhorn(k)) for k in (2, 3, 4))):
            with self.subTest(what):
                device = Device()
                u = normal(1, program.n_u, self.TOKENS).astype(F32)
                p = (1 + 0.3 * normal(2, program.n_p)).astype(F32)
                steps = device.empty((len(program.steps), self.PADDED), F32)
                numbers = struct(device.put(u), device.put(p), steps, I64(self.TOKENS), I64(self.PADDED))
                arguments = [program.tables(device), numbers]
                self.forward(device, program, u, p, arguments)
                self.backward(device, program, u, p, arguments)

    def forward(self, device, program, u, p, arguments):
        out = device.empty((len(program.outputs), self.TOKENS), F32)
        self.start("scalars_forward<float>", device, (2, 32), [*arguments, out])
        self.near(out.get(), program.run(u, p).real)

    def backward(self, device, program, u, p, arguments):
        dout = normal(3, len(program.outputs), self.TOKENS).astype(F32)
        before = normal(4, *u.shape).astype(F32), normal(5, program.n_p, 2).astype(F32)
        first_u, first_p = program.n_u // 2, program.n_p // 2
        du, dp = map(device.put, before)
        rooms = len(program.steps), program.n_saved() or 1
        scratch = [device.empty((n, self.PADDED), F32) for n in rooms]
        gradients = struct(device.put(dout), du, dp, *scratch, I32(first_u), I32(first_p))
        self.start("scalars_backward<float>", device, (2, 32), [*arguments, gradients])
        expected_u, of_tokens = program.backward(u, p, dout)
        expected_p = np.stack([of_tokens[:, :32].sum(1), of_tokens[:, 32:].sum(1)], 1)
        for found, expected, old, first in ((du, expected_u, before[0], first_u),
                                            (dp, expected_p, before[1], first_p)):  # fmt: skip
            expected[first:] += old[first:]
            self.near(found.get(), expected, 5e-6)


def of_token(waits):
    """a of u (hh, hq) and, where it waits for them, of w (hh, hv, vv); and two numbers p."""
    program = Program(5 if waits else 2, 2)
    step, u, (p, q) = program.step, program.u, program.p
    along = program.inner((u[1], p), (u[0], q), *([(u[2], q), (u[3], p), (u[4], q)] if waits else []))
    keep = step("sigmoid", along)
    program.outputs = [keep, step("tanh", step("add", along, p))]
    return program


class Token(case.KernelCase):
    """RunningRow whose weights are the token's (memories/running_row_token.cuh)."""

    CASES = ((6, 200, 1, True), (2, 264, 2, True), (6, 200, 1, False))

    def of(self, tokens, channels, waits):
        """Device, program, scalars of the site below (N, n_dots + 2) and p of both sites."""
        program = of_token(waits)
        dots = 0.3 * normal(1, program.n_u, tokens)
        p = [(0.5 * normal(k, 2) / channels).astype(F32) for k in (2, 3)]
        scalars = np.concatenate([dots, program.run(dots, p[0]).real]).T.astype(F32)
        return Device(), program, scalars, p

    def site(self, device, program, p, below, own, q):
        """TokenSite, of n_u = 2 dots in u and the rest in w."""
        places = (0, 1, *((2, 3, 4) if program.n_u == 5 else (-1, -1, -1)), 2, program.n_u)
        tables = program.tables(device)
        return struct(struct(*map(I32, places)), tables, tables, *map(device.put, p), below, own,
                      device.put(q), np.bool_(True))  # fmt: skip

    def test_read(self):
        for tokens, channels, warps, waits in self.CASES:
            for first in (False, True):
                with self.subTest(channels=channels, waits=waits, first=first):
                    self.read(tokens, channels, warps, waits, first)

    def read(self, tokens, channels, warps, waits, first):
        device, program, scalars, p = self.of(tokens, channels, waits)
        norm = Norm(device, tokens, channels, U16)
        v, h = stored(normal(4, tokens, channels), U16), normal(5, tokens, channels).astype(F32)
        q = normal(6, channels).astype(F32)
        on_h = device.empty(h.shape, F32) if first else device.put(h)
        given = scalars.copy()
        given[:, 2:] = given[:, 2:] if not waits else np.nan
        below, own = device.put(given), device.empty(scalars.shape, F32)
        site = self.site(device, program, p, below, own, q)
        arguments = [I64(tokens), I32(channels), I32(warps), np.bool_(first), device.put(v), on_h]
        arguments += [site, norm.argument]
        self.start("token_read<Bf16, 1, true>", device, grid(tokens, warps), arguments)
        v, a = doubles(v), np.ones((2, tokens)) if first else scalars[:, -2:].T.astype(float)
        if waits and not first:
            w = np.stack([(x * y).sum(1) for x, y in ((h, h), (h, v), (v, v))])
            dots = np.concatenate([scalars[:, :2].T, w])
            a = program.run(dots, p[0]).real
            self.near(below.get(), np.concatenate([dots, a]).T)
        h = a[1][:, None] * v + (0 if first else a[0][:, None] * h)
        self.near(on_h.get(), h)
        u = np.stack([(h**2).sum(1), h @ q])
        expected = u if waits else np.concatenate([u, program.run(u, p[1]).real])
        self.near(own.get()[:, : len(expected)], expected.T)
        for found, expected in zip(norm.results(), norm.forward(h)):
            self.near(found, expected)

    def test_backward(self):
        for tokens, channels, warps, waits in self.CASES:
            for first, last in ((False, False), (False, True), (True, False)):
                with self.subTest(channels=channels, waits=waits, first=first, last=last):
                    self.backward(tokens, channels, warps, waits, first, last)

    def backward(self, tokens, channels, warps, waits, first, last):
        device, program, scalars, p = self.of(tokens, channels, waits)
        shape = grid(tokens, warps, trips=2)
        norm = Norm(device, tokens, channels, U16, backward=True)
        v, dh = stored(normal(4, tokens, channels), U16), normal(5, tokens, channels).astype(F32)
        q = normal(10, channels).astype(F32)
        du, room = normal(11, tokens, 2).astype(F32), (shape[0], channels)
        on_du, dq, dp, dgain = device.put(du), *(device.empty(s, F32) for s in (room, (shape[0], 2), room))
        on_dh = device.empty(dh.shape, F32) if last else device.put(dh)
        dv = device.empty(dh.shape, U16)
        site = self.site(device, program, p, device.put(scalars), None, q)
        ends, sums = struct(np.bool_(first), np.bool_(last)), struct(on_du, dq, dp, dgain, I32(2))
        arguments = [I64(tokens), I32(channels), I32(warps), ends, device.put(v), on_dh, dv, site, sums]
        self.start("token_read_backward<Bf16, 1, true, true>", device, shape, [*arguments, norm.argument])
        x, _, expected_dgain = norm.backward()
        x, v, y = x + (0 if last else dh), doubles(v), doubles(norm.xhat) / norm.rstd[:, None]
        x = x + 2 * du[:, :1] * y + du[:, 1:] * q
        self.near(dq.get().sum(0), (du[:, 1:] * y).sum(0))
        self.near(dgain.get().sum(0), expected_dgain)
        if first:
            self.near(on_dh.get(), x)
            return self.near(dv.get(), x)
        a = scalars[:, -2:].astype(float)
        h = (y - a[:, 1:] * v) / a[:, :1]  # y = a_0 h + a_1 v
        da = np.stack([(h * x).sum(1), (v * x).sum(1)])
        ddots, of_tokens = program.backward(scalars[:, :-2].T, p[0], da)
        dhh, dhv, dvv = (d[:, None] for d in (ddots[2:] if waits else np.zeros((3, tokens))))
        self.near(on_dh.get(), a[:, :1] * x + 2 * dhh * h + dhv * v, 1e-5)
        self.near(dv.get(), a[:, 1:] * x + dhv * h + 2 * dvv * v)
        self.near(on_du.get(), ddots[:2].T, 1e-5)
        self.near(dp.get().sum(0), of_tokens.sum(1), 1e-5)


if __name__ == "__main__":
    unittest.main()
