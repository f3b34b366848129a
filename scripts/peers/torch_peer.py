"""The model, its training step and its check in PyTorch (eager or torch.compile)."""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import spec
from torch_mixers import MIXERS


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.gain, self.eps = nn.Parameter(torch.empty(width)), eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.gain.to(x.dtype), self.eps)


class Sublayer(nn.Module):
    def __init__(self, cfg, site, form):
        super().__init__()
        self.norm = RMSNorm(cfg.width, cfg.norm_eps)
        self.mixer = MIXERS[cfg.mixer](cfg, site, form)


class Attention(Sublayer):
    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        self.H, self.D = cfg.heads, cfg.head_dim
        self.qkv = nn.Linear(cfg.width, 3 * self.H * self.D, bias=False)
        self.out = nn.Linear(self.H * self.D, cfg.width, bias=False)

    def forward(self, h, cos, sin):
        B, T, _ = h.shape
        qkv = self.qkv(self.norm(h)).view(B, T, 3, self.H, self.D).permute(2, 0, 3, 1, 4)
        q, k = rotate(qkv[0], cos, sin), rotate(qkv[1], cos, sin)
        y = F.scaled_dot_product_attention(q, k, qkv[2], is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, self.H * self.D))


def rotate(x, cos, sin):
    """Half-split rotary embedding of x (B, H, T, D)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class MLP(Sublayer):
    def __init__(self, cfg, site, form):
        super().__init__(cfg, site, form)
        self.up = nn.Linear(cfg.width, 2 * cfg.mlp_hidden, bias=False)
        self.down = nn.Linear(cfg.mlp_hidden, cfg.width, bias=False)

    def forward(self, h, cos, sin):
        gate, up = self.up(self.norm(h)).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, cfg, b, form):
        super().__init__()
        self.attn, self.mlp = Attention(cfg, 2 * b + 1, form), MLP(cfg, 2 * b + 2, form)


class Transformer(nn.Module):
    """Activations and sources are stored in `store` (bfloat16 under autocast, as in Plumb)."""

    def __init__(self, cfg, form, store):
        super().__init__()
        self.store = store
        self.embed = nn.Embedding(cfg.vocab, cfg.width)
        self.layer = nn.ModuleList(Block(cfg, b, form) for b in range(cfg.layers))
        self.output = Sublayer(cfg, cfg.sublayers + 1, form)
        frequency = cfg.rope_base ** (-2 * torch.arange(cfg.head_dim // 2).double() / cfg.head_dim)
        angle = torch.arange(cfg.context).double()[:, None] * frequency
        self.register_buffer("cos", angle.cos().to(store), persistent=False)
        self.register_buffer("sin", angle.sin().to(store), persistent=False)

    def forward(self, tokens, targets):
        v = self.embed(tokens).to(self.store)
        state = self.output.mixer.start(v)
        for block in self.layer:
            for sublayer in (block.attn, block.mlp):
                h, carry = sublayer.mixer.read(state)
                v = sublayer(h, self.cos, self.sin)
                state = sublayer.mixer.write(state, carry, v)
        h, _ = self.output.mixer.read(state)
        logits = F.linear(self.output.norm(h), self.embed.weight)
        if logits.dtype == torch.bfloat16:
            logits = logits.float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def plumb_parameters(model):
    """{Plumb's name: parameter}: DenseFormer's weights belong to the block, here to its MLP."""
    old = ".mlp.mixer" if isinstance(model.output.mixer, MIXERS["denseformer"]) else ".mixer"
    return {name.replace(old, ".mixer"): p for name, p in model.named_parameters()}


def load(model, parameters):
    own = plumb_parameters(model)
    if own.keys() != parameters.keys():
        raise ValueError(f"parameters differ: {sorted(own.keys() ^ parameters.keys())}")
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(torch.from_numpy(np.array(parameters[name])).reshape(p.shape))


class Peer:
    """mode: eager or compile; precision: float or bf16."""

    def __init__(self, cfg, mode, precision, form, threads):
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
        self.bf16 = precision == "bf16"
        self.model = Transformer(cfg, form, torch.bfloat16 if self.bf16 else torch.float32)
        load(self.model, spec.initial_parameters(cfg))
        groups = [[], []]
        for name, p in plumb_parameters(self.model).items():
            groups[spec.decays(name)].append(p)
        self.optimizer = torch.optim.AdamW(
            [{"params": groups[1]}, {"params": groups[0], "weight_decay": 0.0}],
            lr=spec.LR, betas=spec.BETAS, eps=spec.ADAM_EPS, weight_decay=spec.WEIGHT_DECAY,
            fused=True,
        )  # fmt: skip
        self.forward = torch.compile(self.model) if mode == "compile" else self.model

    def step(self, batch):
        tokens = torch.from_numpy(batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.forward(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), spec.CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()


def versions():
    return {"torch": torch.__version__, "cpu capability": torch.backends.cpu.get_cpu_capability()}


def loss_and_gradients(cfg, form, parameters, tokens, targets):
    """In float64, {Plumb's name: gradient}."""
    warnings.simplefilter("ignore")
    model = Transformer(cfg, form, torch.float64).double()
    load(model, parameters)
    loss = model(torch.from_numpy(np.array(tokens)), torch.from_numpy(np.array(targets)))
    loss.backward()
    return loss.item(), {
        name: p.grad.numpy().reshape(parameters[name].shape)
        for name, p in plumb_parameters(model).items()
    }
