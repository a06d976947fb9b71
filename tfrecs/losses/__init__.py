"""Losses: scores in, one mean loss out."""

from tfrecs.losses.base import Loss, global_sum
from tfrecs.losses.in_batch import BatchLogits, InBatchSoftmax
from tfrecs.losses.lists import ListLoss, ListMLE, ListNet, PairwiseHinge, PairwiseLogistic
from tfrecs.losses.logsumexp import weighted_logsumexp
from tfrecs.losses.pointwise import GBCE, BinaryCrossEntropy
from tfrecs.losses.scores import DotProductScores
from tfrecs.losses.softmax import FullSoftmax, SampledLoss, SampledSoftmax
from tfrecs.losses.uncertainty import UncertaintyWeighting

__all__ = [
    "GBCE",
    "BatchLogits",
    "BinaryCrossEntropy",
    "DotProductScores",
    "FullSoftmax",
    "InBatchSoftmax",
    "ListLoss",
    "ListMLE",
    "ListNet",
    "Loss",
    "PairwiseHinge",
    "PairwiseLogistic",
    "SampledLoss",
    "SampledSoftmax",
    "UncertaintyWeighting",
    "global_sum",
    "weighted_logsumexp",
]
