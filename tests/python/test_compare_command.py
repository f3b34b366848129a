"""plumb compare as a command: its forms, widths, exit codes, who made the runs; and a short run of
scripts/coverage_test. Run: python3 -m unittest -v (here).
"""

import contextlib
import csv
import importlib.machinery
import importlib.util
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "scripts"
sys.path[:0] = [str(HERE), str(SCRIPTS)]

import plumb  # noqa: E402
import sweeps  # noqa: E402
from compare_case import call, made  # noqa: E402
from plumb import cli  # noqa: E402
from plumb.comparison import formats  # noqa: E402
from sweeps import DIVERGED, RUNNING  # noqa: E402

PDFLATEX = shutil.which("pdflatex")


class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def sweep(self, name="s", by=lambda variant: made(), **more):
        s = sweeps.Sweep(
            self.dir / name, ["base", "v", "a & b_c|<i>%#"], range(1, 6), margin=0.005, **more
        )
        for i, variant in enumerate(s.says["variants"]):
            for seed in range(1, 6):
                loss = 1.4 + 0.01 * seed - 0.03 * i + 0.001 * ((seed * 7 + i * 3) % 5)
                if i == 2:
                    loss = (DIVERGED, loss, loss, RUNNING, loss)[seed - 1]
                s.add(
                    variant["name"],
                    seed,
                    loss,
                    made=by(variant["name"]),
                    plan={"dir": f"r{i}-{seed}"},
                    curve=[(100.0, 3.0), (1000.0, 1.35)],
                )
        return s.write()


