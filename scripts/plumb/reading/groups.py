"""Runs grouped into variants: two runs are seeds of one variant when their whole configs agree, but
for the seeds and for what does not change a trained number. A variant's label is its mixer and the
keys in which variants differ, or the label that it was given.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from . import measures, program
from .files import InputError, UsageError, printable
from .run import SEEDS, find_runs, try_load

# Keys that change no trained number (how often things are written, and names) of older runs: the
# others say it themselves, in manifest.json.
UNTRAINED = re.compile(r"record\.\w+|label|train\.(log_every|checkpoint_every|keep_\w+|threads)")
# Keys younger than the oldest runs: there, an absent one has this value.
SINCE = {"mixer.freeze": ([], ""), "mixer.lr_scale": (1, 1.0), "train.eval_sequences": ()}


def less_seed(start, seed):
    """`runs/a-s3@500` with * for the seed: the last number of this value, but for the step's."""
    run, at, step = str(start).rpartition("@") if "@" in str(start) else (str(start), "", "")
    return re.sub(rf"(?<!\d){seed}(?!\d)(?!.*(?<!\d){seed}(?!\d))", "*", run) + at + step


def trains(run, key):
    """Whether trained numbers depend on this setting. The tokens stand for data.path."""
    if run.keeps_numbers is None:
        return key != "data.path" and not UNTRAINED.fullmatch(key)
    return key != "data.path" and key not in run.keeps_numbers


def identity(run):
    """{key: value} of what makes a run's numbers, its seeds apart; `data` is the fingerprint of the
    tokens where it is known, else their path.
    """
    found = {
        k: v
        for k, v in run.config.items()
        if not SEEDS.fullmatch(k) and trains(run, k) and v not in SINCE.get(k, ())
    }
    found["mixer.name"] = run.mixer
    if found.get("train.init_from"):  # seed 3 of this from seed 3 of that
        found["train.init_from"] = less_seed(found["train.init_from"], run.seed)
    if run.config.get("data.path"):
        found["data"] = run.data or run.config["data.path"]
    return {k: str(v) for k, v in found.items()}


def pair_key(run):
    return run.pair_key


@dataclass
class Variant:
    label: str
    settings: dict  # identity()
    runs: list = field(default_factory=list)  # finished, by seed
    left_out: list = field(default_factory=list)  # the others

    @property
    def mixer(self):
        return self.settings["mixer.name"]

    @property
    def seeds(self):
        return {pair_key(r): r for r in self.runs}


@dataclass
class Experiment:
    variants: dict  # label -> Variant
    baselines: dict  # label -> label of what it is compared with; absent: nothing
    title: str = ""
    damaged: list = field(default_factory=list)  # runs of which not even the variant is known

    @property
    def groups(self):
        """label -> finished runs, of the variants that have some."""
        return {k: v.runs for k, v in self.variants.items() if v.runs}

    @property
    def runs(self):
        return [run for v in self.variants.values() for run in v.runs]

    def left_out(self):
        """A line for every run that no panel shows, and why."""
        runs = [r for v in self.variants.values() for r in v.left_out] + self.damaged
        return [printable(f"{r.path}: {r.why}") for r in runs]

    def has(self, baseline):
        """A variant of this label, or of this mixer, is here."""
        return any(baseline in (v.label, v.mixer) for v in self.variants.values())

    def without(self, pattern):
        """The same less the variants whose label matches."""
        kept = {k: v for k, v in self.variants.items() if not pattern.search(k)}
        return Experiment(kept, self.baselines, self.title, self.damaged)

    def baseline_of(self, label):
        """Label of the variant that `label` is compared with, when both have finished runs."""
        base = self.baselines.get(label)
        return base if base in self.groups and label in self.groups else None


def shown_value(key, value, runs):
    if key == "data":  # a fingerprint says nothing to a reader; the folder's name does
        return Path(str(runs[0].config.get("data.path", value))).name or value
    return re.sub(r"""[\s"']""", "", value)


def name_of(key, keys):
    """The last word of a dotted key, or all of it where another key ends in the same word."""
    last = key.rsplit(".", 1)[-1]
    return last if sum(k.rsplit(".", 1)[-1] == last for k in keys) == 1 else key


def varied_keys(among):
    """{mixer: keys in which these settings differ}; keys of a mixer within that mixer."""

    def varied(settings, of_mixer):
        keys = {k for s in settings for k in s if k.startswith("mixer.") == of_mixer}
        return {k for k in keys - {"mixer.name"} if len({s.get(k) for s in settings}) > 1}

    mixers = {}
    for settings in among:
        mixers.setdefault(settings["mixer.name"], []).append(settings)
    common = varied(among, False)
    return {mixer: common | varied(settings, True) for mixer, settings in mixers.items()}


