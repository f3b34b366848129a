"""The fixtures: their configurations and inputs."""

import math
import zlib

import numpy as np
import torch

import model
from base import Normal, Uniform, n_sublayers

VOCAB, BATCH = 7, 2
SIZES = {"model.layers": "3", "model.width": "8", "model.heads": "2", "model.head_dim": "4",
         "model.mlp_hidden": "12", "model.context": "5"}

# name: overrides on top of SIZES. A visible norm_eps shows an eps that is left out or misplaced.
EPS = "model.norm_eps=0.01"
FIXTURES = {
    "standard": [],
    "standard_gelu_untied_qknorm_gqa": ["model.mlp=gelu", "model.tied_head=false",
                                        "model.qk_norm=true", "model.kv_heads=1",
                                        "model.rope_base=100", EPS],
    "standard_nope": ["attn.rope=none", EPS],
    "standard_value_residual": ["attn.value_residual=true", "model.kv_heads=1"],
    "highway_scalar": ["mixer=highway", "mixer.gate=scalar", EPS],
    "highway_scalar_raw": ["mixer=highway", "mixer.gate=scalar", "mixer.gate_input=raw"],
    "highway_vector": ["model.width=4", "mixer=highway", "mixer.gate=vector"],
    "highway_static": ["mixer=highway", "mixer.gate=static"],
    "denseformer": ["mixer=denseformer"],
    "denseformer_dilation2": ["model.layers=4", "mixer=denseformer", "mixer.dilation=2"],
    "denseformer_dilation2_period2": ["model.layers=4", "mixer=denseformer", "mixer.dilation=2",
                                      "mixer.period=2"],
    "hyper_static": ["mixer=hyper", "mixer.dynamic=false"],
    "hyper_dynamic": ["mixer=hyper", "mixer.dynamic=true", "mixer.streams=3", EPS],
    # fewer layers or channels where mixer weights would make the file large
    "mhc_mean": ["model.width=4", "mixer=mhc", "mixer.streams=4", "mixer.reduction=mean", EPS],
    "mhc_sum": ["mixer=mhc", "mixer.streams=2", "mixer.reduction=sum"],
    "mhc_learned": ["model.layers=2", "mixer=mhc", "mixer.streams=3",
                    "mixer.reduction=learned", EPS],
    "attnres": ["mixer=attnres", EPS],
    "attnres_no_key_gain": ["mixer=attnres", "mixer.key_gain=false"],
    "attnres_block_size4": ["mixer=attnres_block", "mixer.block_size=4", EPS],
    "attnres_block_size2": ["mixer=attnres_block", "mixer.block_size=2"],
    "attnres_block_size1": ["mixer=attnres_block", "mixer.block_size=1"],
    "attnres_block_n2": ["mixer=attnres_block", "mixer.n_blocks=2"],
    # the other settings that the mixer table is tested with
    "highway_depth": ["mixer=highway", "mixer.gate_bias=depth"],
    "denseformer_period2": ["model.layers=4", "mixer=denseformer", "mixer.period=2"],
    "hyper_static_streams2": ["mixer=hyper", "mixer.dynamic=false", "mixer.streams=2"],
    "hyper_streams1": ["mixer=hyper", "mixer.streams=1", EPS],
    "mhc_streams3": ["model.width=4", "mixer=mhc", "mixer.streams=3", EPS],
    "mhc_learned_streams2_zero": ["mixer=mhc", "mixer.streams=2", "mixer.reduction=learned",
                                  "mixer.bias_init=zero"],
    "mhc_sum_one_hot_iters5": ["model.layers=2", "model.width=4", "mixer=mhc",
                               "mixer.reduction=sum", "mixer.bias_init=one_hot",
                               "mixer.sinkhorn_iters=5", EPS],
    "mhc_streams1": ["mixer=mhc", "mixer.streams=1"],
    "rezero": ["mixer=rezero"],
    "layerscale": ["model.width=4", "mixer=layerscale", EPS],
    "deepnorm": ["mixer=deepnorm", EPS],
    "deepnorm_alpha": ["mixer=deepnorm", "mixer.alpha=2.5"],
    "static_mix_raw": ["mixer=static_mix", "mixer.weights=raw", EPS],
    "static_mix": ["mixer=static_mix"],
    "attnres_sigmoid": ["mixer=attnres", "mixer.weights=sigmoid", EPS],
    "attnres_sigmoid_norm": ["mixer=attnres", "mixer.weights=sigmoid_norm"],
    "attnres_window2": ["mixer=attnres", "mixer.window=2", EPS],
    "attnres_heads2": ["mixer=attnres", "mixer.heads=2", EPS],
    "attnres_heads2_head_norm": ["mixer=attnres", "mixer.heads=2", "mixer.head_norm=head", EPS],
    "attnres_no_key_norm": ["mixer=attnres", "mixer.key_norm=false"],
    "attnres_query_input": ["mixer=attnres", "mixer.query=input", EPS],
    "attnres_query_none": ["mixer=attnres", "mixer.query=none"],
    "attnres_all_options": ["mixer=attnres", "mixer.query=input", "mixer.heads=2", "mixer.window=3",
                            "mixer.head_norm=head", "mixer.weights=sigmoid_norm",
                            "mixer.key_gain=false", EPS],
    "attnres_block_sigmoid": ["mixer=attnres_block", "mixer.block_size=2",
                              "mixer.weights=sigmoid", EPS],
    "attnres_block_sigmoid_norm": ["mixer=attnres_block", "mixer.block_size=4",
                                   "mixer.weights=sigmoid_norm"],
    "attnres_block_heads2": ["mixer=attnres_block", "mixer.block_size=2", "mixer.heads=2", EPS],
    "attnres_block_heads2_head_norm": ["mixer=attnres_block", "mixer.block_size=4",
                                       "mixer.heads=2", "mixer.head_norm=head", EPS],
    "attnres_block_no_key_norm": ["mixer=attnres_block", "mixer.block_size=2",
                                  "mixer.key_norm=false"],
    "attnres_block_query_input": ["mixer=attnres_block", "mixer.block_size=2",
                                  "mixer.query=input", EPS],
    "attnres_block_query_none": ["mixer=attnres_block", "mixer.block_size=2", "mixer.query=none"],
    "mhc_lite_streams3": ["model.width=4", "mixer=mhc_lite", "mixer.streams=3", EPS],
    "mhc_lite_learned_streams2_zero": ["mixer=mhc_lite", "mixer.streams=2",
                                       "mixer.reduction=learned", "mixer.bias_init=zero", EPS],
    "mhc_lite_sum_one_hot": ["model.layers=2", "model.width=4", "mixer=mhc_lite",
                             "mixer.reduction=sum", "mixer.bias_init=one_hot"],
    "mhc_lite_sum_streams2": ["mixer=mhc_lite", "mixer.streams=2", "mixer.reduction=sum"],
    "mhc_lite_learned_streams3": ["model.layers=2", "model.width=4", "mixer=mhc_lite",
                                  "mixer.streams=3", "mixer.reduction=learned", EPS],
    "mhc_lite_streams1": ["mixer=mhc_lite", "mixer.streams=1"],
    "mudd": ["mixer=mudd", "mixer.hidden=6", EPS],
    "mudd_static": ["mixer=mudd", "mixer.dynamic=false", "model.qk_norm=true", "model.kv_heads=1"],
    # other blocks than an attention and an MLP; six sublayers, for interventions.py
    "pattern_attn": ["model.pattern=attn", "model.layers=6", "mixer=attnres"],
    "pattern_mlp": ["model.pattern=mlp", "model.layers=6", "mixer=hyper", "mixer.streams=2", EPS],
    "pattern_value_residual": ["model.pattern=attn,attn,mlp", "model.layers=2",
                               "attn.value_residual=true"],
    "pattern_denseformer": ["model.pattern=mlp,attn,mlp", "model.layers=2", "mixer=denseformer"],
    "pattern_mudd": ["model.pattern=attn,attn,mlp", "model.layers=2", "mixer=mudd",
                     "mixer.hidden=6"],
    "pattern_deepnorm": ["model.pattern=mlp,attn,attn", "model.layers=2", "mixer=deepnorm", EPS],
}

