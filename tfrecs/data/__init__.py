"""Rows to ids to batches: logs, vocabularies, splits, and input for training."""

from tfrecs.data.histories import Histories
from tfrecs.data.interactions import Interactions
from tfrecs.data.named import cache_folder, dataset_names, load
from tfrecs.data.pairs import Pairs
from tfrecs.data.readers import read, read_ncf
from tfrecs.data.sequences import Sequences, length_buckets
from tfrecs.data.sets import EvaluationSet, Split, TrainSet
from tfrecs.data.splits import global_time, leave_last_out, random_ratio, users_held_out
from tfrecs.data.vocabulary import Vocabulary

__all__ = [
    "Interactions",
    "load",
    "read",
    "read_ncf",
    "dataset_names",
    "cache_folder",
    "leave_last_out",
    "global_time",
    "random_ratio",
    "users_held_out",
    "Split",
    "TrainSet",
    "EvaluationSet",
    "Sequences",
    "Pairs",
    "Histories",
    "Vocabulary",
    "length_buckets",
]
