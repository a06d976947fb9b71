"""Layers: tensors in, tensors out."""

from tfrecs.layers.dropout import Dropout, StepCounter
from tfrecs.layers.embedding import ItemEmbedding
from tfrecs.layers.normalization import unit_vectors
from tfrecs.layers.transformer import SASRecBlock, SelfAttention, causal_mask

__all__ = [
    "Dropout",
    "ItemEmbedding",
    "SASRecBlock",
    "SelfAttention",
    "StepCounter",
    "causal_mask",
    "unit_vectors",
]
