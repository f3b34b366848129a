"""Depth mixers by name, written naively from their equations; gradients are autograd's alone."""

from base import Mixer
from running import DeepNorm, Highway, LayerScale, ReZero
from sources import AttnRes, AttnResBlock, DenseFormer, Mudd, StaticMix
from streams import MHC, Hyper, MHCLite

MIXERS = {"standard": Mixer, "rezero": ReZero, "layerscale": LayerScale, "deepnorm": DeepNorm,
          "highway": Highway, "denseformer": DenseFormer, "static_mix": StaticMix,
          "attnres": AttnRes, "attnres_block": AttnResBlock, "mudd": Mudd, "hyper": Hyper,
          "mhc": MHC, "mhc_lite": MHCLite}
