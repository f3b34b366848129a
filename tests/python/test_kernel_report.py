"""scripts/kernel_report --check: a kernel that spills is named; none of those spills whose PTX is
interpreted (ptx/kernels.cu), an instance of each. What compiles is not run where nvcc is not found.
Every instance of every kernel: the script by itself, many minutes.
"""

import importlib.machinery
import importlib.util
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from ptx import nvcc  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "kernel_report"
NVCC = nvcc.compiler()
SPILLS = """
namespace plumb::gpu {
template <class T>
__global__ void __launch_bounds__(1024) too_much(int n, T* x) {
    T y[200];
#pragma unroll
    for (int i = 0; i < 200; ++i) y[i] = x[i * n];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 200; ++i) x[(199 - i) * n] = y[i] * y[(7 * i) % 200];
}
template __global__ void too_much(int, float*);
}  // namespace plumb::gpu
"""


def load():
    loader = importlib.machinery.SourceFileLoader("kernel_report", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("kernel_report", loader))
    loader.exec_module(module)
    return module


def check(file):
    command = [sys.executable, str(SCRIPT), "--check", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


class KernelReport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.report = load()

    def made(self, name="f<Bf16, 1>", registers=64, threads=1024, stack=0, spilled=0):
        return self.report.Kernel(name, "src/f.cu", registers, threads, stack, spilled, 0, ({128}, {32}))

    def test_what_is_wrong(self):
        def wrong(**of):
            return list(self.report.complaints([self.made(**of)]))

        self.assertEqual(wrong(), [])
        self.assertEqual(wrong(stack=16), ["src/f.cu: f<Bf16, 1> spills 0 bytes and has a stack of 16"])
        self.assertIn("1024 threads of 65 registers are more than 65536", wrong(registers=65)[0])

    def test_widths_of_accesses(self):
        sass = "Function : one\n LDG.E.128.CONSTANT R4, [R2] ;\n LDG.E R1, [R2] ;\n STG.E.U16 [R2], R1 ;"
        sass += "Function : two\n LDGSTS.E.BYPASS.128 [R1], [R2] ;\n STG.E.64 [R2], R1 ;\n STS.128 [R2], R1 ;"
        found = self.report.access_bits(sass)
        self.assertEqual(found, {"one": ({128, 32}, {16}), "two": ({128}, {64})})

    def test_kinds_share_a_line(self):
        kernels = [self.made(f"f<Bf16, {k}>", 30 + k) for k in (1, 2)]
        lines = list(self.report.table([*kernels, self.made("f<float, 1>")]))
        self.assertIn("| `f<Bf16, #>` | 2 | 31 to 32 | 1024 | 32768 | 0 | 128 | 32 |", lines)
        self.assertEqual(len(lines), 5)

    @unittest.skipUnless(NVCC, "nvcc is not here")
    def test_a_kernel_that_spills(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "spills.cu")
            file.write_text(SPILLS)
            run = check(file)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertRegex(run.stdout, r"spills.cu: too_much<float> spills [1-9]\d* bytes")

    @unittest.skipUnless(NVCC, "nvcc is not here")
    def test_kernels_of_all_memories(self):
        kernels = self.report.compiled(nvcc.compiled(nvcc.KERNELS), nvcc.KERNELS, "sm_90")
        self.assertGreater(len(kernels), 100)
        self.assertEqual(list(self.report.complaints(kernels)), [])


def kernels_of(path):
    code = re.sub(r"__launch_bounds__\([^()]*(\([^()]*\)[^()]*)*\)", "", path.read_text())
    return re.findall(r"__global__\s+void\s+(\w+)\(", code)


ACCESS = re.compile(r"\s*(ld|st)\.global(?:\.nc)?\.(?:[fub](32|16))\s.*\[(%rd\d+)(?:\+(\d+))?\]")


def pieces(ptx, kinds=("ld", "st")):
    """{kernel: 16 bytes that it reads or writes number by number, no branch between}, of numbers of
    4 and 2 bytes."""
    found = {}
    for part in ptx.split(".entry ")[1:]:
        seen, count = {}, 0
        for line in part.splitlines():
            if re.search(r"^\$L|\bbra\b|@", line):
                seen = {}
            access = ACCESS.match(line)
            if not access or access[1] not in kinds:
                continue
            kind, bits, base, offset = access.groups()
            at, size = int(offset or 0), int(bits) // 8
            run = seen.setdefault((kind, base, size, at // 16), set())
            run.add(at)
            count += len(run) == 16 // size
        found[re.match(r"\w+", part)[0]] = count
    return found


class Widths(unittest.TestCase):
    def test_pieces(self):
        one_by_one = "\n".join(f"ld.global.f32 %f{k}, [%rd1+{16 + 4 * k}];" for k in range(4))
        tail = "\n".join(f"$L{k}:\nst.global.u16 [%rd1+{2 * k}], %rs1;" for k in range(8))
        apart = "\n".join(f"ld.global.f32 %f{k}, [%rd1+{8 + 4 * k}];" for k in range(4))
        whole = "st.global.v4.f32 [%rd1], {%f1, %f2, %f3, %f4};"
        text = "".join(
            f".entry {name}()\n{code}\n"
            for name, code in (("a", one_by_one), ("b", tail), ("c", apart), ("d", whole))
        )
        self.assertEqual(pieces(text), {"a": 1, "b": 0, "c": 0, "d": 0})

    @unittest.skipUnless(NVCC, "nvcc is not here")
    def test_whole_runs_move_at_once(self):
        """Reads: of the kernels of files that use core/runs.cuh; others read coefficients one by
        one. Writes: of all but token_read, which writes a token's few scalars in a row."""
        kernels = set()
        for path in (nvcc.ROOT / "src").rglob("*.cuh"):
            if '"core/runs.cuh"' in path.read_text():
                kernels.update(kernels_of(path))
        ptx = nvcc.compiled(nvcc.KERNELS)
        found = pieces(ptx)
        names = dict(zip(found, load().plain_names(list(found)), strict=True))
        mine = {names[k]: n for k, n in found.items() if re.match(r"\w+", names[k])[0] in kernels}
        self.assertGreater(len(mine), 40)
        self.assertEqual({k: n for k, n in mine.items() if n and "double" not in k}, {})
        written = [names[k] for k, n in pieces(ptx, ("st",)).items() if n]
        others = re.compile(r"double|token_read<")
        self.assertEqual([name for name in written if not others.search(name)], [])


class HostCode(unittest.TestCase):
    @unittest.skipUnless(NVCC, "nvcc is not here")
    def test_what_kernels_include_compiles_for_the_host(self):
        """Which -ptx and -cubin leave out."""
        files = sorted((nvcc.ROOT / "src").rglob("*.cu"))
        includes = {line for f in files for line in re.findall(r'#include ".*', f.read_text())}
        command = [NVCC, "-std=c++20", "-c", "-arch=compute_90", "-code=compute_90", "-Xcicc", "-O0"]
        command += ["-Isrc", "-DPLUMB_HAVE_CUDA", "-DFMT_USE_CONSTEXPR=1", "--diag-suppress=554,1675"]
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "all.cu")
            source.write_text("\n".join(sorted(includes)) + "\n")
            command += ["-o", Path(folder, "all.o"), source]
            done = subprocess.run(command, cwd=nvcc.ROOT, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


class Interpreted(unittest.TestCase):
    def test_every_kernel_is_interpreted(self):
        """An instance of each is in kernels.cu and named by a test."""
        in_source = set()
        for path in sorted((nvcc.ROOT / "src").rglob("*.cu*")):
            in_source.update(kernels_of(path))
        named = re.findall(r"PLUMB_KERNEL\((\w+)", nvcc.KERNELS.read_text())
        tests = "".join(p.read_text() for p in Path(__file__).parent.glob("**/*.py"))
        self.assertGreater(len(in_source), 80)
        self.assertEqual(in_source - set(named), set())
        self.assertEqual([name for name in named if not re.search(rf"\b{name}\b", tests)], [])


if __name__ == "__main__":
    unittest.main()
