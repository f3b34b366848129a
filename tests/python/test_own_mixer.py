"""src/mixers/README.md adds a mixer: done to a copy of the sources as it says, word for word, the
mixer is in every command that the page names.

Compiles the files that the page changes and links them with the objects of build/release.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
PAGE = ROOT / "src/mixers/README.md"
# What each command must show of the mixer.
SHOWS = {
    "list": "2 softmax",
    "check": "laurel +bounded=false +gradients .* PASS",
    "train": "mixer: laurel",
    "bench": "^laurel ",
    "generate": r"^3 7 1 4 \|( \d+){8}$",
    "matrix": "mixer: laurel",
    "figures": "^laurel ",
}


def edits(page):
    """(file, the line it goes above or None for a new file, text)."""
    return re.findall(
        r"\*\*(src/[\w/.]+)\*\*(?:, above `([^`]+)`)?:\n\n```cpp\n(.*?)```", page, re.DOTALL
    )


def commands(page):
    [block] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return [line.split() if '"' not in line else shlex.split(line) for line in block.splitlines()]


def apply(edit, scratch):
    name, above, text = edit
    if not above:
        (scratch / name).write_text(text)
        return
    lines = (scratch / name).read_text().splitlines(keepends=True)
    [at] = [i for i, line in enumerate(lines) if line.strip() == above]
    (scratch / name).write_text("".join([*lines[:at], text, *lines[at:]]))


def ninja(target):
    said = subprocess.run(
        ["ninja", "-t", "commands", target], cwd=BUILD, check=True, capture_output=True, text=True
    )
    return said.stdout.splitlines()


def compile_and_link(sources, scratch):
    """CMake's commands with the copy's sources: changed ones anew, the rest from the library."""
    like = "CMakeFiles/plumb_everywhere.dir/src/mixers/mixers.cpp.o"
    command = re.sub(r"-M[DTF]+( \S+\.(o|d))?", "", ninja(like)[-1])
    objects = []
    for source in sources:
        objects.append(f"{scratch}/{pathlib.Path(source).name}.o")
        words = command.replace(like, objects[-1]).replace("src/mixers/mixers.cpp", source)
        words = words.replace(f"{ROOT}/src", f"{scratch}/src")
        subprocess.run(words, shell=True, cwd=BUILD, check=True)
    [link] = [line for line in ninja("plumb") if " -o plumb " in line]
    program = scratch / "build/release/plumb"
    program.parent.mkdir(parents=True)
    link = link.replace(" -o plumb ", f" -o {program} {' '.join(objects)} ")
    subprocess.run(link, shell=True, cwd=BUILD, check=True)
    return program


@unittest.skipUnless((BUILD / "plumb").exists(), f"{BUILD / 'plumb'} is not built")
class OwnMixer(unittest.TestCase):
    def test_the_page_does_what_it_says(self):
        page = PAGE.read_text()
        with tempfile.TemporaryDirectory() as folder:
            scratch = pathlib.Path(folder)
            shutil.copytree(ROOT / "src", scratch / "src")
            (scratch / "scripts").symlink_to(ROOT / "scripts")
            for edit in edits(page):
                apply(edit, scratch)
            [own] = [text for name, above, text in edits(page) if not above]
            code = [x for x in own.splitlines() if x.strip() and not x.lstrip().startswith("//")]
            self.assertLessEqual(len(code), 40)
            program = compile_and_link(
                [name for name, _, _ in edits(page) if name.endswith(".cpp")], scratch
            )
            [build, *rest] = commands(page)
            self.assertEqual(build[0], "cmake")
            self.assertEqual([c[1] for c in rest if "laurel" in " ".join(c)], list(SHOWS))
            for command in rest:
                said = subprocess.run(
                    [program, *command[1:]], cwd=scratch, capture_output=True, text=True,
                    env={**os.environ, "PLUMB_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
                )
                self.assertEqual(said.returncode, 0, f"{command}: {said.stdout}{said.stderr}")
                if "laurel" in " ".join(command):
                    self.assertRegex(said.stdout, re.compile(SHOWS[command[1]], re.MULTILINE))
            table = (scratch / "runs/figures/results.csv").read_text()
            self.assertIn("laurel", table)


if __name__ == "__main__":
    unittest.main()
