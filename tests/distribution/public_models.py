"""Public models on a small log: what is trained on several devices, by XLA, and by name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import tfrecs
from tests.public_models import MODELS
from tfrecs import losses, models, negatives
from tfrecs.data import Interactions, RowSplit, Split


@dataclasses.dataclass(frozen=True)
class Example:
    """A model, as small as can be, and what it learns from.

    Attributes:
        model: Its class.
        arguments: Makes the arguments of `from_split`, which may be layers: within the strategy.
            There is no dropout and no negative of a target's own, which differ between replicas.
        flags: Of `tfrecs train --model NAME`.
        batch_size: Rows of a batch.
    """

    model: type[models.Model]
    arguments: Callable[[], dict[str, Any]]
    flags: str
    batch_size: int

    def make(self) -> models.Model:
        """A new model, the same each time."""
        return self.model.from_split(split_of(self.model), **self.arguments())

    def batches(self, model: models.Model, static: bool = False) -> Any:
        """Its training batches, of rows that vary; or, static, of eight rows each."""
        parts = split_of(self.model)
        examples = parts.train if isinstance(parts, RowSplit) else model.examples(parts.train)
        return examples.batch(8 if static else self.batch_size, seed=1, static=static)


def frame() -> pd.DataFrame:
    """24 users who walk around a ring of 12 items, and like the first half of them."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(24):
        start, length = rng.integers(0, 12), 4 + user % 5
        for time in range(length):
            item = 100 + (start + time) % 12
            rows.append((user, item, time, 5 if (item < 106) ^ (time == 1) else 1))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "rating"])


@functools.cache
def log() -> Interactions:
    """The log, with features of users and items."""
    items = pd.DataFrame(
        {"item_id": range(100, 112), "price": np.arange(12.0), "kind": ["a", "b", "c"] * 4}
    )
    users = pd.DataFrame({"user_id": range(24), "age": np.arange(24.0)})
    return Interactions(frame(), user_features=users, item_features=items)


@functools.cache
def split_of(model: type[models.Model]) -> Split | RowSplit:
    """What a model is trained and tested on."""
    return getattr(tfrecs.data, model.default_split)(log())


def counts() -> np.ndarray:
    """How often each item stands in the training part."""
    return split_of(models.SASRec).train.item_counts[1:-1]


def _in_batch() -> losses.SampledSoftmax:
    frequency = negatives.ItemFrequency(counts())
    return losses.SampledSoftmax(negatives=negatives.InBatch(8, frequency, seed=1))


def _mixed() -> losses.SampledSoftmax:
    in_batch = negatives.InBatch(frequency=negatives.StreamingFrequency(24), seed=1)
    return losses.SampledSoftmax(
        negatives=negatives.Mixed([in_batch, negatives.Uniform(4, seed=1)])
    )


EXAMPLES = {
    name: Example(entry.model, entry.replicas, entry.flags, entry.batch_size)
    for name, entry in MODELS.items()
    if entry.replicas is not None
}


def _with_loss(name: str, loss: Callable[[], Any]) -> Example:
    """The same model with another loss."""
    plain = EXAMPLES[name]
    return dataclasses.replace(
        plain, arguments=lambda: {**plain.arguments(), "loss": loss()}, flags=""
    )


EVENTS = {
    "event_features": ["rating", "timestamp"],
    "time_intervals": True,
    "request_time": True,
    "user_dim": 4,
}
EXAMPLES |= {
    "SASRec, events": dataclasses.replace(
        EXAMPLES["SASRec"],
        arguments=lambda: EXAMPLES["SASRec"].arguments() | EVENTS,
        flags="--model sasrec --model.dim 8 --model.num_blocks 1 --model.max_length 6 "
        "--model.event_features [rating] --model.time_intervals true --model.request_time true",
    ),
    "SASRec, negatives of the batch": _with_loss("SASRec", _in_batch),
    "TwoTower, negatives of the batch": _with_loss("TwoTower", _mixed),
    "MatrixFactorization, negatives of the batch": _with_loss("MatrixFactorization", _in_batch),
}