class Forms(Scratch):
    def test_json_is_everything_with_null_for_no_number(self):
        code, out, err = call(self.sweep(), "--json")
        self.assertEqual((code, err), (0, ""))
        found = json.loads(out, parse_constant=lambda x: self.fail(f"{x} is not JSON"))
        self.assertEqual(set(found) - {"schema"}, {*formats.TEXTS, *formats.LISTS})
        base, v, odd = found["rows"]
        self.assertIsNone(base["p"])
        self.assertEqual(v["verdict"], "better")
        self.assertEqual(set(v["values"]), set("12345"))
        self.assertEqual((odd["n"], odd["n_diverged"], odd["n_unfinished"]), (3, 1, 1))
        self.assertEqual(len(found["left_out"]), 1)

    def test_csv_has_every_number_in_full(self):
        folder = self.sweep()
        rows = list(csv.DictReader(io.StringIO(call(folder, "--csv")[1])))
        found = plumb.compare(folder)
        for row, told in zip(found.rows, rows):
            for name in ("mean", "difference", "low", "p", "p_adjusted", "sd"):
                x = getattr(row, name)
                self.assertEqual(told[name], "" if math.isnan(x) else repr(float(x)), name)
        self.assertEqual(rows[2]["variant"], "a & b_c|<i>%#")

    def test_frame_with_and_without_pandas(self):
        found = plumb.compare(self.sweep())
        with mock.patch.dict(sys.modules, {"pandas": None}):
            plain = found.frame
        for table in (plain, found.frame):
            self.assertEqual(list(table.columns), list(plain.columns))
            self.assertEqual(list(table["verdict"])[:2], ["baseline", "better"])
            self.assertEqual(float(table["difference"][1]), found.rows[1].difference)

    def test_markdown_shows_names_as_they_are(self):
        _, out, _ = call(self.sweep(), "--markdown")
        lines = [line for line in out.splitlines() if line.startswith("|")]
        self.assertEqual(len(lines), 5)
        self.assertEqual(len({line.replace(r"\|", "").count("|") for line in lines}), 1)
        self.assertIn(r"a &amp; b\_c\|&lt;i&gt;%\#", lines[-1])

    def test_latex_escapes_names(self):
        _, out, _ = call(self.sweep(), "--latex")
        self.assertIn(r"a \& b\_c|$<$i$>$\%\#", out)
        self.assertIn(r"\toprule", out)
        self.assertIn("$-$0.0", out)
        body = [line for line in out.splitlines() if line.endswith(r" \\")]
        self.assertEqual(len({line.replace(r"\&", "").count("&") for line in body}), 1)

    @unittest.skipUnless(PDFLATEX, "not run: no pdflatex here")
    def test_latex_compiles(self):
        _, table, _ = call(self.sweep(), "--latex")
        page = (
            r"\documentclass{article}\usepackage{booktabs}\begin{document}"
            + f"\n{table}\n"
            + r"\end{document}"
        )
        (self.dir / "t.tex").write_text(page)
        said = subprocess.run([PDFLATEX, "-halt-on-error", "-interaction=nonstopmode", "t.tex"],
                              cwd=self.dir, capture_output=True, text=True)  # fmt: skip
        self.assertEqual(said.returncode, 0, said.stdout[-2000:])

    def test_text_fits_its_width(self):
        folder = self.sweep()
        for width in (40, 60, 80, 200):
            _, out, _ = call(folder, "--width", width)
            self.assertLessEqual(max(map(len, out.splitlines())), width)
            for word in (
                "better",
                "1 of 4 diverged",
                "warning: diverged",
                "left out: r2-4",
                "Is it so?",
            ):
                self.assertIn(word, " ".join(out.split()))
        self.assertIn("variant        n", call(folder, "--width", 200)[1])

    def test_many_left_out_are_not_a_page(self):
        """Of one reason, orphans, folders that no plan has: each is a line with its count."""
        s = sweeps.Sweep(self.dir / "many", ["base", "v"], range(1, 51))
        for seed in range(1, 51):
            s.add("base", seed, RUNNING)
        for seed in (1, 2, 3):
            s.add("v", seed, sweeps.ABSENT)
            s.add("base", seed, 1.0, {"train.lr": 1}, current=False)
        s.add("v", 4, sweeps.ABSENT)
        s.add("base", 9, 1.0, stage="tune", current=False)
        s.add("v", 5, DIVERGED)
        folder = s.write()
        sweeps.write_run(folder / "stray", 1.0, 1)
        wanted = [
            "4 runs that the sweep file no longer stands for (--all shows 3)",
            "1 run that plan.jsonl does not have: stray",
            "50 unfinished: base (50)",
            "4 not started: v (4)",
        ]
        for form in ((), ("--markdown",)):
            out = call(folder, *form)[1].replace("\\", "")
            said = [x.split("left out: ")[1] for x in out.splitlines() if "left out: " in x]
            self.assertEqual(said, wanted)
        self.assertEqual(len(json.loads(call(folder, "--json")[1])["left_out"]), 59)

    def test_few_left_out_are_named_and_many_unlike_ones_counted(self):
        s = sweeps.Sweep(self.dir / "unlike", ["base"], range(1, 21))
        for seed in range(1, 21):
            entry = s.add("base", seed, 1.0)
            (s.folder / entry["dir"] / "summary.json").write_text("{" if seed > 3 else "{}")
        _, out, _ = call(s.write(), "--width", 400)
        said = [x.split("left out: ")[1] for x in out.splitlines() if "left out: " in x]
        self.assertEqual(len(said), 13)
        self.assertIn("8 more (--json lists them)", said)
        self.assertEqual(sum(x.startswith("base-s") for x in said), 12)

    def test_small_differences_keep_their_digits(self):
        s = sweeps.Sweep(self.dir / "tiny", ["base", "v"], range(1, 4))
        for seed in range(1, 4):
            s.add("base", seed, 1.0 + seed)
            s.add("v", seed, 1.0 + seed + 1e-6 * (10 + seed))
        _, out, _ = call(s.write(), "--width", 200)
        self.assertIn("  3.0000 ±2.4841  ", out)
        self.assertIn("+0.0000120 [+0.0000095, +0.0000145]", out)


