"""scripts/speed_page.py: tables against the numbers behind them, figures, errors. The reports are
made up but follow the schema of `plumb bench --json`.
"""

import io
import json
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "scripts")]

import speed_page  # noqa: E402

MIXERS = {
    "standard": 0.0, "highway": 0.02, "denseformer": 0.07, "hyper": 0.31, "mhc": 0.42,
    "attnres": 0.12, "attnres_block": 0.035,
}


def row(label, seconds, over):
    mixer = seconds * (0.08 + over)
    parts = {"gemm": 0.75, "attention": 0.1, "activation": 0.05, "loss": 0.01, "embedding": 0.002,
             "optimizer": 0.01}
    parts = {k: v * seconds for k, v in parts.items()} | {"mixer": mixer, "rest": 0.01 * seconds}
    moved = None if label == "highway" else 5e8 * (1 + over)
    return {
        "label": label, "mixer": label, "settings": [],
        "step_s": {"median": seconds * (1 + over), "q1": seconds, "q3": 1.1 * seconds * (1 + over)},
        "overhead": {"median": over, "q1": over - 0.01, "q3": over + 0.02},
        "tokens_per_s": 2048 / seconds / (1 + over), "gemm_flops_per_s": 4.7e11,
        "gemm_share": 0.74 / (1 + over), "parts_s": parts, "profiled_step_s": sum(parts.values()),
        "planned_bytes": 5e8 * (1 + over), "peak_bytes": None if label == "mhc" else 5.3e8,
        "moved_bytes": moved, "moved_forward_d": moved and 3.1, "moved_step_d": moved and 5.2,
        "paper_forward_d": 3.0 if label == "standard" else None,
    }  # fmt: skip


def shape(name="a", precision="fp32", layers=12, context=256, scale=1.0):
    return {
        "shape": {"name": name, "layers": layers, "width": 256, "heads": 4, "context": context,
                  "batch": 8, "vocab": 256},
        "precision": precision, "tokens_per_step": 2048, "rounds": 9, "steps": 2,
        "gemm_flops_per_s": 4.7e11,
        "mixers": [row(label, 0.35 * scale, over) for label, over in MIXERS.items()],
    }  # fmt: skip


def write(folder, name, **lists):
    op = {"op": "gemm up dw", "shape": "a", "precision": "fp32", "seconds": 2e-3, "flops": 8e8,
          "bytes": 1e7, "floor_s": 1.6e-3, "bound": "flops", "times_floor": 1.25}  # fmt: skip
    report = {
        "date": "2026-01-02T03:04:05Z", "git": {"commit": "0123456789abcdef", "dirty": False},
        "build": {"compiler": "GNU 12.2.0", "flags": "-O3", "gemm": "oneDNN 2.6.3"},
        "machine": {"cpu": "A CPU", "isa": ["avx2"], "threads": 2, "logical_cpus": 2},
        "compare": [], "depth": [], "context": [], "ops": [op] if name == "ops" else [],
        "bandwidth": [{"bytes": 32768, "bytes_per_s": 3e11}] if name == "ops" else [],
    } | lists  # fmt: skip
    (folder / name).mkdir()
    (folder / name / "bench.json").write_text(json.dumps(report))
    (folder / name / "bench.csv").write_text("kind,shape\n" + f"{name},a\n")


def call(folder):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = speed_page.main([str(folder)])
    return code, out.getvalue(), err.getvalue()


def fill(folder):
    write(folder, "compare", compare=[shape(n, p) for n, p in (("a", "fp32"), ("b", "bf16"))])
    write(folder, "depth", depth=[shape("d", layers=n, scale=n / 12) for n in (6, 12, 24, 48)])
    write(folder, "context", context=[shape("t", context=n) for n in (64, 128, 256)])
    write(folder, "ops")
    spread = {"median": 0.013, "q1": 0.01, "q3": 0.02}
    row = {"label": "attnres_block", "token_s": {"median": 0.002}, "overhead": spread,
           "prefill_tokens_per_s": 7654.0}  # fmt: skip
    decode = {"shape": {"name": "a", "batch": 16}, "rounds": 9, "steps": 64, "mixers": [row]}
    write(folder, "generate", generate=[decode])


class SpeedPage(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = Path(temp.name)

    def test_page_and_figures(self):
        fill(self.folder)
        ops = self.folder / "ops" / "bench.json"
        later = json.loads(ops.read_text()) | {"git": {"commit": "f" * 40, "dirty": True}}
        ops.write_text(json.dumps(later))
        context = self.folder / "context" / "bench.json"
        elsewhere = json.loads(context.read_text())
        elsewhere["machine"]["isa"] = ["avx2", "avx512f"]
        context.write_text(json.dumps(elsewhere))
        (self.folder / "notes.md").write_text("Where the time goes.\n")
        code, _, err = call(self.folder)
        self.assertEqual((code, err), (0, ""))
        text = (self.folder / "README.md").read_text()
        for words in (
            "compare, depth, generate (0123456789ab, 2026-01-02); "
            "ops (ffffffffffff with local changes, 2026-01-02).",
            "- A CPU (avx2 avx512f), 2 of 2 threads; oneDNN 2.6.3, GNU 12.2.0, `-O3`: context (",
            "Where the time goes.",
            "| highway | 357.0 | +2.0 [+1.0, +4.0] | 3 met |",
            "| mhc | 497.0 | +42.0 [+41.0, +44.0] | 14 missed |",
            "| mhc | 497.0 | +42.0 [+41.0, +44.0] | 40 missed |",
            "standard reaches 74 % (target 80 missed)",
            "standard reaches 74 % (target 70 met)",
            "| gemm up dw | a | fp32 | 2000.0 | 400 | 5 | 1600.0 | flops | 1.25 |",
            "0.0312 MiB: 300 GB/s",
            "| a | 16 | attnres_block | 2.000 | +1.3 [+1.0, +2.0] | 2 met | 7,654 |",
        ):
            self.assertIn(words, text)
        for name in ("split", "overhead", "growth_depth_fp32", "growth_context_fp32"):
            self.assertIn(f"({name}.png)", text)
            for kind in ("svg", "png"):
                self.assertGreater((self.folder / f"{name}.{kind}").stat().st_size, 1000)
        self.assertEqual(len((self.folder / "speed.csv").read_text().splitlines()), 6)

    def test_published_page_is_short_and_is_what_its_files_give(self):
        published = HERE.parents[1] / "results" / "speed"
        merged, made = speed_page.read(published)
        figures = {"compare": ["split", "overhead"], "depth": [], "context": []}
        for kind in ("depth", "context"):
            figures[kind] = [f"growth_{kind}_{p}" for p in ("bf16", "fp32")]
        page = speed_page.page(merged, made, figures, published)
        self.assertEqual((published / "README.md").read_text(), page)
        self.assertLess(len(page.splitlines()), 200)

    def test_nothing_measured_says_what_to_type(self):
        code, _, err = call(self.folder)
        self.assertEqual(code, 4)
        self.assertIn("plumb bench --out", err)


if __name__ == "__main__":
    unittest.main()
