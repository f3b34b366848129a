"""`python -m plumb COMMAND ...`: the part of the program `plumb` that is written in Python."""

import importlib
import sys

COMMANDS = {  # each has main(arguments, prog) -> exit code
    "compare": "comparison.cli",
    "figures": "figures.cli",
    "report": "report.cli",
}


def main(argv=None):
    words = sys.argv[1:] if argv is None else list(argv)
    command = words[0] if words else ""
    if command not in COMMANDS:
        print(f"plumb: no command '{command}'; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f".{COMMANDS[command]}", __package__)
    try:
        return module.main(words[1:], prog=f"plumb {command}")
    except KeyboardInterrupt:
        print(f"plumb {command}: interrupted", file=sys.stderr)
        return 130
