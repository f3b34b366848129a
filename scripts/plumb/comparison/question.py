"""What is asked of the runs: the outcome, the baseline, the smallest difference that matters, and
when results were to be looked at.
"""

import re
from dataclasses import dataclass, field

from ..reading import measures
from ..reading.files import UsageError, printable


@dataclass(frozen=True)
class Question:
    metric: str
    baseline: str
    margin: float = 0.0  # 0: not declared
    looks: tuple = ()  # numbers of seeds at which results are tested; (): not declared
    at: tuple | None = None  # ("tokens" | "time" | "flops", how much): the curve there
    exploratory: bool = False  # another metric than the declared one
    notes: tuple = field(default=())

    @property
    def alpha(self):
        """Of one look: what all looks may cost together, shared evenly."""
        return 0.05 / max(1, len(self.looks))

    @property
    def level(self):
        return 1 - self.alpha

    @property
    def name(self):
        if self.at:
            return f"{self.measure.name} at {self.at[1]:g} {AT_UNITS[self.at[0]]}"
        return self.measure.name

    @property
    def measure(self):
        return measures.describe("val/loss" if self.at else self.metric)

    @property
    def unit(self):
        return self.measure.unit

    @property
    def less_is_better(self):
        """Of a number that nobody described, too: ask() lets only losses be that."""
        return self.measure.less_is_better is not False


LOSS = re.compile(r"\w+_(loss|bpb)")
AT_UNITS = {"tokens": "tokens", "time": "s of training", "flops": "FLOPs"}


def parse_at(text):
    """`tokens=1e6` -> ("tokens", 1e6)."""
    kind, _, amount = str(text).partition("=")
    try:
        value = float(amount)
    except ValueError:
        value = 0.0
    if kind not in AT_UNITS or not 0 < value < float("inf"):
        raise UsageError(
            printable(f"--at {text}: type tokens=N, time=SECONDS or flops=N, with a number above 0")
        )
    return kind, value


def has_test_split(runs):
    """Every run that counts has a loss on data that chose nothing."""
    finished = [r for r in runs if r.status == "finished"]
    return bool(finished) and all(r.number("final_test_loss") > 0 for r in finished)


def ask(runs, baseline=None, metric=None, margin=None, looks=None, at=None):
    """The Question that the sweep file declared, as far as the arguments do not ask another one."""
    sweep, notes = runs.sweep, []
    declared = sweep.metric if sweep else (metric or "final_val_loss")
    if sweep and sweep.tune and declared == "final_val_loss" and has_test_split(runs):
        declared = "final_test_loss"
        notes.append(
            "the learning rates were chosen on the validation split: this is the test split"
        )
    at = parse_at(at) if isinstance(at, str) else at
    chosen = metric or declared
    if margin is None:
        margin = sweep.margin if sweep and chosen == declared and not at else 0.0
    if not 0 <= margin < float("inf"):
        raise UsageError("--margin is a distance: a number that is not below 0")
    known = {k for r in runs for k in r.summary} | {"tok_per_s"}
    if len(runs) and chosen not in known:
        names = sorted(k for k in known if k.startswith(("final_", "last_", "best_", "tok_")))
        raise UsageError(printable(f"--metric {chosen}: the runs have {', '.join(names)}"))
    measures.learn([r.path for r in runs])
    if measures.describe(chosen).less_is_better is None and not LOSS.fullmatch(chosen):
        raise UsageError(
            printable(f"--metric {chosen}: neither the runs nor a program here (PLUMB=plumb) says "
                      "whether less of it is better")
        )  # fmt: skip
    if looks is None:
        looks = sweep.looks if sweep else ()
    return Question(
        chosen,
        baseline or (sweep.baseline if sweep else "standard"),
        float(margin),
        tuple(sorted(set(looks))),
        at,
        bool(at) or (sweep is not None and chosen not in (declared, sweep.metric)),
        tuple(notes),
    )
