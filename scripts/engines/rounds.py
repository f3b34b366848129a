"""What the Python engines share: the runs that are left, until none is."""

import os
import shlex
import subprocess
import sys

PLUMB, SWEEP = os.environ.get("PLUMB", "plumb"), os.environ.get("SWEEP")


def commands_left():
    """A list of words for each run that has not ended."""
    if not SWEEP:
        sys.exit(f"name the sweep file: SWEEP=blocks.toml python3 {sys.argv[0]}")
    listed = subprocess.run([PLUMB, "sweep", "commands", SWEEP, "--todo"], stdout=subprocess.PIPE)
    if listed.returncode:
        sys.exit(listed.returncode)
    return [shlex.split(line, comments=True) for line in listed.stdout.decode().splitlines()]


def in_rounds(run_all):
    """Calls run_all(commands) until none is left; exit 1 after a round that gained nothing.

    A second round makes what the results of the first decide ([tune]).
    """
    before, left = None, commands_left()
    while left and left != before:
        run_all(left)
        before, left = left, commands_left()
    if left:
        sys.exit(f"{len(left)} runs are left: failed, or at work elsewhere; type: "
                 f"{PLUMB} sweep status {SWEEP} --failed")