# Further configurations whose initial values are recorded: name of a fixture, overrides on top.
STARTS = [
    ("highway_scalar", ["mixer.gate_bias=-2.5"]),
    ("highway_vector", ["mixer.gate_bias=depth"]),
    ("hyper_dynamic", ["model.layers=5", "mixer.streams=2"]),
    ("mhc_learned", ["model.layers=5", "mixer.bias_init=one_hot"]),
    ("mhc_learned", ["mixer.bias_init=zero"]),
    ("rezero", ["mixer.gain_init=0.5"]),
    ("layerscale", ["mixer.gain_init=1"]),
    *[("layerscale", [f"model.layers={n}"]) for n in (18, 19, 24, 25)],
    ("mhc_lite_learned_streams3", ["model.layers=5", "mixer.bias_init=one_hot"]),
    ("mudd", ["mixer.hidden=0", "model.layers=16"]),  # 4 * 16 sources: 128 hidden, not 64
]


def overrides_of(name):
    keys = dict(item.split("=", 1) for item in FIXTURES[name])
    return [f"{key}={value}" for key, value in {**SIZES, **keys}.items()]


# mean and standard deviation of the mixer parameters drawn alike everywhere
SCALES = {"gate.weight": (0, 0.4), "beta": (1, 0.3), "alpha_proj": (0, 0.4), "beta_proj": (0, 0.4),
          "alpha_scale": (0.5, 0.1), "beta_scale": (0.5, 0.1), "phi": (0, 0.3), "bias": (0, 0.4),
          "query": (0, 0.5), "key_gain": (1, 0.3), "query_proj": (0, 0.2), "gain": (0.7, 0.4),
          "in_proj": (0, 0.4), "out_proj": (0, 0.3)}


