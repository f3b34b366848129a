"""Muon in plain PyTorch float64, as published (kellerjordan.github.io/posts/muon; scale and decay of
arXiv:2502.16982), and what is recorded of it: tests/fixtures/muon.json."""

import numpy as np
import torch

A, B, C = 3.4445, -4.7750, 2.0315
SETTINGS = {"lr": 0.03, "momentum": 0.95, "weight_decay": 0.1, "grad_scale": 0.7}
SHAPES = [(4, 4), (7, 3), (3, 8), (1, 5), (6, 1), (12, 8)]
STEPS = 3


def newton_schulz(G):
    X = G.T if G.shape[0] > G.shape[1] else G
    X = X / (X.norm() + 1e-7)
    for _ in range(5):
        gram = X @ X.T
        X = A * X + (B * gram + C * gram @ gram) @ X
    return X.T if G.shape[0] > G.shape[1] else X


def by_singular_values(G):
    """The same from the decomposition: only singular values change."""
    U, s, Vh = torch.linalg.svd(G / (G.norm() + 1e-7), full_matrices=False)
    for _ in range(5):
        s = A * s + B * s**3 + C * s**5
    return U @ torch.diag(s) @ Vh


def step(w, momentum, gradient):
    """(w, momentum) after a step, and its direction before NS."""
    g = SETTINGS["grad_scale"] * gradient
    momentum = SETTINGS["momentum"] * momentum + g
    ahead = g + SETTINGS["momentum"] * momentum
    scale = SETTINGS["lr"] * 0.2 * max(w.shape) ** 0.5
    w = w * (1 - SETTINGS["lr"] * SETTINGS["weight_decay"]) - scale * newton_schulz(ahead)
    return w, momentum, ahead


def case(shape, expect):
    rng = np.random.default_rng(shape[0] * 1000 + shape[1])
    w, momentum = torch.tensor(rng.standard_normal(shape)), torch.zeros(shape, dtype=torch.float64)
    out = {"rows": shape[0], "columns": shape[1], "weight": w.flatten().tolist(), "steps": []}
    for _ in range(STEPS):
        gradient = torch.tensor(rng.standard_normal(shape))
        w, momentum, ahead = step(w, momentum, gradient)
        error = (newton_schulz(ahead) - by_singular_values(ahead)).abs().max().item()
        expect(f"muon {shape}: iterated = by singular values", error, 1e-12)
        out["steps"].append({"gradient": gradient.flatten().tolist(),
                             "weight": w.flatten().tolist(),
                             "momentum": momentum.flatten().tolist()})
    return out


def record(expect):
    return {"settings": SETTINGS, "cases": [case(shape, expect) for shape in SHAPES]}


def difference(a, b):
    """Largest difference of the numbers of two records; infinite if they are of other cases."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max(difference(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(map(difference, a, b))
    return abs(a - b) if isinstance(a, (int, float)) and isinstance(b, (int, float)) else float("inf")
