"""Layers: tensors in, tensors out."""

from tfrecs.layers.attention import AttentionScores, SelfAttention, causal_mask, padding_mask
from tfrecs.layers.convolution import HistoryConvolution
from tfrecs.layers.cross import Cross, CrossNetwork
from tfrecs.layers.cross_mixture import CrossMixture
from tfrecs.layers.dropout import Dropout, StepCounter
from tfrecs.layers.embedding import ItemEmbedding
from tfrecs.layers.event_embedding import EventEmbedding
from tfrecs.layers.feature_encoder import FeatureEncoder
from tfrecs.layers.feature_lookup import FeatureLookup
from tfrecs.layers.featured_embedding import FeaturedItemEmbedding
from tfrecs.layers.filters import CausalFilter
from tfrecs.layers.gated import HSTUBlock, LiGRBlock
from tfrecs.layers.history import HistoryPooling, LongShortHistory
from tfrecs.layers.mmoe import MMoE
from tfrecs.layers.normalization import LayerNormalization, unit_vectors
from tfrecs.layers.numeric import Discretization, PeriodicEncoding, Squashing
from tfrecs.layers.piecewise import PiecewiseLinearEmbedding, PiecewiseLinearEncoding
from tfrecs.layers.positions import RelativePositionBias, TimeIntervalBias
from tfrecs.layers.quantized_embedding import QuantizedItemEmbedding
from tfrecs.layers.stacked_embedding import StackedEmbedding
from tfrecs.layers.standardization import Standardization
from tfrecs.layers.text import PretrainedEmbedding, TextEmbedding
from tfrecs.layers.tower import Tower
from tfrecs.layers.transformer import SASRecBlock

__all__ = [
    "AttentionScores",
    "CausalFilter",
    "Cross",
    "CrossMixture",
    "CrossNetwork",
    "Discretization",
    "Dropout",
    "EventEmbedding",
    "HSTUBlock",
    "HistoryConvolution",
    "HistoryPooling",
    "FeaturedItemEmbedding",
    "FeatureEncoder",
    "FeatureLookup",
    "ItemEmbedding",
    "LayerNormalization",
    "LiGRBlock",
    "LongShortHistory",
    "MMoE",
    "PeriodicEncoding",
    "PiecewiseLinearEmbedding",
    "PiecewiseLinearEncoding",
    "PretrainedEmbedding",
    "QuantizedItemEmbedding",
    "RelativePositionBias",
    "SASRecBlock",
    "SelfAttention",
    "Squashing",
    "StackedEmbedding",
    "Standardization",
    "StepCounter",
    "TimeIntervalBias",
    "Tower",
    "TextEmbedding",
    "causal_mask",
    "padding_mask",
    "unit_vectors",
]