def draw(name, shape, cfg, rng):
    """One parameter at a healthy scale, away from zero gradients and from its initial value."""
    normal, leaf = rng.standard_normal(shape), name.split(".mixer.")[-1]
    if leaf == name:
        return 1 + 0.3 * normal if name.endswith(".gain") else 0.4 * normal
    if leaf == "gate.bias":
        return -math.log(n_sublayers(cfg) - 1) + 0.5 * normal
    if leaf in ("alpha", "weight") or (cfg["mixer.name"], leaf) == ("mudd", "bias"):
        return model.mixer_parameters(cfg)[name][1] + 0.3 * normal
    if leaf == "scale":
        return rng.uniform(0.5, 1.5, shape)
    mean, spread = SCALES[leaf]
    return mean + spread * normal


def initial(cfg):
    """{name: {"shape": ..., and "values": [...], "constant": x, "normal": standard deviation or
    "uniform": bound}} of the mixer's parameters before training."""
    out = {}
    for name, (shape, start) in model.mixer_parameters(cfg).items():
        if isinstance(start, (Normal, Uniform)):
            what = {type(start).__name__.lower(): start[0]}
        elif np.ndim(start) == 0:
            what = {"constant": float(start) + 0.0}  # no -0
        else:
            what = {"values": np.broadcast_to(start, shape).ravel().tolist()}
        out[name] = {"shape": list(shape), **what}
    return out


def at_start(cfg, p, rng):
    """Parameters p with the mixer's own at their initial values, the norms of all ways alike."""
    out = {key: p[key.replace("norm_k.", "norm.").replace("norm_v.", "norm.")].detach()
           for key in p}
    for name, (shape, start) in model.mixer_parameters(cfg).items():
        if isinstance(start, Normal):
            start = start.std * rng.standard_normal(shape)
        elif isinstance(start, Uniform):
            start = rng.uniform(-start.bound, start.bound, shape)
        out[name] = torch.tensor(np.broadcast_to(start, shape).astype(float))
    return out


def inputs(name, cfg):
    """Parameters (leaves), tokens, targets: a function of name and configuration only."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    p = {key: torch.tensor(draw(key, shape, cfg, rng)).requires_grad_()
         for key, shape in sorted(model.shapes(cfg, VOCAB).items())}
    tokens, targets = rng.integers(0, VOCAB, (2, BATCH, cfg["model.context"]))
    targets[0, 1] = targets[1, -1] = -1
    return p, torch.tensor(tokens), torch.tensor(targets)


