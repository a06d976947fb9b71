"""Rows to ids to batches: logs, vocabularies, splits, and input for training."""

from tfrecs.data.batches.parquet_rows import ParquetRows
from tfrecs.data.batches.rows import Pairs, Rows
from tfrecs.data.batches.sequences import Sequences, length_buckets
from tfrecs.data.features.columns import Categorical, Column, Label, Numeric
from tfrecs.data.features.events import EventInputs, Events
from tfrecs.data.features.feature_table import FeatureTable
from tfrecs.data.features.pretrained import sentence_vectors, word_vectors
from tfrecs.data.features.schema import Schema
from tfrecs.data.features.text import Tokenizer
from tfrecs.data.features.wide_columns import History, Text, Timestamp, Vector
from tfrecs.data.log.histories import Histories
from tfrecs.data.log.interactions import Interactions
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.named import cache_folder, dataset_names, load
from tfrecs.data.readers import read
from tfrecs.data.splits.click_through import RowSplit, click_through
from tfrecs.data.splits.ncf import read_ncf
from tfrecs.data.splits.part_times import PartTimes
from tfrecs.data.splits.parts import EvaluationSet, Split, TrainSet
from tfrecs.data.splits.protocols import global_time, leave_last_out, random_ratio, users_held_out
from tfrecs.data.splits.session_files import read_sessions
from tfrecs.data.splits.sessions import sessions

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
    "sessions",
    "read_sessions",
    "Split",
    "TrainSet",
    "EvaluationSet",
    "PartTimes",
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
    "Events",
    "EventInputs",
    "FeatureTable",
    "Rows",
    "ParquetRows",
    "RowSplit",
    "click_through",
    "Tokenizer",
    "word_vectors",
    "sentence_vectors",
]
