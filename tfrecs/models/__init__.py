"""Models: features in, recommendations out; each a `tfrs.Model`."""

from tfrecs.models.base import Model
from tfrecs.models.bert4rec import BERT4Rec
from tfrecs.models.caser import Caser
from tfrecs.models.deep_cross import DeepCross
from tfrecs.models.gru4rec import GRU4Rec
from tfrecs.models.matrix_factorization import GeneralizedMF, MatrixFactorization
from tfrecs.models.neural_mf import MLP, NeuralMF
from tfrecs.models.retrieve_then_rank import RetrieveThenRank
from tfrecs.models.sasrec import SASRec
from tfrecs.models.two_tower import TwoTower

__all__ = [
    "BERT4Rec",
    "Caser",
    "DeepCross",
    "GRU4Rec",
    "GeneralizedMF",
    "MLP",
    "MatrixFactorization",
    "Model",
    "NeuralMF",
    "RetrieveThenRank",
    "SASRec",
    "TwoTower",
]
