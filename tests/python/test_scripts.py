"""What scripts/ say of themselves."""

import pathlib
import subprocess
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


class Help(unittest.TestCase):
    def test_help_prints_the_comment_at_the_top_and_does_nothing(self):
        asked = 0
        for script in sorted(p for p in SCRIPTS.iterdir() if p.is_file()):
            text = script.read_text()
            if '. "$(dirname "$0")/lib.sh"' not in text or not text.startswith("#!"):
                continue
            comment = []
            for line in text.splitlines()[1:]:
                if not line.startswith("#"):
                    break
                comment.append(line.removeprefix("#").removeprefix(" "))
            command = [script, "--help"]
            done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=30)
            with self.subTest(script.name):
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.splitlines(), comment)
            asked += 1
        self.assertGreater(asked, 10)


if __name__ == "__main__":
    unittest.main()
