"""Programs of scalars (mixers/scalar_program.h), as tables for kernels, and run in numpy; gradients
are the imaginary parts of what a number with a small one becomes.
"""

import numpy as np

from .arguments import struct
from .case import EPS, I32

OPS = ["input", "constant", "add", "subtract", "multiply", "add_product", "subtract_product", "inner",
       "max", "inverse", "exp", "sqrt", "tanh", "sigmoid", "sinkhorn"]  # fmt: skip
VALUES = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "add_product": lambda a, b, c: c + a * b,
    "subtract_product": lambda a, b, c: c - a * b,
    "max": lambda a, b: np.maximum(a.real, b.real) + 0j,  # passes no gradient on
    "inverse": lambda a: 1 / a,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
}


def sinkhorn(z, rounds):
    """(..., K, K): softmax of rows + eps; columns; rounds - 1 times rows, columns."""
    p = np.exp(z - z.real.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True) + EPS
    for axis in [-2, *[-1, -2] * (rounds - 1)]:
        p = p / (p.sum(axis, keepdims=True) + EPS)
    return p


class Program:
    """A number is (0, i) of u, (1, i) of p, or (2, i), a step's. Constants come first."""

    def __init__(self, n_u, n_p):
        self.n_u, self.n_p = n_u, n_p
        self.u, self.p = [(0, i) for i in range(n_u)], [(1, i) for i in range(n_p)]
        self.steps, self.groups, self.constants, self.pairs = [], [], [], []
        self.outputs, self.matrix, self.size, self.rounds = [], [], 0, 0

    def step(self, op, *of):
        at = len(self.steps)
        self.steps.append((op, of))
        if self.groups and self.groups[-1][0] == op:
            self.groups[-1][2] = at + 1
        else:
            self.groups.append([op, at, at + 1])
        return 2, at

    def constant(self, x):
        self.constants.append(x)
        return self.step("constant")

    def inner(self, *pairs):
        first = len(self.pairs)
        self.pairs += [x for pair in pairs for x in pair]
        return self.step("inner", (0, first), (0, len(self.pairs)))

    def sinkhorn(self, matrix, size, rounds):
        self.matrix, self.size, self.rounds = matrix, size, rounds
        return [self.step("sinkhorn") for _ in range(1 + size**2)][1:]

    def n_saved(self):
        return 2 * self.size**2 + (2 * self.rounds - 1) * self.size

    def tables(self, device):
        refs = lambda of: np.array([of_what | at << 2 for of_what, at in of], np.uint32)  # noqa: E731
        steps = np.concatenate([refs((*of, *[(0, 0)] * (3 - len(of)))) for _, of in self.steps])
        groups = [struct(np.uint8(OPS.index(op)), I32(a), I32(b)) for op, a, b in self.groups]
        arrays = [np.array(groups), steps, *map(refs, (self.pairs, self.outputs, self.matrix))]
        arrays.append(np.array(self.constants))
        counts = map(len, (self.groups, self.steps, self.outputs, self.constants, self.matrix))
        arrays = [device.put(a) if a.size else None for a in arrays]
        return struct(*arrays, *map(I32, (*counts, self.size, self.rounds)))

    def run(self, u, p):
        """u (n_u, N), p (n_p), or (n_p, N) -> out (n_outputs, N)."""
        numbers = [np.asarray(u, complex), np.asarray(p, complex), []]
        of = lambda ref: numbers[ref[0]][ref[1]]  # noqa: E731
        for op, begin, end in self.groups:
            if op == "sinkhorn":
                matrix = np.moveaxis(np.array([of(x) for x in self.matrix]), 0, -1)
                z = sinkhorn(matrix.reshape(-1, self.size, self.size), self.rounds)
                numbers[2] += [None, *z.reshape(-1, self.size**2).T]
                continue
            for i, (_, refs) in enumerate(self.steps[begin:end], begin):
                if op == "constant":
                    numbers[2].append(np.full(u.shape[1], self.constants[i], complex))
                elif op == "inner":
                    pairs = self.pairs[refs[0][1] : refs[1][1]]
                    numbers[2].append(sum(of(a) * of(b) for a, b in zip(pairs[::2], pairs[1::2])))
                else:
                    numbers[2].append(VALUES[op](*map(of, refs)))
        return np.array([of(x) + np.zeros(u.shape[1]) for x in self.outputs])

    def backward(self, u, p, dout):
        """du (n_u, N) and dp (n_p, N), of each token's part."""
        small = 1e-30
        u, p = u + 0j, np.repeat(p[:, None], u.shape[1], 1) + 0j
        gradients = []
        for x in (u, p):
            gradients.append(np.zeros(x.shape))
            for i in range(len(x)):
                x[i] += 1j * small
                gradients[-1][i] = (self.run(u, p).imag * dout).sum(0) / small
                x[i] -= 1j * small
        return gradients
