"""Interventions as `plumb eval` takes them, for model.forward: {"drop": "2", "gain": ["3=0.5"],
"swap": ["1,4"], "mask": "output:0-1"}. Sublayers are numbers or names, layer.K all of a block."""

from base import block, n_sublayers, site


def depths(item, cfg):
    """Numbers that one item of a list stands for."""
    names = {site(cfg, l): l for l in range(1, n_sublayers(cfg) + 2)} | {"embed": 0}
    if item in names:
        return [names[item]]
    if item.startswith("layer."):
        return [l for l in range(1, n_sublayers(cfg) + 1) if f"layer.{block(cfg, l)}" == item]
    first, _, last = item.partition("-")
    return list(range(int(first), int(last or first) + 1))


def parse(cfg, drop="", gain=(), swap=(), mask=""):
    """Arguments of model.forward."""
    L = n_sublayers(cfg)
    gains, order, masks = {}, {l: l for l in range(1, L + 1)}, {}
    for item in gain:
        where, factor = item.split("=")
        for l in depths(where, cfg):
            gains[l] = gains.get(l, 1) * float(factor)
    for item in filter(None, drop.split(",")):
        gains.update({l: 0 for l in depths(item, cfg)})
    for pair in swap:
        a, b = (depths(x, cfg) for x in pair.split(","))
        for x, y in zip(a, b):
            order[x], order[y] = order[y], order[x]
    for item in filter(None, mask.split(",")):
        where, colon, sources = item.rpartition(":")
        reads = depths(where, cfg) if colon else range(2, L + 2)
        for l in reads:
            for i in depths(sources, cfg):
                if i < l:
                    masks.setdefault(l, set()).add(i)
    return {"gain": gains, "order": order, "mask": masks}


# Losses of every fixture with each of these are in tests/fixtures/interventions.json.
CASES = [{"drop": "2"}, {"drop": "embed,3"}, {"gain": ["1=0.5", "4=-2"]}, {"swap": ["1,4"]},
         {"swap": ["layer.0,layer.1"]}, {"mask": "0"}, {"mask": "4:1-2"},
         {"mask": "output:3,3:0-1"}, {"drop": "3", "swap": ["2,4"], "mask": "2", "gain": ["1=2"]},
         {"swap": ["3,4"]}]
