"""What make_fixtures.py holds the oracle against."""

import sys

import numpy as np
import torch

import model
from base import n_sublayers, site
from closed_forms import closed_form
from fixtures import FIXTURES, VOCAB, at_start, inputs, overrides_of
from mixers import MIXERS
from streams import permutation_mix


def expect(label, error, limit):
    print(f"  {label}: {error:.2e} (limit {limit:g})")
    if not error <= limit:
        sys.exit(f"make_fixtures.py: check failed: {label}: {error:.3e} > {limit:g}")


def check_gradients(cfg, p, tokens, targets):
    """Five-point central difference along one random direction per tensor."""
    rng, worst = np.random.default_rng(0), 0.0

    def loss_at(key, step):
        moved = {k: (x + step if k == key else x).detach() for k, x in p.items()}
        return model.loss(model.forward(cfg, moved, tokens)[0], targets).item()

    floor = 1e-3 * max(x.grad.norm().item() for x in p.values())
    for key, x in p.items():
        d = torch.tensor(rng.standard_normal(x.shape))
        d = d / d.norm()
        s, f = 1e-4, lambda t: loss_at(key, t * d)
        numeric = (8 * (f(s) - f(-s)) - (f(2 * s) - f(-2 * s))) / (12 * s)
        exact = (x.grad * d).sum().item()
        worst = max(worst, abs(numeric - exact) / max(abs(exact), floor))
    expect(f"gradient against central differences, worst of {len(p)} tensors", worst, 1e-6)


def check_matrix(cfg, p, M, h, v):
    def flat(x):
        return x.detach().reshape(-1, x.shape[-1])  # (N, C)

    V, name = torch.stack([flat(x) for x in v]), cfg["mixer.name"]
    for way in range(len(M)):
        H = torch.stack([flat(x[way % len(x)]) for x in h])
        error = (torch.einsum("rnic,inc->rnc", M[way], V) - H).abs().max().item()
        expect(f"sum_i M[l,i] v_i = h_l, way {way + 1} of {len(M)}", error, 1e-12)
    exact = closed_form(cfg, p, [flat(x[0]).numpy() for x in h], V.numpy())
    if exact is not None:
        expect("M = its closed form", (M - torch.tensor(exact)).abs().max().item(), 1e-12)
    average = cfg["mixer.weights"] == "softmax" if name == "static_mix" else \
        name == "highway" or (name == "attnres" and cfg["mixer.weights"] != "sigmoid")
    if average:
        expect("rows of M sum to 1", (M.sum(3) - 1).abs().max().item(), 1e-12)
        expect("M is not negative", -M.min().item(), 0)
    axis = model.matrix_axis(cfg)
    if axis != "channel":
        groups = M.unflatten(-1, (cfg["mixer.heads"] if axis == "head" else 1, -1))
        error = (groups - groups[..., :1]).abs().max().item()
        expect("M is the same for every channel" + (" of a head" * (axis == "head")), error, 1e-13)
        if axis == "head" and not (M - M[..., :1]).abs().max() > 1e-2:
            sys.exit("make_fixtures.py: check failed: M is the same for every head")
    if name == "mhc_lite":
        check_permutations(cfg, p, M[0, ..., 0], v)


def check_permutations(cfg, p, M, v):
    """R doubly stochastic, so M[l,0] = sum_s pre_l[s], and with the sum of the streams
    M[L+1,0] = K, M[L+1,i] = sum_s post_i[s]."""
    L, K, worst, column, row = n_sublayers(cfg), cfg["mixer.streams"], 0, 0, 0
    mixer = MIXERS[cfg["mixer.name"]](cfg, p, freeze=lambda w: w.detach())
    mixer.start(v[0])
    for l in range(1, L + 1):
        pre, post, R = mixer.weights(l)
        worst = max(worst, (R.sum(-1) - 1).abs().max().item(), (R.sum(-2) - 1).abs().max().item(),
                    -R.min().item())
        column = max(column, (M[l - 1, :, 0] - pre.sum(-1).flatten()).abs().max().item())
        row = max(row, (M[L, :, l] - post.sum(-1).flatten()).abs().max().item())
        mixer.write(l, v[l])
    expect("R is doubly stochastic", worst, 1e-14)
    expect("M[l,0] is the sum of pre", column, 1e-13)
    if cfg["mixer.reduction"] == "sum":
        expect("M[L+1,i] is the sum of post", max(row, (M[L, :, 0] - K).abs().max().item()), 1e-13)


