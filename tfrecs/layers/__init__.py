"""Layers: tensors in, tensors out."""

from tfrecs.layers.cross import Cross, CrossNetwork
from tfrecs.layers.cross_mixture import CrossMixture
from tfrecs.layers.dropout import Dropout, StepCounter
from tfrecs.layers.embedding import ItemEmbedding
from tfrecs.layers.normalization import LayerNormalization, unit_vectors
from tfrecs.layers.numeric import Discretization, PeriodicEncoding, Squashing
from tfrecs.layers.piecewise import PiecewiseLinearEmbedding, PiecewiseLinearEncoding
from tfrecs.layers.transformer import SASRecBlock, SelfAttention, causal_mask

__all__ = [
    "Cross",
    "CrossMixture",
    "CrossNetwork",
    "Discretization",
    "Dropout",
    "ItemEmbedding",
    "LayerNormalization",
    "PeriodicEncoding",
    "PiecewiseLinearEmbedding",
    "PiecewiseLinearEncoding",
    "SASRecBlock",
    "SelfAttention",
    "Squashing",
    "StepCounter",
    "causal_mask",
    "unit_vectors",
]
