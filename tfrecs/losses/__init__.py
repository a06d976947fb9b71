"""Losses: scores in, one mean loss out."""

from tfrecs.losses.base import Loss, global_sum
from tfrecs.losses.bucketed import BucketedSoftmax
from tfrecs.losses.dislikes import NotToRecommend
from tfrecs.losses.lists import ListLoss, ListMLE, ListNet, PairwiseHinge, PairwiseLogistic
from tfrecs.losses.logsumexp import weighted_logsumexp
from tfrecs.losses.pairwise import BPR, WARP, BPRMax, Margin
from tfrecs.losses.pointwise import GBCE, BinaryCrossEntropy, SquaredError
from tfrecs.losses.scores import DotProductScores, Scores
from tfrecs.losses.softmax import FullSoftmax, SampledLoss, SampledSoftmax
from tfrecs.losses.uncertainty import UncertaintyWeighting
from tfrecs.losses.whole_data import WholeDataSquaredError

__all__ = [
    "BPR",
    "GBCE",
    "WARP",
    "BPRMax",
    "BinaryCrossEntropy",
    "BucketedSoftmax",
    "DotProductScores",
    "FullSoftmax",
    "ListLoss",
    "ListMLE",
    "ListNet",
    "Loss",
    "Margin",
    "NotToRecommend",
    "PairwiseHinge",
    "PairwiseLogistic",
    "SampledLoss",
    "SampledSoftmax",
    "Scores",
    "SquaredError",
    "UncertaintyWeighting",
    "WholeDataSquaredError",
    "global_sum",
    "weighted_logsumexp",
]