def logits_with(base, overrides, change=lambda own, key: own[key]):
    """Logits on the parameters and tokens of fixture `base`, after `overrides` and `change`."""
    cfg = model.config(overrides_of(base) + overrides)
    own, tokens, _ = inputs(base, model.config(overrides_of(base)))
    p = {key: change(own, key).detach() for key in model.shapes(cfg, VOCAB)}
    return model.forward(cfg, p, tokens)[0]


def starts_as_standard(cfg):
    name = cfg["mixer.name"]
    if name in ("rezero", "layerscale"):
        return cfg["mixer.gain_init"] == "1"
    return name not in ("mhc", "deepnorm") and cfg["mixer.window"] == 0 and \
        cfg["mixer.gate_bias"] == "uniform" and cfg["mixer.bias_init"] != "one_hot"


def check_starts():
    """A mixer at its initial values is the standard network, where it claims to be."""
    tiny = "model.norm_eps=1e-30"
    more = {"rezero": ["mixer.gain_init=1"], "layerscale": ["mixer.gain_init=1"],
            "attnres_all_options": ["mixer.window=0"]}
    for name in FIXTURES:
        cfg = model.config(overrides_of(name) + more.get(name, []) + [tiny])
        if not starts_as_standard(cfg):
            continue
        own, tokens, _ = inputs(name, model.config(overrides_of(name)))
        logits = model.forward(cfg, at_start(cfg, own, np.random.default_rng(0)), tokens)[0]
        standard = logits_with(name, [tiny, "mixer=standard"])
        expect(f"{name} at its initial values = standard", difference(logits, standard), 1e-10)


def check_identities():
    """Mixers that are others for some values of their parameters."""
    def zero(ending):
        return lambda own, key: own[key] * (not key.endswith(ending))

    def bias_for_weight(own, key):
        return own[key.replace(".weight", ".bias") if "mixer" in key else key]

    def alpha_for_bias(own, key):
        if "mixer" in key:
            alpha = own[key.replace(".bias", ".alpha")]
            return alpha.expand(4 if key.split(".")[1] != "2" else 1, -1)
        return own[key.replace("norm_k.", "norm.").replace("norm_v.", "norm.")]

    tiny, mhc = "model.norm_eps=1e-30", zero(("phi", "bias", "scale"))
    full = logits_with("attnres", [])
    for label, one, other, limit in [
            ("attnres_block block_size=1 = attnres",
             logits_with("attnres", ["mixer=attnres_block", "mixer.block_size=1"]), full, 1e-12),
            ("attnres window of all", logits_with("attnres", ["mixer.window=6"]), full, 0),
            ("attnres query=input, W = 0, is query=learned",
             logits_with("attnres_query_input", [], zero("query_proj")),
             logits_with("attnres_query_input", ["mixer.query=learned"]), 1e-12),
            ("static_mix softmax = attnres query=none",
             logits_with("attnres_query_none", ["mixer=static_mix", "mixer.weights=softmax"],
                         bias_for_weight), logits_with("attnres_query_none", []), 1e-12),
            ("mudd static with ways alike = denseformer",
             logits_with("denseformer", ["mixer=mudd", "mixer.dynamic=false"], alpha_for_bias),
             logits_with("denseformer", []), 1e-12)]:
        expect(label, difference(one, other), limit)
    cycle = permutation_mix(torch.eye(6, dtype=torch.float64), 3)[3]
    expect("the fourth of three is 1, 2, 0",
           difference(cycle, torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]])), 0)
    for base in ("mhc_mean", "mhc_sum"):  # 1e-6 inside Sinkhorn
        expect(f"{base} with parameters 0 = standard", difference(
            logits_with(base, [tiny], mhc), logits_with(base, [tiny, "mixer=standard"])), 1e-4)


def difference(a, b):
    return (a - b).abs().max().item()


def check_causality(name):
    cfg = model.config(overrides_of(name))
    p, tokens, _ = inputs(name, cfg)
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % VOCAB
    a, b = (model.forward(cfg, p, t)[0].detach() for t in (tokens, other))
    expect(f"{name}: earlier logits ignore the last token", (a - b)[:, :-1].abs().max().item(), 0)
    if not (a - b)[:, -1].abs().max() > 1e-3:
        sys.exit(f"make_fixtures.py: {name}: the last logits do not depend on the last token")