class Provenance(Scratch):
    def test_one_maker(self):
        code, out, _ = call(self.sweep(), "--strict")
        self.assertEqual(code, 0)
        self.assertIn("made by abcdef0; numerics 1; cpu\n", out)

    def test_runs_of_the_first_stage_are_made_by_somebody_too(self):
        tune = {"keys": ["train.lr"], "per": ["variant"]}
        s = sweeps.Sweep(self.dir / "tuned", ["base"], (1, 2, 3), tune=tune)
        for seed in (1, 2, 3):
            s.add("base", seed, 1.0 + seed, made=made())
        s.add("base", 9, 1.0, {"train.lr": 1e-3}, stage="tune", made=made("1234567"))
        s.add("base", 10, 1.0, {"train.lr": 1e-3}, stage="tune", current=False, made=made("7654321"))
        _, out, _ = call(s.write(), "--width", 400)
        self.assertIn("made by abcdef0 (3), 1234567 (1); numerics 1; cpu\n", out)

    def test_other_devices_and_commits(self):
        for i, (v, what) in enumerate(
            (
                (made(device="cuda"), "on another device"),
                (made("1234567"), "by another commit"),
                (made(dirty=True), "by another commit"),
            )
        ):
            folder = self.sweep(f"s{i}", lambda variant, v=v: v if variant == "v" else made())
            code, out, err = call(folder, "--strict", "--width", 200)
            self.assertEqual(code, 1)
            self.assertIn(f"made {what} than the baseline: v", err)
            self.assertIn(f"warning: made {what} than the baseline: v\n", out)
            self.assertEqual(call(folder)[0], 0)
        self.assertIn("abcdef0 (8), abcdef0+ (5)", out.replace("abcdef0 (9)", "abcdef0 (8)"))

    def test_what_is_matched(self):
        s = sweeps.Sweep(self.dir / "m", ["base", "v"], [1, 2, 3])
        for seed in (1, 2, 3):
            s.add(
                "base", seed, 1.0 + seed, params=1000, speed=100.0, plan={"flops_per_token": 10.0}
            )
            s.add("v", seed, 1.1 + seed, params=1004, speed=80.0, plan={"flops_per_token": 12.0})
        found = plumb.compare(s.write())
        self.assertEqual(
            found.matched,
            "matched by train.steps: tokens, parameters (+0.4%); "
            "not matched, at most: FLOPs (+20%), tokens/s (-20%)",
        )
        row = found.rows[1]
        self.assertEqual(
            [round(x, 12) for x in (row.params_change, row.flops_change, row.speed)],
            [0.004, 0.2, 0.8],
        )

    def test_groups_that_wait_for_their_first_stage_are_named(self):
        pending = [
            {
                "variant": "v",
                "group": {"model.layers": 12},
                "runs": 5,
                "tune_runs": 20,
                "tune_ended": 3,
            }
        ]
        found = plumb.compare(self.sweep(pending=pending))
        self.assertIn("v layers=12: waits for its first stage, 3 of 20 runs ended", found.warnings)


