"""Mixers that keep one running state: h_{l+1} from h_l and v_l alone."""

import math

import torch

from base import Mixer, n_sublayers, rms_norm, site


class Highway(Mixer):
    """h_{l+1} = (1 - t_l) h_l + t_l v_l, h_1 = v_0, t_l = sigmoid(W g + b)
    (Srivastava et al. 2015, arXiv:1505.00387, coupled gates; one gate per sublayer is ours).
    g = RMSNorm(h_l) without gain (gate_input norm) or h_l (raw); t_l is one number (scalar, static)
    or one per channel (vector). Starts with W = 0 and a constant b (gate_bias)."""

    @staticmethod
    def parameters(cfg):
        C, L, out = cfg["model.width"], n_sublayers(cfg), {}
        for l in range(1, L + 1):
            base, gate = f"{site(cfg, l)}.mixer.gate.", cfg["mixer.gate"]
            start = {"uniform": -math.log(l), "depth": -math.log(L - 1)}.get(cfg["mixer.gate_bias"])
            start = float(cfg["mixer.gate_bias"]) if start is None else start
            if gate != "static":
                out[base + "weight"] = (C,) if gate == "scalar" else (C, C), 0
            out[base + "bias"] = (C,) if gate == "vector" else (1,), start
        return out

    def write(self, l, v):
        g = self.h if self.cfg["mixer.gate_input"] == "raw" else rms_norm(self.h, self.eps)
        b = self.p(l, "gate.bias")
        if self.cfg["mixer.gate"] == "static":
            t = torch.sigmoid(b)
        elif self.cfg["mixer.gate"] == "scalar":
            t = torch.sigmoid((g * self.p(l, "gate.weight")).sum(-1, keepdim=True) + b)
        else:
            t = torch.sigmoid(g @ self.p(l, "gate.weight").T + b)
        t = self.freeze(t)
        self.h = (1 - t) * self.h + t * v


class ReZero(Mixer):
    """h_{l+1} = h_l + a_l v_l, a_l one number (Bachlechner et al. 2020, arXiv:2003.04887; there one
    for both sublayers of a block, and no norm). Starts at gain_init; `paper`: 0."""

    @classmethod
    def parameters(cls, cfg):
        start = cfg["mixer.gain_init"]
        start = cls.paper(cfg) if start == "paper" else float(start)
        return {f"{site(cfg, l)}.mixer.gain": (cls.shape(cfg), start)
                for l in range(1, n_sublayers(cfg) + 1)}

    @staticmethod
    def shape(cfg):
        return (1,)

    @staticmethod
    def paper(cfg):
        return 0.0

    def write(self, l, v):
        self.h = self.h + self.freeze(self.p(l, "gain")) * v


class LayerScale(ReZero):
    """The same with one number per channel (CaiT, Touvron et al. 2021, arXiv:2103.17239); `paper`:
    0.1 up to 18 transformer blocks, 1e-5 up to 24, 1e-6 in deeper networks."""

    @staticmethod
    def shape(cfg):
        return (cfg["model.width"],)

    @staticmethod
    def paper(cfg):
        return 0.1 if cfg["model.layers"] <= 18 else 1e-5 if cfg["model.layers"] <= 24 else 1e-6


class DeepNorm(Mixer):
    """h_{l+1} = RMSNorm(a h_l + v_l), h_1 = v_0 (Wang et al. 2022, arXiv:2203.00555; there
    LayerNorm with a gain). a = alpha, 0 stands for (2 transformer blocks)^(1/4)."""

    @staticmethod
    def alpha(cfg):
        return cfg["mixer.alpha"] or n_sublayers(cfg) ** 0.25

    def write(self, l, v):
        y = self.alpha(self.cfg) * self.h + v
        self.h = y * self.freeze(torch.rsqrt((y * y).mean(-1, keepdim=True) + self.eps))
