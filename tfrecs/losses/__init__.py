"""Losses: scores in, one mean loss out."""

from tfrecs.losses.base import Loss, global_sum
from tfrecs.losses.logsumexp import weighted_logsumexp
from tfrecs.losses.pointwise import GBCE, BinaryCrossEntropy
from tfrecs.losses.scores import DotProductScores
from tfrecs.losses.softmax import FullSoftmax, SampledLoss, SampledSoftmax

__all__ = [
    "GBCE",
    "BinaryCrossEntropy",
    "DotProductScores",
    "FullSoftmax",
    "Loss",
    "SampledLoss",
    "SampledSoftmax",
    "global_sum",
    "weighted_logsumexp",
]
