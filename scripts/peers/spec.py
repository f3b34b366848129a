"""What every contender computes: configuration, parameters by Plumb's names, data. NumPy only."""

import json
import math
import struct
from dataclasses import dataclass, fields, replace

import numpy as np

SHAPES = {
    "a": {"width": 256, "layers": 12, "heads": 4, "context": 256, "batch": 8},
    "b": {"width": 128, "layers": 24, "heads": 4, "context": 256, "batch": 8},
    "c": {"width": 384, "layers": 6, "heads": 6, "context": 256, "batch": 16},
}
VOCAB = 256

LR, BETAS, ADAM_EPS, WEIGHT_DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0


@dataclass(frozen=True)
class Config:
    """One model. L = 2 * layers sublayers, odd ones attention, even ones SwiGLU."""

    mixer: str = "standard"
    width: int = 128
    layers: int = 4
    heads: int = 4
    head_dim: int = 0  # 0: width / heads
    mlp_hidden: int = 0  # 0: 8/3 width, up to a multiple of 8
    context: int = 128
    batch: int = 8
    vocab: int = VOCAB
    norm_eps: float = 1e-10
    rope_base: float = 10000.0
    streams: int = 4
    sinkhorn_iters: int = 20
    block_size: int = 0  # 0: ceil(L / n_blocks)
    n_blocks: int = 0  # 0: 8

    def resolved(self):
        sublayers = 2 * self.layers
        return replace(
            self,
            head_dim=self.head_dim or self.width // self.heads,
            mlp_hidden=self.mlp_hidden or -(-(8 * self.width) // 24) * 8,
            block_size=self.block_size or math.ceil(sublayers / (self.n_blocks or 8)),
        )

    @property
    def sublayers(self):
        return 2 * self.layers


def config_of(mixer, shape):
    """shape: a, b, c or LAYERSxWIDTHxTxBATCH, with heads of 64 channels where that goes, as `plumb
    bench` reads them; behind it /VOCABULARY where that is not 256."""
    shape, _, named = shape.partition("/")
    vocab = int(named or VOCAB)
    if shape in SHAPES:
        return Config(mixer=mixer, vocab=vocab, **SHAPES[shape]).resolved()
    layers, width, context, batch = (int(n) for n in shape.split("x"))
    heads = width // 64 if width % 64 == 0 else 1
    return Config(
        mixer, width, layers, heads, context=context, batch=batch, vocab=vocab
    ).resolved()


def config_of_overrides(overrides, vocab, batch):
    """The configuration of a fixture, from Plumb's `table.key=value` overrides."""
    kinds = {f.name: f.type for f in fields(Config)}
    values = {"vocab": vocab, "batch": batch}
    for item in overrides:
        key, text = item.removeprefix("model.").removeprefix("mixer.").split("=", 1)
        if key in kinds:
            values[key] = kinds[key](text)
        elif (key, text) not in {("dynamic", "true"), ("gate", "scalar"), ("reduction", "mean")}:
            raise ValueError(f"the peers do not implement {item}")
    return Config(**values).resolved()


KINDS = ("attn", "mlp")  # the sublayers of a transformer block


def block(l):
    """Transformer blocks written in full before sublayer l = 1..L+1."""
    return (l - 1) // len(KINDS)


def ends_block(l):
    return l % len(KINDS) == 0


def sites(cfg):
    """Names of the places that read: layer.0.attn, layer.0.mlp, ..., output."""
    return [f"layer.{b}.{kind}" for b in range(cfg.layers) for kind in KINDS] + ["output"]


def initial_parameters(cfg, seed=1):
    """{name: float32 array}, Plumb's names, shapes (linear weights are (out, in)) and laws."""
    rng = np.random.default_rng(seed)
    C, rows = cfg.width, cfg.heads * cfg.head_dim
    out_std = 0.02 / math.sqrt(2 * cfg.layers)
    p = {"embed.weight": 0.02 * rng.standard_normal((cfg.vocab, C)), "output.norm.gain": np.ones(C)}
    for b in range(cfg.layers):
        at = f"layer.{b}."
        p[at + "attn.norm.gain"], p[at + "mlp.norm.gain"] = np.ones(C), np.ones(C)
        p[at + "attn.qkv.weight"] = 0.02 * rng.standard_normal((3 * rows, C))
        p[at + "attn.out.weight"] = out_std * rng.standard_normal((C, rows))
        p[at + "mlp.up.weight"] = 0.02 * rng.standard_normal((2 * cfg.mlp_hidden, C))
        p[at + "mlp.down.weight"] = out_std * rng.standard_normal((C, cfg.mlp_hidden))
    for l, site in enumerate(sites(cfg), start=1):
        for leaf, value in mixer_parameters(cfg, l, rng).items():
            name = site.removesuffix(".mlp") if cfg.mixer == "denseformer" else site
            p[f"{name}.mixer.{leaf}"] = value
    return {name: np.asarray(value, np.float32) for name, value in p.items()}


def mixer_parameters(cfg, l, rng):
    """What site l = 1..L+1 holds, {leaf: array}."""
    C, L, K = cfg.width, cfg.sublayers, cfg.streams
    attn_res = cfg.mixer in ("attnres", "attnres_block")
    if attn_res and l > 1:
        return {"query": np.zeros(C), "key_gain": np.ones(C)}
    if l > L or attn_res:
        return {}
    if cfg.mixer == "highway":
        return {"gate.weight": np.zeros(C), "gate.bias": np.full(1, -math.log(L - 1))}
    if cfg.mixer == "denseformer" and ends_block(l):
        return {"alpha": np.eye(1, block(l) + 2, block(l) + 1)[0]}
    if cfg.mixer == "hyper":
        first = np.eye(1, K, block(l) % K).T
        return {
            "alpha": np.hstack([first, np.eye(K)]), "beta": np.ones(K),
            "alpha_proj": np.zeros((K + 1, C)), "beta_proj": np.zeros(C),
            "alpha_scale": np.full(1, 0.01), "beta_scale": np.full(1, 0.01),
        }
    if cfg.mixer == "mhc":
        n, bound = K * K + 2 * K, math.sqrt(6 / (K * C + K * K + 2 * K))
        pre, res = np.full(K, -math.log(K - 1)), -8 * (1 - np.eye(K)).ravel()
        return {
            "phi": rng.uniform(-bound, bound, (n, K * C)),
            "bias": np.concatenate([pre, np.zeros(K), res]),
            "scale": np.full(3, 0.01),
        }
    return {}


def decays(name):
    """Weight decay is for the weight matrices, the embedding among them; never for a mixer's."""
    return name.endswith(".weight") and ".mixer." not in name


def batches(cfg, n, seed=1):
    """n batches of tokens (B, T+1), int64, uniform over the vocabulary, as in `plumb bench`."""
    return np.random.default_rng(seed).integers(0, cfg.vocab, (n, cfg.batch, cfg.context + 1))


def load_safetensors(path):
    """({name: array}, metadata) of a fixture."""
    blob = path.read_bytes()
    end = 8 + struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:end])
    metadata = header.pop("__metadata__")
    kinds = {"F64": "<f8", "F32": "<f4", "I64": "<i8"}
    tensors = {}
    for name, e in header.items():
        first, last = e["data_offsets"]
        values = np.frombuffer(blob[end + first : end + last], kinds[e["dtype"]])
        tensors[name] = values.reshape(e["shape"])
    return tensors, metadata
