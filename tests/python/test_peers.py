"""scripts/peers without PyTorch and JAX: the parameters are Plumb's, tables say what was timed."""

import json
import stat
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/peers"))
import check
import race
import report
import spec


class Parameters(unittest.TestCase):
    def test_names_and_shapes_are_those_of_the_fixtures(self):
        for name in check.FIXTURES:
            tensors, metadata = spec.load_safetensors(check.FOLDER / f"{name}.safetensors")
            overrides = json.loads(metadata["config"])
            cfg = spec.config_of_overrides(overrides, int(metadata["vocab"]), 2)
            want = {k[6:]: x.shape for k, x in tensors.items() if k.startswith("param/")}
            own = {k: x.shape for k, x in spec.initial_parameters(cfg).items()}
            self.assertEqual(own, want, name)

    def test_unknown_settings_are_refused(self):
        with self.assertRaises(ValueError):
            spec.config_of_overrides(["mixer=highway", "mixer.gate=vector"], 7, 2)

    def test_shapes_are_read_as_plumb_bench_reads_them(self):
        cfg = spec.config_of("attnres_block", "a")
        self.assertEqual((cfg.head_dim, cfg.mlp_hidden, cfg.block_size), (64, 688, 3))
        cfg = spec.config_of("standard", "3x96x32x2")
        self.assertEqual((cfg.layers, cfg.width, cfg.context, cfg.batch), (3, 96, 32, 2))
        self.assertEqual((cfg.heads, spec.config_of("mhc", "3x128x32x2").heads), (1, 2))
        self.assertEqual(race.tokens_of("3x96x32x2"), 64)

    def test_a_vocabulary_is_named_behind_the_shape(self):
        for shape in ("a", "3x96x32x2"):
            other, plain = spec.config_of("mhc", shape + "/999"), spec.config_of("mhc", shape)
            self.assertEqual((other.vocab, plain.vocab), (999, 256))
            self.assertEqual(replace(other, vocab=256), plain)
            self.assertEqual(race.tokens_of(shape + "/999"), race.tokens_of(shape))


class Plumb(unittest.TestCase):
    def rate(self, script, shape="a"):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "plumb"
            program.write_text("#!/bin/sh\n" + script)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            return race.plumb_tokens_per_s(program, "mhc", shape, "bf16", 2, 3, 4)

    def test_rate_is_read(self):
        answer = json.dumps({"compare": [{"mixers": [{"tokens_per_s": 5500.5}]}]})
        wanted = "bench --mixers mhc --against mhc --shape a --precision bf16 --threads 2"
        wanted += " --rounds 3 --steps 4 --json"
        script = f"""[ "$*" = "{wanted}" ] && echo '{answer}'"""
        self.assertEqual(self.rate(script), 5500.5)

    def test_it_has_the_vocabulary(self):
        answer = json.dumps({"compare": [{"mixers": [{"tokens_per_s": 7}]}]})
        script = f"""case "$*" in *"--shape 2x8x4x1 "*"--vocab 99") echo '{answer}' ;; esac"""
        self.assertEqual(self.rate(script, "2x8x4x1/99"), 7)

    def test_failures_say_why(self):
        with self.assertRaisesRegex(race.Failed, "no such mixer"):
            self.rate("echo no such mixer >&2; exit 2")
        with self.assertRaisesRegex(race.Failed, "--plumb"):
            race.plumb_tokens_per_s(Path("/nowhere/plumb"), "mhc", "a", "float", 2, 3, 4)


class Table(unittest.TestCase):
    def test_fastest_form_counts_and_failures_are_named(self):
        base = {"shape": "a", "precision": "float", "mixer": "mhc"}
        rows = [
            {"contender": "plumb", "tokens_per_s": 9000.0, "drift": -0.02},
            {"contender": "eager", "form": "stack", "tokens_per_s": 1000.0},
            {"contender": "eager", "form": "loop", "tokens_per_s": 2000.0},
            {"contender": "compile", "form": "stack", "note": "timed out starting (300 s)"},
            {"contender": "jax", "form": "stack", "tokens_per_s": 3000.0},
        ]
        text = report.table([base | row for row in rows])
        self.assertIn("| mhc | 9,000 | 2,000 | timed out | 3,000 | 3.00 |", text)

    def test_a_later_call_adds_to_the_table(self):
        machine = {"cpu": "x", "rounds": 2, "limit_s": 9, "versions": {"plumb": "1"}}
        row = {"shape": "a", "mixer": "mhc", "precision": "float", "contender": "plumb"}
        other = row | {"shape": "b"}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.assertEqual(report.earlier(folder, machine)["rows"], [])
            full = machine | {"steps": 2, "limit_s": 1, "versions": {"plumb": "1", "torch": "2"}}
            text = {"machine": full, "rows": [row, other]}
            (folder / "peers.json").write_text(json.dumps(text))
            self.assertEqual(report.earlier(folder, machine), text)
            self.assertEqual(report.earlier(folder, machine | {"rounds": 3})["rows"], [])
            changed = machine | {"versions": {"plumb": "2"}}
            self.assertEqual(report.earlier(folder, changed)["rows"], [])
            (folder / "peers.json").write_text("[1]")
            self.assertEqual(report.earlier(folder, machine)["rows"], [])
        self.assertEqual(report.earlier(None, machine)["rows"], [])
        new = row | {"tokens_per_s": 5}
        self.assertEqual(report.with_rows([row, other], [new]), [other, new])


if __name__ == "__main__":
    unittest.main()
