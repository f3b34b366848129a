"""The depth mixers in JAX: pure functions over a {name: array} dict of parameters.

A mixer is made once, with `start(v_0) -> state`, `read(p, l, state) -> (h, carry)` and `write(p, l,
state, carry, v) -> state`, where p(leaf) is a parameter of site l = 1..L+1. `form` as in
torch_mixers: "stack" or "loop"."""

import jax
import jax.numpy as jnp

import spec


def rms_norm(x, eps, gain=None):
    """In float32 at least, stored as x is."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + eps)
    return (y if gain is None else y * gain).astype(x.dtype)


class Standard:
    def __init__(self, cfg, form):
        self.cfg, self.form, self.eps = cfg, form, cfg.norm_eps

    def start(self, v):
        return v

    def read(self, p, l, h):
        return h, None

    def write(self, p, l, h, carry, v):
        return h + v


class Highway(Standard):
    def write(self, p, l, h, carry, v):
        g = rms_norm(h, self.eps) @ p("gate.weight").astype(h.dtype)
        t = jax.nn.sigmoid(g + p("gate.bias"))[..., None].astype(h.dtype)
        return h + t * (v - h)


class DenseFormer(Standard):
    def start(self, v):
        return v, [v]

    def read(self, p, l, state):
        return state[0], None

    def write(self, p, l, state, carry, v):
        h, outputs = state[0] + v, state[1]
        if not spec.ends_block(l):
            return h, outputs
        outputs = outputs + [h]
        alpha = p("alpha").astype(h.dtype)
        if self.form == "stack":
            return jnp.tensordot(alpha, jnp.stack(outputs), axes=1), outputs
        return sum(alpha[j] * x for j, x in enumerate(outputs)), outputs


class Hyper(Standard):
    def start(self, v):
        return jnp.repeat(v[..., None, :], self.cfg.streams, axis=-2)

    def read(self, p, l, H):
        if l > self.cfg.sublayers:
            return H.sum(-2), None
        x = rms_norm(H - H.mean(-1, keepdims=True), self.eps)
        alpha_proj, beta_proj = (p(name).astype(x.dtype) for name in ("alpha_proj", "beta_proj"))
        alpha = p("alpha") + p("alpha_scale") * jnp.tanh(x @ alpha_proj.T)
        beta = p("beta") + p("beta_scale") * jnp.tanh(x @ beta_proj)
        mixed = self.mix(alpha, H)
        return mixed[..., 0, :], (mixed[..., 1:, :], beta)

    def mix(self, weights, X):
        """sum_s weights[..., s, j] X[..., s, :]."""
        weights = weights.astype(X.dtype)
        if self.form == "stack":
            return jnp.einsum("btsj,btsc->btjc", weights, X)
        return sum(weights[..., s, :, None] * X[..., s, None, :] for s in range(X.shape[-2]))

    def write(self, p, l, H, carry, v):
        mixed, beta = carry
        return mixed + beta[..., None].astype(v.dtype) * v[..., None, :]


def sinkhorn(logits, iters, eps=1e-6):
    P = jax.nn.softmax(logits, axis=-1) + eps
    P = P / (P.sum(-2, keepdims=True) + eps)
    for _ in range(iters - 1):
        P = P / (P.sum(-1, keepdims=True) + eps)
        P = P / (P.sum(-2, keepdims=True) + eps)
    return P


class MHC(Hyper):
    def read(self, p, l, X):
        K = self.cfg.streams
        if l > self.cfg.sublayers:
            return X.mean(-2), None
        x = rms_norm(X.reshape(*X.shape[:-2], -1), self.eps)
        u = (x @ p("phi").astype(x.dtype).T).astype(p("bias").dtype)
        pre_bias, post_bias, res_bias = jnp.split(p("bias"), [K, 2 * K])
        pre, post, res = jnp.split(u, [K, 2 * K], axis=-1)
        pre = jax.nn.sigmoid(p("scale")[0] * pre + pre_bias) + 1e-6
        post = 2 * jax.nn.sigmoid(p("scale")[1] * post + post_bias)
        res = (p("scale")[2] * res + res_bias).reshape(*res.shape[:-1], K, K)
        res = sinkhorn(res, self.cfg.sinkhorn_iters)
        mixed = self.mix(jnp.concatenate([pre[..., None], res], axis=-1), X)
        return mixed[..., 0, :], (mixed[..., 1:, :], post)


class AttnRes(Standard):
    def key(self, v):
        return rms_norm(v, self.eps) if self.form == "loop" else None

    def start(self, v):
        return [v], [self.key(v)]

    def attend(self, p, values, keys):
        if len(values) == 1:
            return values[0]
        dtype = values[0].dtype
        if self.form == "stack":
            V = jnp.stack(values)
            K = rms_norm(V, self.eps, p("key_gain"))
            logits = jnp.einsum("d,nbtd->nbt", p("query").astype(dtype), K)
            weights = jax.nn.softmax(logits, axis=0).astype(dtype)
            return jnp.einsum("nbt,nbtd->btd", weights, V)
        query = (p("query") * p("key_gain")).astype(dtype)
        logits = jnp.stack([k @ query for k in keys], axis=-1)
        weights = jax.nn.softmax(logits, axis=-1).astype(dtype)
        return sum(weights[..., i, None] * v for i, v in enumerate(values))

    def read(self, p, l, state):
        return self.attend(p, *state), None

    def write(self, p, l, state, carry, v):
        return state[0] + [v], state[1] + [self.key(v)]


class AttnResBlock(AttnRes):
    def start(self, v):
        return [v], [self.key(v)], None

    def read(self, p, l, state):
        values, keys, partial = state
        if partial is None:
            return self.attend(p, values, keys), None
        return self.attend(p, values + [partial], keys + [self.key(partial)]), None

    def write(self, p, l, state, carry, v):
        values, keys, partial = state
        partial = v if partial is None else partial + v
        if l % self.cfg.block_size == 0:
            return values + [partial], keys + [self.key(partial)], None
        return values, keys, partial


MIXERS = {
    "standard": Standard, "highway": Highway, "denseformer": DenseFormer, "hyper": Hyper,
    "mhc": MHC, "attnres": AttnRes, "attnres_block": AttnResBlock,
}  # fmt: skip
