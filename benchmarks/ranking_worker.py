"""DCN-V2 of tfrecs, and as TFRS's tutorial has it, as workers of `benchmarks.ranking`.

Both are trained through `model.fit`, with TensorFlow's own choice of threads, as a user would.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tfrecs
from benchmarks.keras_turns import Turns
from benchmarks.ranking_data import (
    CATEGORY_NAMES,
    NUMBER_NAMES,
    Table,
    make_table,
    vocabulary_sizes,
)
from benchmarks.ranking_plan import RankingSettings
from benchmarks.worker import MeteredBatches, Worker, parse_settings
from tfrecs._keras import keras, tf, tfrs
from tfrecs.data import Categorical, Label, Numeric, ParquetRows, Rows, Schema, Vocabulary

PACKAGES = ["tensorflow", "tf-keras", "tensorflow-recommenders"]


def raw_ids(ids: np.ndarray, strings: bool) -> np.ndarray:
    """The categories as a log has them: numbers, or, as Criteo, eight hexadecimal digits."""
    if not strings:
        return ids.astype(np.int64)
    # An odd multiplier modulo 2^32 numbers anew, one to one.
    hashes = ids.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    return np.array([f"{value:08x}" for value in hashes.tolist()], object)


def write_parquet(path: str | Path, table: Table, strings: bool, group: int = 2**16) -> None:
    """Writes a table as a Parquet file whose row groups have so many rows."""
    columns = table.columns()
    columns |= {name: raw_ids(columns[name], strings) for name in CATEGORY_NAMES}
    pq.write_table(pa.table(columns), path, row_group_size=group)


def make_schema(ids: int, strings: bool = False) -> Schema:
    """The columns: numbers enter as one each, squashed."""
    columns = {
        name: Categorical(Vocabulary(raw_ids(np.arange(1, size + 1), strings)))
        for name, size in zip(CATEGORY_NAMES, vocabulary_sizes(ids).tolist(), strict=True)
    }
    numbers = {name: Numeric("squashing") for name in NUMBER_NAMES}
    return Schema({**columns, **numbers, "label": Label()})


def rows_of(settings: RankingSettings, schema: Schema) -> Rows | ParquetRows:
    """Rows from the Parquet file, or in memory."""
    if settings.parquet:
        return ParquetRows(settings.parquet, schema)
    table = make_table(settings.rows, settings.ids, settings.seed)
    return Rows(table.columns(), "label")


def make_tfrecs(settings: RankingSettings, schema: Schema) -> tfrecs.models.DeepCross:
    """tfrecs's model, to be adapted."""
    optimizers = {"adam": tfrecs.optimizers.Adam, "lazy_adam": tfrecs.optimizers.LazyAdam}
    model = tfrecs.models.DeepCross(
        schema,
        dim=settings.dim,
        cross_layers=settings.cross_layers,
        deep_units=settings.deep_units,
        dropout=0.0,
        seed=settings.seed,
    )
    model.compile(optimizers[settings.optimizer](settings.learning_rate))
    return model


class TutorialDCN(tfrs.Model):
    """The model of TFRS's tutorial "Deep & Cross Network (DCN)", its crosses beside the network.

    One Keras `Embedding` a column, `tfrs.layers.dcn.Cross`, Keras's dense layers.
    """

    def __init__(
        self, sizes: Sequence[int], dim: int, cross_layers: int, deep_units: Sequence[int]
    ) -> None:
        super().__init__()
        self.embeddings = {
            name: keras.layers.Embedding(size + 1, dim)
            for name, size in zip(CATEGORY_NAMES, sizes, strict=True)
        }
        self.crosses = [tfrs.layers.dcn.Cross() for _ in range(cross_layers)]
        self.deep = [keras.layers.Dense(units, "relu") for units in deep_units]
        self.logit = keras.layers.Dense(1)
        self.task = tfrs.tasks.Ranking(keras.losses.BinaryCrossentropy(from_logits=True))

    def call(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """The log-odds, `[batch, 1]`."""
        parts = [self.embeddings[name](features[name]) for name in CATEGORY_NAMES]
        parts += [features[name][:, tf.newaxis] for name in NUMBER_NAMES]
        x0 = crossed = deep = tf.concat(parts, axis=1)
        for layer in self.crosses:
            crossed = layer(x0, crossed)
        for layer in self.deep:
            deep = layer(deep)
        return self.logit(tf.concat([crossed, deep], axis=1))

    def compute_loss(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The task's loss."""
        return self.task(labels=features["label"][:, tf.newaxis], predictions=self(features))


def cached_batches(table: Table, batch_size: int, seed: int) -> tf.data.Dataset:
    """Batches shuffled once and kept, as the tutorial does: they cost next to nothing."""
    order = np.random.default_rng(seed).permutation(len(table.labels))
    columns = {name: values[order] for name, values in table.columns().items()}
    return tf.data.Dataset.from_tensor_slices(columns).batch(batch_size, True).cache()


def main() -> None:
    """Trains, or reads, until the parent says stop."""
    settings = parse_settings(RankingSettings)
    worker = Worker(None, evaluate=False)
    targets = settings.epoch_steps * settings.batch_size
    turns = Turns(worker, targets)
    fit = {
        "steps_per_epoch": settings.epoch_steps,
        "epochs": 10**6,
        "callbacks": [turns],
        "verbose": 0,
    }
    width = settings.dim * len(CATEGORY_NAMES) + len(NUMBER_NAMES)
    if settings.model == "tutorial":
        keras.utils.set_random_seed(settings.seed)
        table = make_table(settings.rows, settings.ids, settings.seed)
        sizes = vocabulary_sizes(settings.ids).tolist()
        model = TutorialDCN(sizes, settings.dim, settings.cross_layers, settings.deep_units)
        model.compile(keras.optimizers.Adam(settings.learning_rate))
        batches = cached_batches(table, settings.batch_size, settings.seed)
        worker.ready(PACKAGES, targets, width=width)
        worker.run(lambda: model.fit(batches.repeat(), **fit))
        return
    schema = make_schema(settings.ids, settings.strings)
    rows = rows_of(settings, schema)
    batches = rows.batch(settings.batch_size, seed=settings.seed)
    if settings.model == "input":
        metered = MeteredBatches(batches, worker, lambda batch: len(batch["label"]))
        worker.ready(["tfrecs", *PACKAGES], len(rows))
        worker.run(lambda: [None for _ in range(10**6) for _ in metered])
        return
    model = make_tfrecs(settings, schema)
    model.adapt(rows if isinstance(rows, Rows) else rows.sample(2**16))
    worker.ready(["tfrecs", *PACKAGES], targets, width=width)
    worker.run(lambda: model.fit(batches.repeat(), **fit))


if __name__ == "__main__":
    main()
