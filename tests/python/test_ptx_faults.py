"""The interpreter of PTX sees what a kernel must not do: faults planted in kernels of src/ as nvcc
made them, and small kernels written by hand. The former not where nvcc is not found.
"""

import re
import sys
import unittest
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import case, nvcc  # noqa: E402
from ptx.arguments import doubles, struct  # noqa: E402
from ptx.assembly import kernel_of  # noqa: E402
from ptx.attention import Products  # noqa: E402
from ptx.case import F32, I32, I64, U16, Norm, normal, stored  # noqa: E402
from ptx.machine import launch  # noqa: E402
from ptx.memory import Device, Fault  # noqa: E402


def by_hand(body, parameters=1):
    """One by hand; %r1 is the thread, %rd1 the first argument."""
    names = ", ".join(f".param .u64 p{k}" for k in range(parameters))
    lines = [".entry by_hand(", names, ")", ".maxntid 256, 1, 1", "{"]
    lines += [".reg .pred %p<9>;", ".reg .b32 %r<9>;", ".reg .f32 %f<9>;", ".reg .b64 %rd<9>;"]
    lines += [".shared .align 16 .b8 room[1024];", "mov.u32 %r1, %tid.x;", "ld.param.u64 %rd1, [p0];"]
    return kernel_of("by_hand", 1, "\n".join([*lines, body, "ret;", "}"]))


class ByHand(unittest.TestCase):
    def start(self, body, threads=64):
        device = Device()
        launch(device, by_hand(body), 1, threads, [device.put(np.zeros(threads, F32))])

    def test_an_opcode_that_is_not_known(self):
        with self.assertRaisesRegex(Fault, "by_hand, line .*: not known: sin.approx.f32 %f1, %f2"):
            self.start("sin.approx.f32 %f1, %f2;")

    def test_a_barrier_that_not_all_threads_reach(self):
        skips = "setp.lt.u32 %p1, %r1, 5; @%p1 bra $L; bar.sync 0;\n$L:\n"
        with self.assertRaisesRegex(Fault, "threads wait for threads that have returned at line"):
            self.start(skips)
        with self.assertRaisesRegex(Fault, "threads wait at line .*bar.sync 0; line .*bar.sync 0"):
            self.start("setp.lt.u32 %p1, %r1, 32; @%p1 bra $L; bar.sync 0; ret;\n$L:\nbar.sync 0;")

    def test_a_shuffle_that_not_all_lanes_reach(self):
        skips = "setp.lt.u32 %p1, %r1, 5; @%p1 bra $L; shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;\n$L:\n"
        with self.assertRaisesRegex(Fault, "threads wait .*shfl.sync"):
            self.start(skips)

    def test_shared_memory_without_a_barrier(self):
        body = "shl.b32 %r2, %r1, 2; mov.u32 %r3, room; add.s32 %r4, %r3, %r2; st.shared.u32 [%r4], %r1;"
        body += "{} xor.b32 %r2, %r2, 4; add.s32 %r4, %r3, %r2; ld.shared.u32 %r5, [%r4];"
        for barrier in ("bar.sync 0;", "bar.warp.sync -1;"):
            self.start(body.format(barrier))
        with self.assertRaisesRegex(Fault, "thread 0 of block 0 is at what was written by thread 1"):
            self.start(body.format(""))
        with self.assertRaisesRegex(Fault, "was read by"):  # and written by another thread
            self.start(body.format("bar.sync 0;") + "st.shared.u32 [%r3], %r1;", 32)

    def test_two_threads_write_one_place(self):
        with self.assertRaisesRegex(Fault, "two threads write the same place in device memory"):
            self.start("st.global.u32 [%rd1], %r1;")

    def test_bounds_and_alignment(self):
        lane = "mul.wide.u32 %rd2, %r1, 4; add.s64 %rd3, %rd1, %rd2; ld.global{} [%rd3+{}];"
        self.start(lane.format(".u32 %r2,", 0))
        with self.assertRaisesRegex(Fault, "out of bounds of device memory"):
            self.start(lane.format(".u32 %r2,", 4))
        with self.assertRaisesRegex(Fault, "16 bytes .* no multiple of 16"):
            self.start(lane.format(".v4.u32 {%r2,%r3,%r4,%r5},", 0))
        with self.assertRaisesRegex(Fault, "out of bounds of shared memory"):
            self.start("st.shared.u32 [room+1024], %r1;", 32)

    def test_what_arrives_later(self):
        copy = "cp.async.cg.shared.global [room], [%rd1], 16; cp.async.commit_group; "
        first = "setp.ne.u32 %p1, %r1, 0; @%p1 ret; "
        read = "ld.shared.u32 %r2, [room];"
        self.start(first + copy + "cp.async.wait_group 0; " + read)
        with self.assertRaisesRegex(Fault, "cp.async may not have brought"):
            self.start(first + copy + "cp.async.wait_group 1; " + read)
        with self.assertRaisesRegex(Fault, "cp.async is under way"):
            self.start(first + copy)

    def test_numbers(self):
        """What numpy has otherwise: shifts past the end, division of negative numbers, NaN."""
        body = "mov.u32 %r2, -7; div.s32 %r3, %r2, 2; rem.s32 %r4, %r2, 2; shl.b32 %r5, %r2, 32;"
        body += "shr.s32 %r6, %r2, 40; mov.f32 %f1, 0f7FC00000; setp.ltu.f32 %p1, %f1, %f1;"
        body += "selp.b32 %r7, 1, 0, %p1; setp.ne.f32 %p2, %f1, %f1; selp.b32 %r8, 1, 0, %p2;"
        stores = "".join(f"st.global.u32 [%rd1+{4 * (k - 3)}], %r{k};" for k in range(3, 9))
        device = Device()
        out = device.put(np.zeros(6, I32))
        launch(device, by_hand("setp.ne.u32 %p1, %r1, 0; @%p1 ret; " + body + stores), 1, 32, [out])
        self.assertEqual(out.get().tolist(), [-3, -1, 0, -1, 1, 0])