def differences(settings, runs, varied, name=name_of):
    """`key=value` of every key that is in `varied`. name(key, keys): how a key is called."""
    keys = sorted(k for k in settings if k in varied)
    return [f"{name(k, keys)}={shown_value(k, settings[k], runs)}" for k in keys]


def make_variants(runs):
    """[Variant] with distinct labels. A given label is honoured; where unlike runs were given the
    same one, the differing keys follow it.
    """
    found = {}
    for run in runs:
        settings = identity(run)
        found.setdefault((run.given_label, tuple(sorted(settings.items()))), []).append(run)
    varied = varied_keys([dict(settings) for _, settings in found])
    variants = []
    for (given, settings), group in found.items():
        settings = dict(settings)
        words = differences(settings, group, varied[settings["mixer.name"]])
        label = given or printable(" ".join([settings["mixer.name"], *words]))
        variants.append(Variant(label, settings, group))
    for label, n in Counter(v.label for v in variants).items():
        same = [v for v in variants if v.label == label]
        varied = varied_keys([v.settings for v in same]) if n > 1 else {}
        for v in same if n > 1 else ():
            words = differences(v.settings, v.runs, varied[v.mixer], lambda key, _: key)
            v.label = printable(" ".join([label, *words]))
    for v in variants:  # two labels may still meet, e.g. where only absent keys differ
        twins = [w for w in variants if w.label == v.label]
        for i, twin in enumerate(twins[1:], 2):
            twin.label += f" ({i})"
    return variants


def check_seeds(variant):
    seen = {}
    for run in variant.runs:
        if pair_key(run) in seen:
            raise UsageError(
                printable(
                    f"two runs are '{variant.label}' with seed {run.seed}: "
                    f"{seen[pair_key(run)]} and {run.path}; leave one out"
                )
            )
        seen[pair_key(run)] = run.path


def check_depths(variant):
    depths = {r.n_sublayers for r in variant.runs if r.n_sublayers}
    if len(depths) > 1:
        raise UsageError(
            f"runs of '{variant.label}' were probed at {sorted(depths)} sublayers; leave some out"
        )


def elsewhere(settings):
    """Settings other than the mixer's, by which a variant finds its baseline."""
    return frozenset((k, v) for k, v in settings.items() if not k.startswith("mixer."))


def same_task(a, b):
    """Losses can be compared: the same tokens and the same task."""
    data = [{k: v for k, v in s.items() if k.split(".")[0] == "data"} for s in (a, b)]
    return data[0] == data[1]


def find_baselines(variants, wanted):
    """{label: baseline's label}. `wanted` is a label, or a mixer: then each variant is compared
    with that mixer's at the same other settings, or with its only one on the same data.
    """
    exact = [v for v in variants if v.label == wanted]
    plain = [v for v in variants if v.mixer == wanted]
    places = {}
    for b in plain:
        places.setdefault(elsewhere(b.settings), []).append(b)
    found = {}
    for v in variants:
        choice = exact or places.get(elsewhere(v.settings)) or plain
        if len(choice) == 1 and choice[0] is not v and same_task(choice[0].settings, v.settings):
            if not (v.mixer == wanted and not exact):
                found[v.label] = choice[0].label
    return found


def in_order(variants):
    """As the program lists the mixers; those it does not know, or all without one, by name."""
    rank = program.mixer_rank()
    return sorted(
        variants, key=lambda v: (rank.get(v.mixer, len(rank)), v.label != v.mixer, v.label)
    )


def group(runs, baseline="standard", title=""):
    """An Experiment of runs, mixers in their order. Runs that are not finished are kept apart, with
    the reason.
    """
    variants = in_order(make_variants([r for r in runs if r.mixer]))
    for v in variants:
        v.left_out = [r for r in v.runs if r.status != "finished"]
        v.runs = sorted((r for r in v.runs if r.status == "finished"), key=pair_key)
        check_seeds(v)
    baselines = find_baselines(variants, baseline)
    damaged = [r for r in runs if not r.mixer]
    return Experiment({v.label: v for v in variants}, baselines, printable(title), damaged)


def load(paths, baseline="standard", title="", say=lambda line: None):
    """Reads all runs, whole, and groups them. say: told what is done."""
    folders = list(dict.fromkeys(f.resolve() for p in paths for f in find_runs(Path(p))))
    say(f"reading {len(folders)} run{'s' if len(folders) != 1 else ''}")
    runs = [try_load(f) for f in folders]
    if all(not r.mixer for r in runs):
        raise InputError(runs[0].why)
    measures.learn(folders)
    experiment = group(runs, baseline, title)
    for v in experiment.variants.values():
        check_depths(v)
    return experiment
