"""Times Plumb and its peers on one shape, mixer and precision, in turns. Standard library only."""

import json
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# name: (module, mode)
CONTENDERS = {"eager": ("torch", "eager"), "compile": ("torch", "compile"), "jax": ("jax", "jit")}
TWO_FORMS = ["denseformer", "hyper", "mhc", "attnres", "attnres_block"]


def say(text):
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


class Failed(Exception):
    """What a contender's row says instead of a figure."""


class Contender:
    """A running contender.py; start() and turn() answer with its JSON or raise Failed."""

    def __init__(self, python, name, form, mixer, shape, precision, threads, limit):
        module, mode = CONTENDERS[name]
        self.name, self.form, self.limit = name, form, limit
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, "-B", str(HERE / "contender.py"), module, mode, mixer, shape, precision, form,
             str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        self.answers = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        self.seconds, self.row = [], {}

    def listen(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def answer(self, doing):
        try:
            line = self.answers.get(timeout=self.limit)
        except queue.Empty:
            self.stop()
            raise Failed(f"timed out {doing} ({self.limit:g} s)") from None
        if not line:
            self.process.wait()
            self.log.seek(0)
            last = (self.log.read().strip().splitlines() or ["no message"])[-1]
            raise Failed(f"failed {doing}: {last}")
        return json.loads(line)

    def start(self):
        return self.answer("starting")

    def turn(self, steps):
        try:
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() says what its log says
        return self.answer("in its turn")

    def stop(self):
        self.process.kill()
        self.process.wait()


def plumb_tokens_per_s(plumb, mixer, shape, precision, threads, rounds, steps):
    """Plumb's tokens/s by `plumb bench`, against itself: nothing else runs. Raises Failed."""
    shape, _, vocab = shape.partition("/")
    command = [str(plumb), "bench", "--mixers", mixer, "--against", mixer, "--shape", shape,
               "--precision", {"float": "fp32"}.get(precision, precision), "--threads",
               str(threads), "--rounds", str(rounds), "--steps", str(steps), "--json"]  # fmt: skip
    command += ["--vocab", vocab] if vocab else []
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as e:
        raise Failed(f"{plumb}: {e.strerror}; build it, or name it with --plumb") from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    return json.loads(done.stdout)["compare"][0]["mixers"][0]["tokens_per_s"]


def forms(form, mixer):
    """The other mixers have no sum over sources to write."""
    if mixer not in TWO_FORMS:
        return ["stack"]
    return ["stack", "loop"] if form == "both" else [form]


def start_all(o, python, shape, mixer, precision, machine):
    """(contenders that are ready, rows of those that failed)."""
    ready, rows = [], []
    for name in o.contenders:
        for form in forms(o.form, mixer):
            c = Contender(python, name, form, mixer, shape, precision, o.threads, o.limit)
            try:
                hello = c.start()
            except Failed as e:
                say(f"  {name} ({form}): {e}")
                rows.append({"contender": name, "form": form, "note": str(e)})
                continue
            say(f"  {name} ({form}) ready after {hello['ready_s']:.0f} s")
            machine["versions"].update(hello["versions"])
            c.row["ready_s"] = hello["ready_s"]
            ready.append(c)
    return ready, rows


def take_turns(ready, o):
    for _ in range(o.rounds):
        for c in ready:
            if "note" in c.row:
                continue
            try:
                got = c.turn(o.steps)
            except Failed as e:
                c.row["note"] = str(e)
                continue
            c.seconds += got["seconds"]
            c.row["peak_mb"], c.row["loss"] = got["peak_mb"], got["loss"]


def figures(c, tokens):
    """The row of one contender: median and quartiles of its steps."""
    row = {"contender": c.name, "form": c.form, **c.row}
    if c.seconds:
        low, median, high = (
            statistics.quantiles(c.seconds, n=4, method="inclusive")
            if len(c.seconds) > 1
            else c.seconds * 3
        )
        row.update(step_ms=1e3 * median, step_ms_q1=1e3 * low, step_ms_q3=1e3 * high,
                   n_steps=len(c.seconds), tokens_per_s=tokens / median)  # fmt: skip
    return row


def plumb_row(o, shape, mixer, precision, before):
    """Mean of the measurements before and after; `drift` is the second over the first, less 1."""
    row = {"contender": "plumb", "form": ""}
    try:
        after = plumb_tokens_per_s(
            o.plumb, mixer, shape, precision, o.threads, o.rounds, o.steps
        )
        if isinstance(before, Failed):
            raise before
        row.update(tokens_per_s=(before + after) / 2, drift=after / before - 1)
    except Failed as e:
        row["note"] = str(e)
    return row


def race(o, python, shape, mixer, precision, machine):
    """Rows of one shape, mixer and precision, Plumb's first."""
    say(f"{shape} {mixer} {precision}")
    try:
        before = plumb_tokens_per_s(
            o.plumb, mixer, shape, precision, o.threads, o.rounds, o.steps
        )
    except Failed as e:
        say(f"  plumb: {e}")
        before = e
    ready, rows = start_all(o, python, shape, mixer, precision, machine)
    try:
        take_turns(ready, o)
    finally:
        for c in ready:
            c.stop()
    tokens = tokens_of(shape)
    rows = [figures(c, tokens) for c in ready] + rows
    rows.insert(0, plumb_row(o, shape, mixer, precision, before))
    for row in rows:
        if "tokens_per_s" in row:
            say(f"  {row['contender']} {row['form']}: {row['tokens_per_s']:.0f} tokens/s")
    return [{"shape": shape, "mixer": mixer, "precision": precision, **row} for row in rows]


def tokens_of(shape):
    """Tokens of a step."""
    shape = shape.partition("/")[0]
    batch = {"a": 8, "b": 8, "c": 16}.get(shape)
    if batch:
        return batch * 256
    context, batch = shape.split("x")[2:]
    return int(context) * int(batch)
