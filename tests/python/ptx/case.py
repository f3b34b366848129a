"""What tests of kernels share: rows of either type, the pre-norm, how near is near."""

import re
import unittest

import numpy as np

from . import nvcc
from .arguments import bf16, doubles, struct
from .machine import launch

F32, I32, I64, U16 = np.float32, np.int32, np.int64, np.uint16
EPS = 1e-6
ROW_TYPES = {"Bf16": U16, "float": F32}


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def stored(x, dtype):
    return bf16(x) if dtype == U16 else x.astype(F32)


def row_type(kernel):
    return ROW_TYPES[re.split("[<,>]", kernel)[1]]


def grid(tokens, warps, trips=1):
    """(blocks, threads): a warp a token, four in a block, or more. trips: of a block over tokens."""
    blocks = -(-tokens // (4 if warps == 1 else 1))
    return -(-blocks // trips), 128 if warps == 1 else 32 * warps


class Norm:
    """NormArgs (ops/pre_norm.cuh): a pre-norm, with a gain or without."""

    def __init__(self, device, tokens, channels, dtype, gained=True, backward=False):
        self.shape = tokens, channels
        self.gain = (1 + 0.1 * normal(9, channels)).astype(F32) if gained else np.ones(channels, F32)
        gain = device.put(self.gain) if gained else None
        if backward:
            self.xhat, self.dx = (stored(normal(k, *self.shape), dtype) for k in (7, 8))
            self.rstd = (1 + np.abs(normal(6, tokens))).astype(F32)
            made = [device.put(self.xhat), device.put(self.rstd), gain, None, device.put(self.dx)]
        else:
            x = device.empty(self.shape, dtype) if gained else None
            made = [device.empty(self.shape, dtype), device.empty(tokens, F32), gain, x, None]
        self.arrays = made
        self.argument = struct(*self.arrays, F32(EPS))

    def forward(self, h):
        """[xhat, rstd, x] of h; no x without a gain."""
        rstd = 1 / np.sqrt((h**2).mean(1) + EPS)
        all_three = [h * rstd[:, None], rstd, h * rstd[:, None] * self.gain]
        return all_three if self.arrays[3] else all_three[:2]

    def results(self):
        return [self.arrays[k].get() for k in (0, 1, 3) if self.arrays[k]]

    def backward(self):
        """(D, <h, D>, dgain), h the row that was normed."""
        xhat, dx, rstd = doubles(self.xhat), doubles(self.dx), doubles(self.rstd)
        g = dx * self.gain
        along = (g * xhat).mean(1)
        of_h = self.shape[1] * along * EPS * rstd**2
        return rstd[:, None] * (g - xhat * along[:, None]), of_h, (dx * xhat).sum(0)


@unittest.skipUnless(nvcc.compiler(), "nvcc is not here")
class KernelCase(unittest.TestCase):
    def start(self, name, device, shape, arguments, shared=0):
        self.assertIn(name, nvcc.kernels().texts)
        launch(device, nvcc.kernels()[name], *shape, arguments, shared)

    def near(self, found, expected, bound=None):
        """By the norm of what is expected. bf16: within its rounding, or `bound`."""
        bound = bound or (2.0**-8 if found.dtype == U16 else 2e-6)
        found = doubles(found)
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(np.linalg.norm(found - expected) / np.linalg.norm(expected), bound)
