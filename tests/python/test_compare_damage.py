"""plumb compare of sweeps whose files are damaged. Run: python3 -m unittest -v (here)."""

import json
import random
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import sweeps  # noqa: E402
from compare_case import call, made  # noqa: E402


def places(value, above=()):
    """Where the values of a JSON object are, of lists the first alone."""
    inside = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inside = [*enumerate(value)][:1]
    for key, x in inside:
        yield (*above, key)
        yield from places(x, (*above, key))


class Damaged(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    PIECES = (b"", b"\xff", b"1e999", b"[]", b"null", b'"x"', b"{", b"}", b"-1", b"NaN", b"\n",
              b"9" * 400, b"[" * 3000, b"\x00", b"true", b'{"a":1}', b":", b",")  # fmt: skip

    ODD = (None, -1, 0.5, "x\x1b[2J", [], {}, True, 1e400, 10**400, [1], [None], {"a": 1}, 1e308)

    def whole_sweep(self):
        s = sweeps.Sweep(self.dir / "whole", ["base", "v"], [1, 2, 3], keys=["model.layers"])
        s.says["tune"] = {
            "keys": ["train.lr"],
            "values": {"train.lr": [1]},
            "seeds": [9],
            "per": ["variant"],
            "winners": [
                {
                    "variant": "v",
                    "group": {},
                    "chosen": {"train.lr": 1},
                    "edge": "largest",
                    "key": "train.lr",
                }
            ],
        }
        s.says["pending"] = [
            {"variant": "v", "group": {}, "runs": 1, "tune_runs": 2, "tune_ended": 1}
        ]
        for i, v in enumerate(["base", "v"]):
            s.add(v, 9, 1.0, {"train.lr": 1}, "tune")
            for layers in (2, 4, 8, 16):
                for seed in (1, 2, 3):
                    s.add(
                        v,
                        seed,
                        2.0 - 0.01 * layers - 0.1 * i + 0.001 * seed * (1 + i),
                        {"model.layers": layers, "train.lr": 1},
                        made=made(),
                        curve=[(10.0, 3.0), (100.0, 1.5)],
                        plan={"flops_per_token": layers * 9.0},
                    )
        s.write()
        return s

    def test_every_value_of_another_kind(self):
        """Each value of a sweep's files becomes each of a list of odd ones."""
        s = self.whole_sweep()
        last = s.folder / s.plan[-1]["dir"]
        files = [
            s.folder / "sweep.json",
            s.folder / "plan.jsonl",
            last / "summary.json",
            last / "manifest.json",
        ]
        codes = set()
        for path in files:
            whole = path.read_text()
            *before, line = whole.strip().splitlines()
            for where in places(json.loads(line)):
                for odd in self.ODD:
                    found = json.loads(line)
                    within = found
                    for key in where[:-1]:
                        within = within[key]
                    within[where[-1]] = odd
                    path.write_text("\n".join([*before, json.dumps(found), ""]))
                    with self.subTest(file=path.name, where=where, odd=odd):
                        code, out, err = call(s.folder, "--markdown")
                        self.assertEqual(err.count("\n"), {0: 0, 2: 1, 4: 1}[code], err)
                        self.assertNotIn("\x1b", out + err)
                        codes.add((path.name, code))
            path.write_text(whole)
        self.assertTrue({("sweep.json", 4), ("sweep.json", 0), ("plan.jsonl", 0)} <= codes)

    def test_200_mutations(self):
        """A sweep with one file damaged is compared, or refused in one line."""
        s = self.whole_sweep()
        run = sorted(p for p in s.folder.iterdir() if p.name.startswith("v-s2"))[0].name
        names = [
            "sweep.json",
            "plan.jsonl",
            *(
                f"{run}/{n}"
                for n in ("summary.json", "STATUS", "config.toml", "manifest.json", "metrics.jsonl")
            ),
        ]
        rng, seen = random.Random(3), set()
        for _ in range(200):
            name = rng.choice(names)
            path = s.folder / name
            whole = path.read_bytes()
            blob = bytearray(whole)
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(len(blob) + 1)
                blob[at : at + rng.randint(0, 6)] = rng.choice(self.PIECES)
            path.write_bytes(blob)
            with self.subTest(name=name, blob=bytes(blob[:200])):
                code, out, err = call(s.folder, rng.choice(["--json", "--csv", "--latex", "-q"]))
                self.assertIn(code, (0, 2, 4))
                self.assertEqual(err.count("\n"), 0 if code == 0 else 1, err)
                self.assertTrue(out if code == 0 else not out)
                seen.add((code, name.rsplit("/")[-1]))
            path.write_bytes(whole)
        self.assertTrue({(4, "sweep.json"), (4, "plan.jsonl"), (0, "summary.json")} <= seen)


if __name__ == "__main__":
    unittest.main()
