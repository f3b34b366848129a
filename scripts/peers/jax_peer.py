"""The model, its training step and its check in JAX: one jitted function per step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import spec
from jax_mixers import MIXERS, rms_norm


def rotate(x, cos, sin):
    """Half-split rotary embedding of x (B, T, H, D)."""
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def rope_tables(cfg, dtype):
    frequency = cfg.rope_base ** (-2 * np.arange(cfg.head_dim // 2) / cfg.head_dim)
    angle = (np.arange(cfg.context)[:, None] * frequency)[:, None, :]
    return jnp.asarray(np.cos(angle), dtype), jnp.asarray(np.sin(angle), dtype)


def attention(cfg, p, at, x, tables):
    B, T, _ = x.shape
    qkv = (x @ p[at + ".qkv.weight"].T).reshape(B, T, 3, cfg.heads, cfg.head_dim)
    q, k = rotate(qkv[:, :, 0], *tables), rotate(qkv[:, :, 1], *tables)
    scores = jnp.einsum("bthd,bshd->bhts", q, k) / cfg.head_dim**0.5
    wide = scores.astype(jnp.promote_types(x.dtype, jnp.float32))
    weights = jax.nn.softmax(jnp.where(jnp.tri(T, dtype=bool), wide, -jnp.inf)).astype(x.dtype)
    y = jnp.einsum("bhts,bshd->bthd", weights, qkv[:, :, 2])
    return y.reshape(B, T, -1) @ p[at + ".out.weight"].T


def mlp(cfg, p, at, x, tables):
    gate, up = jnp.split(x @ p[at + ".up.weight"].T, 2, axis=-1)
    return (jax.nn.silu(gate) * up) @ p[at + ".down.weight"].T


def loss_of(cfg, form, p, tokens, targets):
    """p holds the weight matrices in the type activations are stored in, all else in float32."""
    mixer, names = MIXERS[cfg.mixer](cfg, form), spec.sites(cfg)
    store = p["embed.weight"].dtype
    tables = rope_tables(cfg, store)

    def at_site(l):
        site = names[l - 1].removesuffix(".mlp") if cfg.mixer == "denseformer" else names[l - 1]
        return lambda leaf: p[f"{site}.mixer.{leaf}"]

    state = mixer.start(p["embed.weight"][tokens])
    for l, site in enumerate(names[:-1], start=1):
        h, carry = mixer.read(at_site(l), l, state)
        x = rms_norm(h, cfg.norm_eps, p[site + ".norm.gain"])
        v = (attention if site.endswith(".attn") else mlp)(cfg, p, site, x, tables)
        state = mixer.write(at_site(l), l, state, carry, v)
    h, _ = mixer.read(at_site(len(names)), len(names), state)
    logits = rms_norm(h, cfg.norm_eps, p["output.norm.gain"]) @ p["embed.weight"].T
    logits = logits.astype(jnp.promote_types(store, jnp.float32))
    picked = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    losses = jax.nn.logsumexp(logits, axis=-1) - picked
    return jnp.sum(losses * (targets >= 0)) / jnp.sum(targets >= 0)


def stored(p, bf16):
    """bf16: weight matrices are cast, and with them every activation; the masters stay float32."""
    if not bf16:
        return p
    return {name: x.astype(jnp.bfloat16) if spec.decays(name) else x for name, x in p.items()}


def adamw(p, g, m, v, t, decay):
    (b1, b2), eps = spec.BETAS, spec.ADAM_EPS
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    update = (m / (1 - b1**t)) / (jnp.sqrt(v / (1 - b2**t)) + eps) + decay * p
    return p - spec.LR * update, m, v


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3,))
def train_step(cfg, form, bf16, state, batch):
    params, m, v, t = state
    loss, g = jax.value_and_grad(
        lambda p: loss_of(cfg, form, stored(p, bf16), batch[:, :-1], batch[:, 1:])
    )(params)
    norm = jnp.sqrt(sum(jnp.vdot(x, x) for x in g.values()))
    scale = jnp.minimum(1.0, spec.CLIP / (norm + 1e-6))
    t, new = t + 1, ({}, {}, {})
    for name, p in params.items():
        decay = spec.WEIGHT_DECAY if spec.decays(name) else 0.0
        for into, x in zip(new, adamw(p, scale * g[name], m[name], v[name], t, decay)):
            into[name] = x
    return loss, (*new, t)


class Peer:
    """The process's own CPU affinity limits the threads XLA uses."""

    def __init__(self, cfg, mode, precision, form, threads):
        if precision == "float":
            jax.config.update("jax_default_matmul_precision", "highest")
        self.args = cfg, form, precision == "bf16"
        params = {name: jnp.asarray(x) for name, x in spec.initial_parameters(cfg).items()}
        zeros = [{name: jnp.zeros_like(x) for name, x in params.items()} for _ in range(2)]
        self.state = params, *zeros, jnp.float32(0)

    def step(self, batch):
        loss, self.state = train_step(*self.args, self.state, jnp.asarray(batch, jnp.int32))
        jax.block_until_ready(self.state)
        return float(loss)


def versions():
    return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}


def loss_and_gradients(cfg, form, parameters, tokens, targets):
    """In float64, {Plumb's name: gradient}."""
    jax.config.update("jax_enable_x64", True)
    p = {name: jnp.asarray(x) for name, x in parameters.items()}
    tokens, targets = jnp.asarray(tokens), jnp.asarray(targets)
    with jax.default_matmul_precision("highest"):
        f = jax.jit(jax.value_and_grad(lambda p: loss_of(cfg, form, p, tokens, targets)))
        loss, gradients = f(p)
    return float(loss), {name: np.asarray(g) for name, g in gradients.items()}
