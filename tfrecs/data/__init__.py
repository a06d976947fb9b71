"""Rows to ids to batches: logs, vocabularies, splits, and input for training."""

from tfrecs.data.click_through import RowSplit, click_through
from tfrecs.data.columns import Categorical, Column, Label, Numeric, Timestamp
from tfrecs.data.feature_table import FeatureTable
from tfrecs.data.histories import Histories
from tfrecs.data.interactions import Interactions
from tfrecs.data.named import cache_folder, dataset_names, load
from tfrecs.data.pairs import Pairs
from tfrecs.data.parquet_rows import ParquetRows
from tfrecs.data.readers import read, read_ncf
from tfrecs.data.rows import Rows
from tfrecs.data.schema import Schema
from tfrecs.data.sentences import sentence_vectors
from tfrecs.data.sequences import Sequences, length_buckets
from tfrecs.data.sets import EvaluationSet, Split, TrainSet
from tfrecs.data.splits import global_time, leave_last_out, random_ratio, users_held_out
from tfrecs.data.text import Tokenizer
from tfrecs.data.vocabulary import Vocabulary
from tfrecs.data.wide_columns import History, Text, Vector
from tfrecs.data.word_vectors import word_vectors

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
    "Schema",
    "Column",
    "Categorical",
    "Numeric",
    "Text",
    "Timestamp",
    "History",
    "Vector",
    "Label",
    "FeatureTable",
    "Rows",
    "ParquetRows",
    "RowSplit",
    "click_through",
    "Tokenizer",
    "word_vectors",
    "sentence_vectors",
]