def altered(name, pattern, by):
    """A kernel, its text changed everywhere."""
    kernels = nvcc.kernels()
    line, text = kernels.texts[name]
    text, count = re.subn(pattern, by, text)
    if not count:
        raise ValueError(f"{name} has no {pattern}")
    return kernel_of(name, line, text, kernels.dynamic)


class Planted(case.KernelCase):
    """Each in what runs when nothing is planted, with two warps a token."""

    TOKENS, CHANNELS = 2, 264

    def read(self, pattern="$", by="", channels=CHANNELS, swap=False):
        device, shape = Device(), (self.TOKENS, self.CHANNELS)
        norm = Norm(device, *shape, U16)
        kernel = altered("running_read<Bf16, 1, true>", pattern, by)
        h = normal(2, *shape).astype(F32)
        rows = [device.put(stored(normal(1, self.TOKENS, channels), U16)), device.put(h)]
        sizes = [I64(self.TOKENS), I32(self.CHANNELS), I32(2), np.bool_(False)]
        argument = struct(F32(case.EPS), *norm.arrays) if swap else norm.argument
        launch(device, kernel, self.TOKENS, 64, [*sizes, *rows, argument])
        h = h + doubles(stored(normal(1, *shape), U16))
        self.near(norm.results()[0], norm.forward(h)[0])

    def test_nothing(self):
        self.read()

    def test_a_missing_barrier(self):
        with self.assertRaisesRegex(Fault, "no barrier between"):
            self.read(r"bar\.sync\s+0;", "")

    def test_a_wrong_distance_of_a_shuffle(self):
        with self.assertRaisesRegex(AssertionError, "not less than"):
            self.read(r"(mov\.u32 \s*%r\d+, )16;", r"\g<1>8;")

    def test_a_wrong_mask_of_a_shuffle(self):
        with self.assertRaisesRegex(Fault, "a mask without all lanes, 0xffff"):
            self.read(r"(mov\.u32 \s*%r\d+, )-1;", r"\g<1>65535;")

    def test_a_short_row(self):
        with self.assertRaisesRegex(Fault, "out of bounds of device memory"):
            self.read(channels=self.CHANNELS - 8)

    def test_members_in_another_order(self):
        with self.assertRaisesRegex(Fault, "no field of 8 bytes at 40 of the arguments"):
            self.read(swap=True)


class PlantedInProducts(case.KernelCase):
    """In attention on tensor cores."""

    def forward(self, pattern="$", by=""):
        def start(name, device, shape, arguments, shared):
            what = (pattern, by) if name.startswith("attention_forward") else ("$", "")
            launch(device, altered(name, *what), *shape, arguments, shared)

        at = Products(start, 16, gained=False)
        at.forward()
        self.near(at.out.get(), at.attention.forward(at.qkv, at.gains)[0])

    def test_nothing(self):
        self.forward()

    def test_a_missing_wait(self):
        with self.assertRaisesRegex(Fault, "cp.async may not have brought"):
            self.forward(r"cp\.async\.wait_group 1;", "")

    def test_a_wait_for_too_little(self):
        with self.assertRaisesRegex(Fault, "cp.async may not have brought"):
            self.forward(r"cp\.async\.wait_group 1;", "cp.async.wait_group 2;")

    def test_a_missing_barrier(self):
        with self.assertRaisesRegex(Fault, "no barrier between"):
            self.forward(r"bar\.sync\s+0;", "")

    def test_fragments_in_another_order(self):
        """Of a: the rows below for the columns behind."""
        with self.assertRaisesRegex(AssertionError, "not less than"):
            self.forward(r"(mma\S+ {[^}]*}, {%r\d+,)(%r\d+),(%r\d+)", r"\1\3,\2")

    def test_rows_for_columns(self):
        with self.assertRaisesRegex(AssertionError, "not less than"):
            self.forward(r"\.x2\.trans", ".x2")


if __name__ == "__main__":
    unittest.main()