class Command(Scratch):
    def test_exit_codes(self):
        folder = self.sweep()
        for code, arguments in (
            (0, [folder]),
            (2, []),
            (2, [folder, "--margin", "-1"]),
            (2, [folder, "--margin", "nan"]),
            (2, [folder, "--by", "model.width"]),
            (2, [folder, "--baseline", "nope"]),
            (2, [folder, "--json", "--csv"]),
            (2, [folder, "--at", "tokens=-1"]),
            (4, [self.dir / "nowhere"]),
            (4, [self.dir]) if not folder.exists() else (0, [str(self.dir / "*")]),
        ):
            with self.subTest(arguments=arguments):
                self.assertEqual(call(*arguments)[0], code)
        (folder / "sweep.json").write_text("{")
        code, _, err = call(folder)
        self.assertEqual((code, err.count("\n")), (4, 1))

    def test_terminal_escapes_in_files_are_shown_and_not_sent(self):
        escape = "\x1b[2J\n"
        names = ["ba" + escape, "v" + escape]
        s = sweeps.Sweep(self.dir / "e", names, [1, 2, 3], hypothesis=escape, keys=["data.path"])
        s.says["tune"] = {"keys": ["train.lr"], "per": ["variant"]}
        for name in names:
            s.add(name, 101, 1.0, {"train.lr": escape}, "tune", plan={"dir": f"t{len(s.plan)}"})
            s.add(name, 4, RUNNING, {"data.path": "x"}, plan={"dir": f"{len(s.plan)}{escape}"})
            for path in (escape, "x"):
                for seed in (1, 2, 3):
                    directory = f"r{len(s.plan)}"
                    s.add(name, seed, 1.0 + seed, {"data.path": path}, plan={"dir": directory})
        folder = s.write()
        for form in ((), ("--markdown",), ("--latex",), ("--csv",), ("--width", 60), ("--json",)):
            code, out, err = call(folder, *form)
            self.assertEqual(code, 0)
            self.assertNotIn("\x1b", out + err, form)
        _, out, _ = call(folder, "--width", 200)
        for part in ("over all points", "first stage", r"left out: 1\x1b[2J\n"):
            self.assertIn(part, out)
        self.assertNotIn("\x1b", call(folder, "--baseline", escape)[2])

    def test_a_reader_that_is_gone_is_no_error(self):
        folder = self.sweep()
        env = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
        command = [sys.executable, "-m", "plumb", "compare", str(folder), "--json"]
        said = subprocess.run(
            ["sh", "-c", '"$@" | true', "sh", *command], env=env, capture_output=True
        )
        self.assertEqual((said.returncode, said.stderr), (0, b""))

    def test_folders_without_a_sweep(self):
        for mixer, shift in (("standard", 0.0), ("mhc", -0.1)):
            for seed in (1, 2, 3):
                path = self.dir / "plain" / f"{mixer}{seed}"
                sweeps.write_run(
                    path, 1.4 + shift + 0.01 * seed * (1 + shift), seed, {"mixer.name": mixer}
                )
        code, out, _ = call(self.dir / "plain", "--width", 200)
        self.assertEqual(code, 0)
        self.assertIn("baseline standard", out)
        self.assertRegex(out, r"mhc +3 .*better")

    def test_a_sweep_file_stands_for_its_folder(self):
        folder = self.sweep("runs/s")
        (self.dir / "s.toml").write_text("[grid]\nmixer = ['a']\n")
        (self.dir / "own.toml").write_text("[sweep]\nout = 'runs/s'\n")
        (self.dir / "later name.toml").write_text("[sweep]\n")
        (self.dir / "big.toml").write_text("[sweep]\n[scale.cpu]\n[scale.gpu]\n")
        self.sweep("runs/big-gpu")
        (self.dir / "plain.toml").write_text("[model]\nlayers = 2\n")
        (self.dir / "broken.toml").write_text("[")
        (folder / "sweep.toml").write_text("[sweep]\nout = 'elsewhere'\n")
        wanted = call(folder)[1]
        with contextlib.chdir(self.dir):
            for file in ("s.toml", "own.toml", "runs/s/sweep.toml"):
                self.assertEqual(call(file), (0, wanted, ""))
            for file, said in (
                ("later name.toml", "type: plumb sweep run 'later name.toml'\n"),
                ("big.toml", "runs/big has no runs of big.toml yet; give runs/big-gpu\n"),
                ("plain.toml", "is no sweep file"),
                ("broken.toml", "is not TOML"),
                ("absent.toml", "no file absent.toml"),
            ):
                code, _, err = call(file)
                self.assertEqual((code, err.count("\n")), (4, 1))
                self.assertIn(said, err)

    def test_interrupted(self):
        with (
            mock.patch("plumb.comparison.cli.run", side_effect=KeyboardInterrupt),
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            self.assertEqual(cli.main(["compare", str(self.dir)]), 130)
        self.assertEqual(err.getvalue(), "plumb compare: interrupted\n")

    def test_no_such_command(self):
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(cli.main(["compar"]), 2)
        self.assertIn("there are compare, figures", err.getvalue())


class Coverage(unittest.TestCase):
    """A few sweeps of what scripts/coverage_test counts in thousands: bands of that many."""

    def test_short(self):
        loader = importlib.machinery.SourceFileLoader(
            "coverage_test", str(SCRIPTS / "coverage_test")
        )
        module = importlib.util.module_from_spec(
            importlib.util.spec_from_loader("coverage_test", loader)
        )
        loader.exec_module(module)
        with contextlib.redirect_stdout(io.StringIO()):
            figures = module.run(["intervals", "equivalence", "looks", "multiplier", "nested"], 12)
        found = {what: x for what, x, _, _ in figures}
        self.assertEqual(len(found), 26)
        for what, x in found.items():
            with self.subTest(what):
                if what.startswith("coverage, n"):
                    self.assertGreater(x, 0.80)  # of 72
                elif what.startswith("coverage of"):
                    self.assertGreater(x, 0.6)  # of 12
                elif what.startswith("bias"):
                    self.assertLess(abs(x), 0.004)
                else:
                    self.assertLess(x, 0.4)


if __name__ == "__main__":
    unittest.main()
